"""The same file, seed and batches on Python, Node and Chromium: the losses of 300 steps and the State after them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

import onnxdl as ox
from tests.anywhere.hosts import in_browser, run_node
from tests.anywhere.serve import serving
from tests.anywhere.systems import SYSTEMS, batches

STEPS = 300


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For each system its train-step folder, its batches, and what plain ONNX Runtime in Python makes of them."""
    folder = tmp_path_factory.mktemp("parity")
    for name, build in SYSTEMS.items():
        model, (x, y) = build(), batches(name, STEPS)
        model.ensure_targets(y[0])
        model.export(folder / name, format="train-step")
        ox.save_checkpoint(folder / f"{name}.batches", {model.input_specs[0].name: x, model.target_specs[0].name: y})
        losses, state = in_python(folder / name, {model.input_specs[0].name: x, model.target_specs[0].name: y})
        (folder / f"{name}.python.json").write_text(json.dumps(losses))
        ox.save_checkpoint(folder / f"{name}.python", state)
    return folder


def in_python(folder: Path, stacked: dict[str, np.ndarray]) -> tuple[list[float], dict[str, np.ndarray]]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    step, init = (ort.InferenceSession(folder / f"{n}.onnx", options, ["CPUExecutionProvider"]) for n in ("train_step", "init"))
    state = dict(zip([o.name for o in init.get_outputs()], init.run(None, {"seed": np.array(0)}), strict=True))
    names, losses = [o.name for o in step.get_outputs()], []
    for k in range(STEPS):
        results = dict(zip(names, step.run(None, {**{n: a[k] for n, a in stacked.items()}, **state}), strict=True))
        state = {name: results[f"next/{name}"] for name in state}
        losses.append(float(results["loss"]))
    return losses, state


def compare(recorded: Path, name: str, losses: list[float], state: Path) -> tuple[float, float]:
    """The largest differences of the losses and of the State."""
    expected = json.loads((recorded / f"{name}.python.json").read_text())
    mine, theirs = ox.load_checkpoint(recorded / f"{name}.python")[0], ox.load_checkpoint(state)[0]
    assert sorted(mine) == sorted(theirs) and theirs["step"] == STEPS
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:20])
    apart = max(float(np.abs(mine[n].astype(np.float64) - theirs[n]).max()) for n in mine if mine[n].size)
    return float(np.abs(np.subtract(losses, expected)).max()), apart


def jobs(recorded: Path, host: str, at: str) -> list[dict[str, Any]]:
    return [
        {"source": f"{at}{n}", "batches": f"{at}{n}.batches", "losses": f"{recorded}/{n}.{host}.json", "state": f"{recorded}/{n}.{host}"}
        for n in SYSTEMS
    ]


@pytest.mark.slow
def test_node_is_equal_to_the_bit(recorded: Path) -> None:
    (recorded / "jobs.json").write_text(json.dumps(jobs(recorded, "node", f"{recorded}/")))
    run_node("parity.mjs", recorded / "jobs.json")
    found = {n: compare(recorded, n, json.loads((recorded / f"{n}.node.json").read_text()), recorded / f"{n}.node") for n in SYSTEMS}
    assert found == dict.fromkeys(SYSTEMS, (0.0, 0.0))


@pytest.mark.slow
def test_chromium_is_equal_within_rounding(recorded: Path) -> None:
    with serving(recorded) as url:
        curves = in_browser(
            "parity", f"{url}blank.html", recorded, jobs=jobs(recorded, "wasm", "/"), bundle="ort.wasm.bundle.min.mjs", options={}
        )
    found = {n: compare(recorded, n, curve["losses"], recorded / f"{n}.wasm") for n, curve in zip(SYSTEMS, curves, strict=True)}
    assert max(max(apart) for apart in found.values()) < 1e-5


@pytest.mark.slow
def test_webgpu_trains_with_the_state_on_the_device(recorded: Path) -> None:
    arrays, _ = ox.load_checkpoint(recorded / "cnn.batches")
    ox.save_checkpoint(recorded / "few.batches", {name: array[:3] for name, array in arrays.items()})
    job = {"source": "/cnn", "batches": "/few.batches", "state": f"{recorded}/cnn.webgpu"}
    options = {"executionProviders": ["webgpu"]}
    with serving(recorded) as url:
        found = in_browser(
            "parity", f"{url}blank.html", recorded, jobs=[job], bundle="ort.webgpu.bundle.min.mjs", options=options, webgpu=True
        )
    if found is None:
        pytest.skip("this Chromium has no WebGPU adapter")
    expected = json.loads((recorded / "cnn.python.json").read_text())
    assert found[0]["places"] == ["gpu-buffer"]
    np.testing.assert_allclose(found[0]["losses"], expected[:3], atol=1e-4)
    assert ox.load_checkpoint(recorded / "cnn.webgpu")[0]["step"] == 3
