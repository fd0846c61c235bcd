"""The digits model trained in the browser, by the page as a visitor uses it, and in Node; what comes back goes on in Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import onnxdl as ox
from onnxdl.models import digits
from tests.anywhere.hosts import HERE, in_browser, run_node
from tests.anywhere.serve import serving, write_digits

EPOCHS = 6
ZERO = [(0.5 + 0.25 * np.sin(t), 0.5 - 0.4 * np.cos(t)) for t in np.linspace(0, 2 * np.pi, 40)]
SEVEN = [(0.2, 0.15), (0.5, 0.15), (0.8, 0.15), (0.65, 0.4), (0.5, 0.65), (0.4, 0.9)]


@pytest.mark.slow
def test_a_visitor_trains_draws_and_takes_the_model_home(tmp_path: Path) -> None:
    write_digits(tmp_path)
    with serving(tmp_path) as url:
        seen = in_browser("visit", url, tmp_path, epochs=EPOCHS, drawings=[SEVEN, ZERO])
    print(seen)
    reached = percent(seen["after"])
    assert percent(seen["before"]) < 40 and reached > 93
    assert seen["drawn"] == [7, 0]
    assert seen["added"] == "1439 digits to train on"
    assert percent(seen["anew"]) < 40
    assert seen["opened"] == [seen["after"]] * 2
    assert "not an ONNX file" in seen["wrong"]

    (x, y), (x_test, y_test) = digits.data()
    model = ox.load(tmp_path / "trained.onnx")
    assert model.state["step"] == seen["step"]
    checkpoint, _ = ox.load_checkpoint(tmp_path / "trained.safetensors")
    for name, array in model.state.items():
        np.testing.assert_array_equal(array, checkpoint[name], err_msg=name)
    at_home = 100 * model.evaluate(x_test, y_test, verbose=0)[1]
    assert round(at_home, 1) == pytest.approx(reached, abs=0.11)
    model.fit(x, y, 64, 2, verbose=0)
    assert model.state["step"] == seen["step"] + 2 * 23
    assert 100 * model.evaluate(x_test, y_test, verbose=0)[1] > at_home - 2


@pytest.mark.slow
def test_without_node_modules_the_runtime_comes_from_its_cdn(tmp_path: Path) -> None:
    write_digits(tmp_path)
    with serving(tmp_path) as url:
        found = in_browser("fromCdn", url, tmp_path)
    version = json.loads((HERE / "package.json").read_text())["dependencies"]["onnxruntime-web"]
    root = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{version}/dist/"
    wanted = {f"{root}{name}" for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")}
    assert set(found["asked"]) == wanted
    assert 0 < found["loss"] < 2.4


@pytest.mark.slow
def test_digits_trained_in_node_come_back(tmp_path: Path) -> None:
    write_digits(tmp_path)
    (x, y), (x_test, y_test) = digits.data()
    order = np.concatenate([np.random.default_rng(epoch).permutation(len(x))[: 22 * 64] for epoch in range(EPOCHS)]).reshape(-1, 64)
    ox.save_checkpoint(tmp_path / "batches", {"image": x[order], "target": y[order]})
    job = {"source": "digits.onnx", "batches": "batches", "losses": "losses", "state": "state", "model": "trained.onnx"}
    (tmp_path / "jobs.json").write_text(json.dumps([{key: str(tmp_path / name) for key, name in job.items()}]))
    run_node("parity.mjs", tmp_path / "jobs.json")
    back = ox.load(tmp_path / "trained.onnx")
    assert back.state["step"] == len(order)
    accuracy = back.evaluate(x_test, y_test, verbose=0)[1]
    again = ox.load(tmp_path / "digits.onnx")
    again.load_state({**again.state, **ox.load_checkpoint(tmp_path / "state")[0]})
    assert again.evaluate(x_test, y_test, verbose=0)[1] == accuracy > 0.95
    print(accuracy)


def percent(text: str) -> float:
    return float(text.removesuffix(" %"))
