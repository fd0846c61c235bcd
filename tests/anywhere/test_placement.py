"""Every train step of the gallery, as a file: only standard operators of the profile, and where CUDA would run them."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from onnxdl.cli.main import main
from onnxdl.cli.spec import gallery
from onnxdl.graph.contents import dims
from onnxdl.graph.passes.sizes import open_sizes, with_shapes
from onnxdl.io import onnx_file
from onnxdl.io.names import all_nodes
from onnxdl.io.protocol import check_path
from tests.anywhere.gallery import BUILDS, OTHERS, built
from tests.anywhere.placement import placements, provider

PROGRAMS = ("train_step", "init", "evaluate", "predict")
LENGTHS = {"text_lstm_masked": 1}
"""Copies that stay: CUDA's LSTM reads the lengths of its sequences on the host."""
WITH_LOOPS = ("text_lstm", "text_lstm_masked")
"""The LSTM's gradient runs back through time in a Scan, which no CUDA graph can hold."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each as a train-step folder, and as fixed.onnx, the step with all sizes known: a batch of 16, sequences of 64."""
    folder = tmp_path_factory.mktemp("gallery")
    for name in BUILDS:
        model = built(name)
        model.export(folder / name, format="train-step")
        step = onnx_file.read(folder / name / "train_step.onnx")
        sizes = {d: 16 if d == "batch" else 64 for d in open_sizes(step)}
        shapes = {v.name or "": [sizes.get(d, d) for d in dims(v) or ()] for v in step.graph.inputs}  # type: ignore[call-overload]
        onnx_file.write(with_shapes(step, shapes), folder / name / "fixed.onnx")
    return folder


def test_all_of_the_gallery_is_here() -> None:
    assert {name.split("_var")[0].split("_disc")[0].split("_mask")[0].split("_cbow")[0] for name in BUILDS} | set(OTHERS) == set(gallery())


@pytest.mark.slow
def test_the_files_hold_standard_operators_only(exported: Path) -> None:
    for name in BUILDS:
        assert check_path(exported / name).warnings == []
        for program in PROGRAMS:
            model = onnx.load(exported / name / f"{program}.onnx")
            assert [(o.domain, o.version) for o in model.opset_import] == [("", 21)] and model.ir_version == 10, (name, program)
            assert {node.domain for node in all_nodes(model.graph)} == {""} and not model.functions, (name, program)


@pytest.mark.slow
def test_cuda_runs_all_but_shape_arithmetic(exported: Path, tmp_path: Path) -> None:
    """With sizes known, nothing is copied and a CUDA graph is accepted."""
    provider()
    asked = {name: (exported / name / "train_step.onnx", {}, False) for name in BUILDS}
    asked |= {f"{name} fixed": (exported / name / "fixed.onnx", {}, name not in WITH_LOOPS) for name in BUILDS}
    for name, place in placements(asked, tmp_path).items():
        assert place.failure == "" and place.astray == {}, (name, place)
        if name.endswith(" fixed"):
            assert place.cpu.total() == 0 and place.copies == LENGTHS.get(name.removesuffix(" fixed"), 0), (name, place)
        else:
            assert place.cuda.total() > 10 * place.cpu.total(), (name, place)


def test_a_fixed_batch_leaves_no_size_open(tmp_path: Path) -> None:
    """From the command line, of a SPEC and of a saved file; what remains of the folder takes any batch."""
    model = built("mlp")
    model.save(tmp_path / "model.onnx")
    for source, folder in (("mlp", "of_spec"), (str(tmp_path / "model.onnx"), "of_file")):
        command = ["export", source, "--format", "train-step", "--batch-size", "64", "-o", str(tmp_path / folder)]
        assert (done := CliRunner().invoke(main, command)).exit_code == 0, done.output
        assert check_path(tmp_path / folder).warnings == []
        step, evaluate = (onnx_file.read(tmp_path / folder / f"{name}.onnx") for name in ("train_step", "evaluate"))
        assert open_sizes(step) == [] and open_sizes(evaluate) == ["batch"]
        assert [dims(v) for v in step.graph.inputs[:2]] == [(64, 64), (64,)]
    refused = CliRunner().invoke(main, ["export", "mlp", "--batch-size", "64", "-o", str(tmp_path / "mlp.onnx")])
    assert refused.exit_code != 0 and "a batch size is fixed in a train-step, not in onnx" in refused.output


@pytest.mark.slow
def test_a_node_without_a_kernel_is_seen(tmp_path: Path) -> None:
    """The measure itself: CUDA has no kernel for Det, and its result must be copied."""
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21]> m (float[2, 2] x) => (float y) { a = Exp(x) d = Det(a) y = Exp(d) }'
    )
    onnx.save(model, tmp_path / "det.onnx")
    place = placements({"det": (tmp_path / "det.onnx", {}, False), "graph": (tmp_path / "det.onnx", {}, True)}, tmp_path)
    assert place["det"].astray == {"Det": 1} and place["det"].copies == 2
    assert "cannot use the graph capture feature" in place["graph"].failure
