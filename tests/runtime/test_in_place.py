"""Which entries of the State a step may write over."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from onnxdl.runtime import leave_unshaped, written_in_place

TEXT = """<ir_version: 10, opset_import: ["": 21]> g (float[4, 2] m, float[4, 2] g, float[2, 2] w) => (float[4, 2] "next/m", %s y)
{ %s }"""


@pytest.mark.parametrize(
    ("body", "safe"),
    [
        ('old = Mul(m, g) "next/m" = Add(old, g) y = Identity(g)', True),
        ('"next/m" = Add(m, g) y = Identity(g)', True),
        ('"next/m" = Add(m, g) y = Sqrt(m)', False),  # may run after the write
        ('old = Mul(m, g) "next/m" = Add(old, g) y = MatMul(old, w)', False),  # may be fused with what it reads
        ('old = MatMul(m, w) "next/m" = Add(old, g) y = Identity(g)', False),
        ('"next/m" = Add(m, g) y = Identity(m)', False),
    ],
)
def test_slots_of_an_optimizer(body: str, safe: bool) -> None:
    model = ir.from_proto(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(TEXT % ("float[4, 2]", body))))
    assert written_in_place(model) == ({"m"} if safe else set())


LOOP = """<ir_version: 10, opset_import: ["": 21]> g (float[4, 2] m, float[4, 2] g) => (float[4, 2] "next/m", %s y)
<int64[2] wide = {2, 4}, int64[2] shape = {4, 2}> {
  m2 = Reshape(m, wide)  g2 = Reshape(g, wide)
  looped, z = Scan<num_scan_inputs=2, body = b (float[4] mb, float[4] gb) => (float[4] nb, float[4] zb) { %s }>(m2, g2)
  "next/m" = Reshape(looped, shape)  y = %s }"""


@pytest.mark.parametrize(
    ("body", "y", "safe"),
    [
        ("old = Mul(mb, gb) nb = Add(old, gb) zb = Neg(nb)", "Identity(z)", True),
        ("old = Mul(mb, gb) nb = Add(old, gb) zb = Neg(mb)", "Identity(z)", False),
        ("old = Mul(mb, gb) nb = Add(old, gb) zb = Neg(nb)", "Identity(m2)", False),
        ("old = CumSum(mb, gb) nb = Add(old, gb) zb = Neg(nb)", "Identity(z)", False),
    ],
)
def test_blocks_of_slots(body: str, y: str, safe: bool) -> None:
    model = ir.from_proto(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(LOOP % ("float[2, 4]", body, y))))
    loop = next(n for n in model.graph if n.op_type == "Scan")
    for node in loop.attributes["body"].as_graph():
        node.outputs[0].shape = ir.Shape([4])  # onnx infers no shapes within a Scan of this text
    leave_unshaped(model)
    assert [n.op_type for n in model.graph][-1] != "Reshape"
    assert written_in_place(model) == ({"m"} if safe else set())
