"""Reading and writing .onnx files: every kind of bad file, upgrades, external data, atomic replacement."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.external_data_helper
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from onnxdl.errors import FormatError
from onnxdl.io import onnx_file

LINEAR = """
<ir_version: 10, opset_import: ["" : 21], producer_name: "someone", metadata_props: ["author": "A. Turing"]>
linear (float[N, 3] x) => (float[N, 2] y) { [multiply] h = MatMul(x, w)
 [shift] y = Add(h, b) }
"""


def linear(rows: int = 3) -> onnx.ModelProto:
    model = onnx.parser.parse_model(LINEAR.replace("[N, 3]", f"[N, {rows}]"))
    rng = np.random.default_rng(0)
    model.graph.initializer.append(numpy_helper.from_array(rng.normal(size=(rows, 2)).astype(np.float32), "w"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2], np.float32), "b"))
    return model


def sparse(name: str) -> onnx.SparseTensorProto:
    values, indices = numpy_helper.from_array(np.ones(1, np.float32), name), numpy_helper.from_array(np.array([3], np.int64), "")
    return onnx.SparseTensorProto(values=values, indices=indices, dims=[9])


def run(model: onnx.ModelProto | Path, *arrays: np.ndarray) -> list[np.ndarray]:
    source = os.fspath(model) if isinstance(model, Path) else model.SerializeToString()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: a for i, a in zip(session.get_inputs(), arrays, strict=True)})


def refusal(path: Path) -> str:
    with pytest.raises(FormatError) as caught:
        onnx_file.read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


# ---- reading --------------------------------------------------------------------------------------------------------


def test_a_written_model_reads_back_the_same(tmp_path: Path) -> None:
    onnx_file.write(linear(), tmp_path / "m.onnx")
    model = onnx_file.read(tmp_path / "m.onnx")
    assert [n.name for n in model.graph] == ["multiply", "shift"]
    assert list(model.graph.initializers) == ["b", "w"] or list(model.graph.initializers) == ["w", "b"]
    assert model.metadata_props == {"author": "A. Turing"}
    assert model.meta["opset"] == 21
    np.testing.assert_array_equal(model.graph.initializers["w"].const_value.numpy(), numpy_helper.to_array(linear().graph.initializer[0]))


def test_values_get_shapes(tmp_path: Path) -> None:
    onnx_file.write(linear(), tmp_path / "m.onnx")
    first = onnx_file.read(tmp_path / "m.onnx").graph.node(0).outputs[0]
    assert first.dtype == ir.DataType.FLOAT
    assert [str(d) for d in first.shape] == ["N", "2"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "absent.onnx")


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").mkdir()
    assert "folder" in refusal(tmp_path / "m.onnx")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\x89HDF\r\n", b"\xff" * 64, b"\x08\x0a"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    assert "not an ONNX file" in refusal(tmp_path / "m.onnx")


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    whole = linear().SerializeToString()
    for length in range(0, len(whole) - 1, 7):
        (tmp_path / "m.onnx").write_bytes(whole[:length])
        try:
            model = onnx_file.read(tmp_path / "m.onnx")
        except FormatError as error:
            assert "m.onnx" in str(error)  # noqa: PT017  (a cut between two fields may leave a valid model)
        else:
            assert [v.name for v in model.graph.outputs] == ["y"]


def test_damaged_bytes_never_do_worse_than_a_format_error(tmp_path: Path) -> None:
    whole = bytearray(linear().SerializeToString())
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        broken = bytearray(whole)
        for position in rng.integers(0, len(whole), rng.integers(1, 4)):
            broken[position] = rng.integers(0, 256)
        (tmp_path / "m.onnx").write_bytes(broken)
        try:
            onnx_file.read(tmp_path / "m.onnx")
        except FormatError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.graph.node[0].ClearField("output"), "standard"),
        (lambda m: m.graph.node.reverse(), "standard"),
        (lambda m: setattr(m.graph.node[0], "op_type", "MatMull"), "standard"),
        (lambda m: setattr(m.opset_import[0], "version", 99), "upgrade onnx"),
        (lambda m: m.ClearField("opset_import"), "opset"),
        (lambda m: m.graph.initializer[0].dims.append(2), "does not hold the data"),
        (lambda m: m.graph.initializer[0].dims.__setitem__(0, 2**60), "does not hold the data"),
        (lambda m: m.graph.initializer[0].dims.__setitem__(0, -3), "negative"),
        (lambda m: setattr(m.graph.initializer[0], "data_type", 99), "element type"),
        (lambda m: m.graph.sparse_initializer.append(sparse("s")), "sparse"),
    ],
    ids=["no output", "order", "operator", "new opset", "no opset", "data", "huge", "negative", "type", "sparse"],
)
def test_broken_models_are_refused(tmp_path: Path, change: Callable[[onnx.ModelProto], object], words: str) -> None:
    model = linear()
    change(model)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert words in refusal(tmp_path / "m.onnx")


def test_weights_among_the_inputs_are_inputs_no_more(tmp_path: Path) -> None:
    model = linear()
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert [v.name for v in onnx_file.read(tmp_path / "m.onnx").graph.inputs] == ["x"]


def test_functions_are_inlined(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 11, "local" : 1]>
    g (float[1, 3] x) => (float[3] y) { y = local.flat(x) }
    <opset_import: ["" : 11], domain: "local"> flat (a) => (b) { b = Squeeze<axes = [0]>(a) }"""
    model = onnx.parser.parse_model(text)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    read = onnx_file.read(tmp_path / "m.onnx")
    assert not read.functions
    x = np.arange(3, dtype=np.float32)[None]
    np.testing.assert_array_equal(run(ir.to_proto(read), x)[0], x[0])


# ---- old files ------------------------------------------------------------------------------------------------------

OLD = {
    "Softmax flattens before 13": (11, "(float[2, 3, 4] x) => (float[2, 3, 4] y) { y = Softmax<axis = 1>(x) }", (2, 3, 4)),
    "Squeeze has axes as attribute": (12, "(float[2, 1, 4] x) => (float[2, 4] y) { y = Squeeze<axes = [1]>(x) }", (2, 1, 4)),
    "Upsample": (9, "(float[1, 2, 2, 2] x) => (float[1, 2, 4, 4] y) <float[4] s = {1, 1, 2, 2}> { y = Upsample(x, s) }", (1, 2, 2, 2)),
    "Clip has bounds as attributes": (7, "(float[N, 3] x) => (float[N, 3] y) { y = Clip<min = -0.5, max = 0.5>(x) }", (2, 3)),
    "Dropout has its ratio as attribute": (7, "(float[N, 3] x) => (float[N, 3] y) { y = Dropout<ratio = 0.5>(x) }", (2, 3)),
    "ReduceSum has axes as attribute": (11, "(float[2, 3] x) => (float[2] y) { y = ReduceSum<axes = [1], keepdims = 0>(x) }", (2, 3)),
    "inside a body": (
        11,
        """(float[1, 3] x) => (float[3] y) { c = Constant<value = bool {1}>()
        y = If(c) <then_branch = t () => (float[3] a) { a = Squeeze<axes = [0]>(x) },
                   else_branch = e () => (float[3] b) { n = Neg(x) b = Squeeze<axes = [0]>(n) }> }""",
        (1, 3),
    ),
}


@pytest.mark.parametrize("name", OLD)
def test_old_opsets_are_upgraded_and_compute_the_same(tmp_path: Path, name: str) -> None:
    opset, text, shape = OLD[name]
    model = onnx.parser.parse_model(f'<ir_version: 7, opset_import: ["" : {opset}]> g {text}')
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    read = onnx_file.read(tmp_path / "m.onnx")
    assert read.graph.opset_imports[""] == 21
    assert read.meta["opset"] == opset
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(run(ir.to_proto(read), x)[0], run(model, x)[0], rtol=1e-6)


def test_later_opsets_are_kept(tmp_path: Path) -> None:
    model = onnx.parser.parse_model('<ir_version: 11, opset_import: ["" : 23]> g (float[2, 3] x) => (float[2, 3] y) { y = Relu(x) }')
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert onnx_file.read(tmp_path / "m.onnx").graph.opset_imports[""] == 23


@pytest.mark.parametrize(
    ("opset", "text", "operator"),
    [
        (
            8,
            """(int64[1] n, float[1, 5, 4] x, float[1, 4] s) => (float[1, 4] y, float[1, 5, 4] z) { [turns]
            y, z = Scan<num_scan_inputs = 1, body = b (float[4] a, float[4] i) => (float[4] c, float[4] o)
            { c = Add(a, i) o = Identity(c) }>(n, s, x) }""",
            "Scan of opset 8 with sequence_lens (node 'turns')",
        ),
        (
            12,
            """(float[N, 2, 4] x, float[2] s, float[2] b, float[2] m, float[2] v)
            => (float[N, 2, 4] y, float[2] p, float[2] q, float[2] r, float[2] t)
            { h = Neg(x) [norm] y, p, q, r, t = BatchNormalization(h, s, b, m, v) }""",
            "BatchNormalization (node 'norm')",
        ),
    ],
)
def test_what_cannot_be_upgraded_is_named(tmp_path: Path, opset: int, text: str, operator: str) -> None:
    model = onnx.parser.parse_model(f'<ir_version: 7, opset_import: ["" : {opset}]> g {text}')
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert operator in refusal(tmp_path / "m.onnx")


# ---- external data --------------------------------------------------------------------------------------------------


def with_external(tmp_path: Path, **entries: str) -> Path:
    """A model whose weight w lies in w.bin beside it, with some entries of the reference changed."""
    model = linear(300)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=100)
    stored = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    for entry in stored.graph.initializer[0].external_data:
        entry.value = entries.get(entry.key, entry.value)
    (tmp_path / "m.onnx").write_bytes(stored.SerializeToString())
    return tmp_path / "m.onnx"


def test_external_data_is_loaded(tmp_path: Path) -> None:
    model = onnx_file.read(with_external(tmp_path))
    (tmp_path / "w.bin").unlink()
    np.testing.assert_array_equal(
        model.graph.initializers["w"].const_value.numpy(), numpy_helper.to_array(linear(300).graph.initializer[0])
    )


@pytest.mark.parametrize("location", ["/etc/passwd", "../w.bin", "sub/../../w.bin", "C:\\w.bin", "..\\w.bin", "\\\\host\\w.bin", ""])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    assert "outside" in refusal(with_external(tmp_path, location=location))


def test_external_data_behind_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    path = with_external(inside)
    (inside / "w.bin").rename(tmp_path / "w.bin")
    (inside / "w.bin").symlink_to(tmp_path / "w.bin")
    assert "link" in refusal(path)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"location": "other.bin"}, "missing"),
        ({"offset": "4096"}, "too short"),
        ({"length": "12"}, "needs 2400"),
        ({"length": str(2**62)}, "needs 2400"),
        ({"offset": "-8"}, "damaged"),
        ({"offset": "many"}, "no number"),
    ],
)
def test_external_data_that_does_not_fit_is_refused(tmp_path: Path, entries: dict[str, str], words: str) -> None:
    assert words in refusal(with_external(tmp_path, **entries))


def test_external_data_cut_short_is_refused(tmp_path: Path) -> None:
    path = with_external(tmp_path)
    os.truncate(tmp_path / "w.bin", 100)
    assert "too short" in refusal(path)


# ---- writing --------------------------------------------------------------------------------------------------------


def test_weights_past_the_limit_go_into_a_file_beside(tmp_path: Path) -> None:
    model, path = linear(400), tmp_path / "m.onnx"
    onnx_file.write(model, path, limit=1000)
    beside = [p.name for p in tmp_path.iterdir() if p != path]
    assert len(beside) == 1
    assert beside[0].startswith("m.onnx.")
    assert path.stat().st_size < 1000
    x = np.random.default_rng(2).normal(size=(5, 400)).astype(np.float32)
    np.testing.assert_array_equal(run(path, x)[0], run(model, x)[0])
    np.testing.assert_array_equal(
        onnx_file.read(path).graph.initializers["w"].const_value.numpy(), numpy_helper.to_array(model.graph.initializer[0])
    )


def test_a_new_model_leaves_no_data_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    for rows in (400, 500):
        onnx_file.write(linear(rows), path, limit=1000)
    assert len(list(tmp_path.iterdir())) == 2
    onnx_file.read(path)
    onnx_file.write(linear(), path)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_a_model_that_breaks_the_standard_is_not_written(tmp_path: Path) -> None:
    model = linear()
    model.graph.node[0].op_type = "Nothing"
    with pytest.raises(FormatError, match="breaks the ONNX standard"):
        onnx_file.write(model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_a_model_whose_shapes_do_not_fit_is_not_written(tmp_path: Path) -> None:
    model = linear()
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.zeros(5, np.float32), "b"))
    with pytest.raises(FormatError, match="breaks the ONNX standard"):
        onnx_file.write(model, tmp_path / "m.onnx")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="folder does not exist"):
        onnx_file.write(linear(), tmp_path / "absent" / "m.onnx")


def test_a_folder_of_that_name_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").mkdir()
    with pytest.raises(FormatError, match="in the way"):
        onnx_file.write(linear(), tmp_path / "m.onnx")


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "no space"), (errno.EACCES, "permission"), (errno.EROFS, "permission")])
def test_a_write_that_fails_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    path = tmp_path / "m.onnx"
    onnx_file.write(linear(), path)
    before = path.read_bytes()

    def failing(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(FormatError, match=words):
        onnx_file.write(linear(50), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    onnx_file.write(linear(), tmp_path / "m.onnx")
    (tmp_path / "link.onnx").symlink_to(tmp_path / "m.onnx")
    onnx_file.write(linear(7), tmp_path / "link.onnx")
    assert (tmp_path / "link.onnx").is_symlink()
    assert onnx_file.read(tmp_path / "m.onnx").graph.inputs[0].shape[1] == 7
