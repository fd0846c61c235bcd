"""What goes wrong around a training run: data, numbers, forks, devices; disks are in ``tests/io/test_disks.py``."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import onnxdl as ox
from onnxdl import nn, op, optim
from onnxdl.cli.main import main
from onnxdl.train.resume import CHECKPOINT

X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
Y = (X.sum(1) > 0).astype(np.int64)


def classifier(width: int = 8) -> ox.Model:
    ox.set_seed(5)
    model = ox.Sequential([ox.Input((4,)), nn.Dense(width, activation="relu"), nn.Dense(2, activation="softmax")])
    model.compile(optim.Adam(0.03), "sparse_categorical_crossentropy")
    return model


# ---- data ------------------------------------------------------------------------------------------------------------


class BadLuck(RuntimeError):
    """What a user's own reader raises."""


@pytest.mark.parametrize("kind", ["stream", "sequence"])
def test_data_that_raises_in_the_middle_says_so_itself_and_the_run_goes_on(kind: str, tmp_path: Path) -> None:
    fails = True

    def part(epoch: int, i: int) -> tuple[np.ndarray, np.ndarray]:
        if fails and epoch == 1 and i == 2:
            raise BadLuck("the disk with the data is gone")
        return X[10 * i : 10 * i + 10], Y[10 * i : 10 * i + 10]

    def stream(epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return (part(epoch, i) for i in range(4))

    class Parts:
        asked = 0

        def __len__(self) -> int:
            return 4

        def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
            Parts.asked += 1
            return part(int(Parts.asked > 6), i)

    source: Any = stream if kind == "stream" else Parts()
    with pytest.raises(BadLuck, match="is gone"):
        classifier().fit(source, epochs=3, verbose=0, checkpoint=tmp_path, checkpoint_every=1, shuffle=False)
    state, _ = ox.load_checkpoint(tmp_path / CHECKPOINT)
    assert 4 <= int(state["step"]) <= 6
    fails = False
    again, whole = classifier(), classifier()
    again.fit(source, epochs=3, verbose=0, checkpoint=tmp_path, resume=True, shuffle=False)
    whole.fit(source, epochs=3, verbose=0, shuffle=False)
    for name, array in whole.state.items():
        np.testing.assert_array_equal(array, again.state[name], err_msg=name)


@pytest.mark.parametrize("label", [2, -1, 2**31, -(2**62)])
@pytest.mark.parametrize("way", ["fit", "evaluate", "train_on_batch"])
def test_labels_out_of_range_are_refused_everywhere(way: str, label: int) -> None:
    y = Y.copy()
    y[17] = label
    with pytest.raises(ox.DataError, match=f"holds the label {label}"):
        getattr(classifier(), way)(X, y, **({} if way == "train_on_batch" else {"verbose": 0}))


# ---- numbers ---------------------------------------------------------------------------------------------------------


class Formula(nn.Layer):
    """What a user writes without thinking of its limits."""

    def __init__(self, formula: Callable[[Any], Any], name: str) -> None:
        super().__init__(name=name)
        self.formula = formula

    def call(self, x: Any) -> Any:
        return self.formula(x)


ZERO: dict[str, Any] = {"kernel_initializer": "zeros"}
GONE_BAD: dict[str, tuple[Callable[[], list[nn.Layer]], float, str]] = {
    "a rate that is far too large": (
        lambda: [nn.Dense(3, name="first"), nn.Dense(1, name="second")],
        1e25,
        r"the loss became (nan|inf) at batch 1 of epoch 1 \(step 1\): .* is what Gemm 'second/Gemm' gives \(second, forward\), -?inf at",
    ),
    "log(0)": (
        lambda: [nn.Dense(3, "relu", name="first"), Formula(op.Log, "log"), nn.Dense(1, name="second")],
        1e-3,
        r"the loss became (nan|inf) at batch 0 of epoch 1 \(step 0\): .* is what Log 'log/Log' gives \(log, forward\), -inf at",
    ),
    "a gradient that overflows, though the loss does not": (
        lambda: [nn.Dense(1, name="first", **ZERO), Formula(lambda x: op.Log(x + 1e-38), "log")],
        1e-3,
        r"the weight 'first.kernel' is not finite any more at batch 0 of epoch 1 \(step 0\): .* 'grad/log/.*' gives \(log, backward\),",
    ),
    "a mask of infinities hides it": (
        lambda: [nn.Dense(3, name="first"), Formula(lambda x: op.Softmax(op.Where(x > 9, x, -np.inf)), "attend"), nn.Dense(1)],
        1e-3,
        r"is what Softmax 'attend/Softmax' gives \(attend, forward\), nan at",
    ),
}


@pytest.mark.parametrize(("layers", "rate", "said"), GONE_BAD.values(), ids=GONE_BAD.keys())
def test_numbers_gone_bad_are_told_with_the_step_and_the_first_tensor(
    layers: Callable[[], list[nn.Layer]], rate: float, said: str, tmp_path: Path
) -> None:
    ox.set_seed(5)
    model = ox.Sequential([ox.Input((4,)), *layers()])
    model.compile(optim.SGD(rate), "mse")
    with pytest.raises(ox.TrainingError, match=said):
        model.fit(X, Y.astype(np.float32), 10, 3, verbose=0, checkpoint=tmp_path, checkpoint_every=1)
    for path in tmp_path.iterdir():  # the last good one, where a step went well before
        state, _ = ox.load_checkpoint(path)
        assert int(state["step"]) == 1
        assert all(np.isfinite(array).all() for array in state.values())


def test_large_numbers_are_no_bad_data() -> None:
    model = ox.Sequential([ox.Input((4,)), nn.Rescaling(1e-30), nn.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(np.full_like(X, 3e38), Y, 10, 1, verbose=0)  # their sum is infinite, which is no warning


def test_data_gone_bad_is_told_with_its_place() -> None:
    x = X.copy()
    x[17, 2] = np.nan
    with pytest.raises(ox.DataError, match=r"holds nan at \[7, 2\] of batch 1, epoch 1"):
        classifier().fit(x, Y, 10, 1, verbose=0, shuffle=False)


def test_a_loss_scale_skips_steps_whose_gradients_overflow() -> None:
    model = classifier()
    model.compile(optim.LossScaleOptimizer(optim.SGD(0.1), initial_scale=1e38), "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.train_on_batch(X * 100, Y)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    for _ in range(200):
        model.train_on_batch(X, Y)
    assert all(np.isfinite(a).all() for a in model.get_weights())
    assert not np.array_equal(before[0], model.get_weights()[0])


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_every_seed_of_32_bits_trains_and_shuffles(seed: int) -> None:
    ox.set_seed(seed)
    model = ox.Sequential([ox.Input((4,)), nn.Dropout(0.5), nn.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, Y, 10, 1, verbose=0)
    assert int(model.state["seed"]) == seed


@pytest.mark.parametrize("seed", [-1, 2**32, 2**63, -(2**80)])
def test_other_seeds_are_refused(seed: int) -> None:
    with pytest.raises(ox.GraphError, match=f"not {seed}"):
        ox.set_seed(seed)
    found = CliRunner().invoke(main, ["train", "digits", "--epochs", "1", "--seed", str(seed)])
    assert found.exit_code == 2
    assert f"not {seed}" in found.output and "Traceback" not in found.output


@pytest.mark.parametrize("step", [2**24, 2**31 - 1, 2**32 + 5, 2**62])
def test_steps_are_counted_and_randomness_goes_on_beyond_any_run(step: int) -> None:
    ox.set_seed(5)
    model = ox.Sequential([ox.Input((4,)), nn.Dropout(0.5), nn.Dense(1, kernel_initializer="ones")])
    model.compile(optim.SGD(optim.schedules.ExponentialDecay(0.0, 1000, 0.9)), "mse")
    y = Y.astype(np.float32)
    model.train_on_batch(X, y)
    model.load_state({**model.state, "step": np.array(step, np.int64)})
    losses = [model.train_on_batch(X, y) for _ in range(3)]
    assert int(model.state["step"]) == step + 3
    assert len(set(losses)) == 3  # another dropout in each step: the weights stay, at a rate of 0


# ---- processes -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="a fork is POSIX's")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_fork_of_a_process_that_has_trained_trains_alike() -> None:
    before = classifier(64)
    before.fit(X, Y, 10, 1, verbose=0)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def child() -> None:
        before.predict(X, verbose=0)
        model = classifier(64)
        model.fit(X, Y, 10, 2, verbose=0)
        theirs.send(model.state)

    process = context.Process(target=child)
    process.start()
    try:
        assert ours.poll(60), "the child hangs"
        state = ours.recv()
    finally:
        process.kill()
        process.join()
    model = classifier(64)
    model.fit(X, Y, 10, 2, verbose=0)
    for name, array in model.state.items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)


@pytest.mark.skipif(sys.platform == "win32", reason="a fork is POSIX's")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_loader_that_forks_its_workers_feeds_a_run() -> None:
    data = pytest.importorskip("torch.utils.data")
    torch = pytest.importorskip("torch")
    loader = data.DataLoader(data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), 10, num_workers=2, timeout=60)
    forked, whole = classifier(), classifier()
    forked.fit(loader, epochs=2, verbose=0)
    whole.fit(X, Y, 10, 2, verbose=0, shuffle=False)
    for name, array in whole.state.items():
        np.testing.assert_array_equal(array, forked.state[name], err_msg=name)


# ---- devices ---------------------------------------------------------------------------------------------------------


def test_cuda_that_was_asked_for_and_is_not_there_stops_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxdl.runtime.sessions.cuda_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(main, ["train", "digits", "--device", "cuda", "--epochs", "1"])
    assert found.exit_code == 2
    assert "CUDA was asked for but does not start here" in found.output
    assert "Traceback" not in found.output
    assert len(found.output.strip().splitlines()) == 1
