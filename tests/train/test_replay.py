"""Which session a train step on CUDA runs on: the one that replays a graph, or the ordinary one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn, optim
from onnxdl.errors import RuntimeFailure
from onnxdl.runtime import CapturedSession
from onnxdl.train import replay

X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
Y = np.arange(8) % 3


def model(*layers: nn.Layer) -> ox.Model:
    ox.set_seed(0)
    built = ox.Sequential([ox.Input(X.shape[1:]), *layers, nn.Dense(3, activation="softmax")])
    built.compile(optim.Adam(0.1), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    built.ensure_targets(Y)
    return built


class Counted(CapturedSession):
    """Notes the sizes of the batches that came."""

    sizes: list[int]

    def __call__(self, batch: Any) -> Any:
        self.sizes.append(len(batch["target"]))
        return super().__call__(batch)


def replaying(built: ox.Model) -> replay.Replay:
    step = built.train_step()
    cells = {n: c for n, c in built.cells().items() if n in {i.name for i in step.session.session.get_inputs()}}
    return replay.Replay(step.program, step.session, cells)


def test_batches_of_the_first_shape_replay_and_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    Counted.sizes = []
    monkeypatch.setattr(replay, "CapturedSession", Counted)
    plain, replayed = model(nn.Dense(5), nn.Dropout(0.5)), model(nn.Dense(5), nn.Dropout(0.5))
    run, losses = replaying(replayed), []
    for size in (8, 8, 8, 3, 8, 3, 8):
        loss = run(replayed.batch(X[:size], Y[:size]))["loss"]
        losses.append((loss, plain.train_step()(X[:size], Y[:size])["loss"]))
    assert Counted.sizes == [8] * 5
    np.testing.assert_allclose(*zip(*losses, strict=True), rtol=1e-6)
    for name, array in plain.state.items():
        np.testing.assert_allclose(replayed.state[name], array, rtol=1e-5, atol=1e-7, err_msg=name)


def test_a_step_with_a_loop_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "CapturedSession", None)
    built = model(nn.Reshape((2, 2)), nn.LSTM(3))
    run = replaying(built)
    assert run(built.batch(X, Y))["loss"] > run(built.batch(X, Y))["loss"]


def test_what_cannot_be_recorded_is_told_once_and_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeFailure("this session cannot use the graph capture feature")

    monkeypatch.setattr(CapturedSession, "_run", refuse)
    built = model()
    run = replaying(built)
    with pytest.warns(UserWarning, match="the train step runs without a CUDA graph: this session cannot"):
        first = run(built.batch(X, Y))["loss"]
    assert run(built.batch(X, Y))["loss"] < first
    assert built.state["step"] == 2


@pytest.mark.cuda
def test_a_replayed_training_is_the_plain_one() -> None:
    losses = {}
    for way in ("replayed", "plain"):
        built = model(nn.Dense(16, activation="relu"), nn.Dropout(0.2))
        built.compile_again(device="cuda")
        step = built.train_step()
        run = step.run if way == "replayed" else step.session
        losses[way] = [run(built.batch(X, Y))["loss"] for _ in range(50)]
        if way == "replayed":
            assert step._run._captured is not None  # type: ignore[attr-defined]
    np.testing.assert_allclose(losses["replayed"], losses["plain"], rtol=1e-4)
    assert losses["plain"][-1] < losses["plain"][0]
