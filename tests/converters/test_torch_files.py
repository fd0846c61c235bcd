"""PyTorch's files of weights, read and written without torch."""

from __future__ import annotations

import collections
import io
import json
import pickle
import struct
import warnings
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn, optim
from onnxdl.converters.torch.files import read_weights
from onnxdl.nn import losses

torch = pytest.importorskip("torch")

from torch import nn as tn  # noqa: E402


def _net() -> Any:
    return tn.Sequential(tn.Conv2d(1, 4, 3), tn.BatchNorm2d(4), tn.ReLU(), tn.Flatten(), tn.Linear(144, 8), tn.Tanh(), tn.Linear(8, 3))


def _ours() -> ox.Sequential:
    return ox.Sequential(
        [
            ox.Input((1, 8, 8)),
            nn.Conv2D(4, 3),
            nn.BatchNormalization(momentum=0.9, epsilon=1e-5),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dense(8, activation="tanh"),
            nn.Dense(3),
        ]
    )


@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts_of_both_formats(tmp_path: Path, zipped: bool) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    state = collections.OrderedDict(
        a=base.t(),
        b=base[1:, 2:],
        half=base.half(),
        wide=base.double(),
        brain=base.bfloat16(),
        ids=torch.tensor([[3]]),
        yes=torch.tensor(True),
    )
    torch.save(state, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    arrays = read_weights(tmp_path / "w.pt").arrays
    assert list(arrays) == list(state)
    for name, tensor in state.items():
        assert arrays[name].astype(np.float64).tolist() == tensor.double().tolist(), name
    assert str(arrays["brain"].dtype) == "bfloat16"


def test_checkpoints_and_what_stands_beside(tmp_path: Path) -> None:
    module = _net()
    state = {f"module.{n}": t for n, t in module.state_dict().items()}
    torch.save({"epoch": 3, "args": {"lr": 0.1}, "state_dict": state, "best": 0.5}, tmp_path / "c.pth")
    model = ox.load(module, example_inputs=(torch.randn(2, 1, 8, 8),))
    other = _net()
    torch.save(other.state_dict(), tmp_path / "o.pth")
    ox.load(tmp_path / "o.pth", model)
    x = torch.randn(2, 1, 8, 8)
    assert np.allclose(model.predict(x.numpy(), verbose=0), other.eval()(x).detach().numpy(), atol=1e-5)
    ox.load(tmp_path / "c.pth", model)
    assert np.allclose(model.predict(x.numpy(), verbose=0), module.eval()(x).detach().numpy(), atol=1e-5)


KINDS = {
    "Adam": (lambda: optim.Adam(1e-2, epsilon=1e-8), lambda p: torch.optim.Adam(p, 1e-2)),
    "AMSGrad": (lambda: optim.Adam(1e-2, epsilon=1e-8, amsgrad=True), lambda p: torch.optim.Adam(p, 1e-2, amsgrad=True)),
    "AdamW": (lambda: optim.AdamW(1e-2, 0.1, epsilon=1e-8), lambda p: torch.optim.AdamW(p, 1e-2, weight_decay=0.1)),
    "SGD": (lambda: optim.SGD(1e-2, momentum=0.9, nesterov=True), lambda p: torch.optim.SGD(p, 1e-2, momentum=0.9, nesterov=True)),
    "RMSprop": (
        lambda: optim.RMSprop(1e-2, 0.99, momentum=0.5, epsilon=1e-16, centered=True),
        lambda p: torch.optim.RMSprop(p, 1e-2, momentum=0.5, centered=True),
    ),
}


def _batches() -> list[tuple[Any, Any]]:
    torch.manual_seed(0)
    x, y = torch.randn(32, 1, 8, 8), torch.randint(0, 3, (32,))
    return [(x[:16], y[:16]), (x[16:], y[16:])]


def _their_steps(module: Any, optimizer: Any, n: int) -> list[float]:
    found = []
    for i in range(n):
        x, y = _batches()[i % 2]
        optimizer.zero_grad()
        loss = tn.functional.cross_entropy(module.train()(x), y)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def _our_steps(model: Any, n: int) -> list[float]:
    return [model.train_on_batch(*(t.numpy() for t in _batches()[i % 2])) for i in range(n)]


@cache
def _both() -> list[Any]:
    """A model of layers made here, and one that was a module."""
    return [_ours(), ox.load(_net(), example_inputs=(_batches()[0][0],))]


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_here_and_in_torch(tmp_path: Path, kind: str) -> None:
    mine, torchs = KINDS[kind]
    module = _net()
    optimizer = torchs(module.parameters())
    _their_steps(module, optimizer, 4)
    torch.save({"model": module.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.pth")
    expected = _their_steps(module, optimizer, 6)
    for model in _both():
        model.compile(mine(), losses.SparseCategoricalCrossentropy(from_logits=True))
        ox.load(tmp_path / "c.pth", model)
        assert np.allclose(_our_steps(model, 4), expected[:4], atol=1e-5)
        model.export(tmp_path / "back.ckpt", format="torch")
        held = torch.load(tmp_path / "back.ckpt", weights_only=True)
        back = _net()
        state = held["state_dict"]
        if "0.weight" not in state:  # layers made here have names of their own
            state = dict(zip(back.state_dict(), state.values(), strict=True))
        back.load_state_dict(state, strict=True)
        again = torchs(back.parameters())
        again.load_state_dict(held["optimizer_state_dict"])
        assert np.allclose(_their_steps(back, again, 2), expected[4:], atol=1e-5)


def test_what_an_optimizer_lacks_is_refused(tmp_path: Path) -> None:
    module = _net()
    optimizer = torch.optim.Adam(module.parameters())
    torch.save({"model": module.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.pth")
    model = _ours()
    with pytest.raises(ox.ConversionError, match="compile it, or write"):
        model.export(tmp_path / "c.ckpt", format="torch")
    for other, message in (
        (optim.Nadam(), "compile with Adam, AdamW, SGD or RMSprop"),
        (optim.SGD(momentum=0.5), "is no SGD"),
        (optim.Adam(beta_1=0.5), r"has betas = \(0.9, 0.999\), the model was compiled with \(0.5, 0.999\)"),
    ):
        model.compile(other, "mse")
        with pytest.raises(ox.ConversionError, match=message):
            ox.load(tmp_path / "c.pth", model)
    for other, message in (
        (optim.Nadam(), "no optimizer of the formula of Nadam"),
        (optim.SGD(weight_decay=0.1), "SGD has no weight_decay"),
        (optim.Adam(use_ema=True), "Adam has no use_ema"),
    ):
        model.compile(other, "mse")
        with pytest.raises(ox.ConversionError, match=message):
            model.export(tmp_path / "c.ckpt", format="torch")
    lstm = ox.Sequential([ox.Input((3, 2)), nn.LSTM(2, name="rnn")])
    lstm.compile("adam", "mse")
    lstm.train_on_batch(np.ones((1, 3, 2), np.float32), np.ones((1, 2), np.float32))
    with pytest.raises(ox.ConversionError, match="torch trains two biases where rnn has their sum"):
        lstm.export(tmp_path / "c.ckpt", format="torch")


class _Layers(tn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = tn.Embedding(9, 6)
        self.rnn = tn.LSTM(6, 4, batch_first=True, bidirectional=True)
        self.gru = tn.GRU(8, 5, batch_first=True)
        self.plain = tn.RNN(5, 8, batch_first=True)
        self.attend = tn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = tn.LayerNorm(8)

    def forward(self, ids: Any) -> Any:
        y = self.plain(self.gru(self.rnn(self.embed(ids))[0])[0])[0]
        return self.norm(self.attend(y, y, y)[0])


def test_every_layer_from_torch_and_back(tmp_path: Path) -> None:
    module = _Layers().eval()
    torch.save(module.state_dict(), tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    ids = ox.Input((5,), dtype="int64")
    y = nn.Embedding(9, 6, name="embed")(ids)
    y = nn.Bidirectional(nn.LSTM(4, return_sequences=True), name="rnn")(y)
    y = nn.GRU(5, return_sequences=True, name="gru")(y)
    y = nn.SimpleRNN(8, return_sequences=True, name="plain")(y)
    y = nn.MultiHeadAttention(2, 4, name="attend")(y, y)
    model = ox.Model(ids, nn.LayerNormalization(epsilon=1e-5, name="norm")(y))
    ox.load(tmp_path / "w.pth", model)
    x = torch.randint(0, 9, (3, 5))
    assert np.allclose(model.predict(x.numpy(), verbose=0), module(x).detach().numpy(), atol=1e-5)
    for name in ("back.pth", "back.safetensors"):
        ox.convert(tmp_path / "w.pth", tmp_path / name, model)
        back = read_weights(tmp_path / name).arrays
        copy = _Layers().eval()
        copy.load_state_dict({n: torch.from_numpy(np.array(a)) for n, a in back.items()}, strict=True)
        assert torch.allclose(copy(x), module(x), atol=1e-5)


def test_misfits_are_listed_in_one_line(tmp_path: Path) -> None:
    torch.save(tn.Sequential(tn.Linear(4, 3), tn.Linear(3, 2)).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ox.ConversionError, match=r"2 modules with weights.*1 such layers"):
        ox.load(tmp_path / "w.pth", ox.Sequential([ox.Input((4,)), nn.Dense(3)]))
    with pytest.raises(ox.ConversionError, match=r"of another shape: 1\.weight \[2, 3\] for \[5, 3\] of the Dense"):
        ox.load(tmp_path / "w.pth", ox.Sequential([ox.Input((4,)), nn.Dense(3), nn.Dense(5)]))
    model = ox.load(tn.Linear(4, 3), example_inputs=(torch.randn(2, 4),))
    with pytest.raises(ox.ConversionError, match=r"2 missing: weight, bias; 4 unexpected: 0\.weight"):
        ox.load(tmp_path / "w.pth", model)
    with pytest.raises(ox.ConversionError, match="pass the architecture"):
        ox.load(tmp_path / "w.pth")


class Evil:
    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit('code from the file ran')",))


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2), "x": Evil()}, tmp_path / "e.pth")
    with pytest.raises(ox.ConversionError, match="no weights by name"):
        ox.load(tmp_path / "e.pth", _ours())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(_net(), tmp_path / "m.pth")
        torch.save(_net(), tmp_path / "l.pth", _use_new_zipfile_serialization=False)
        torch.jit.save(torch.jit.script(tn.Linear(2, 2)), tmp_path / "s.pt")
    with pytest.raises(ox.ConversionError, match=r"whole torch\.nn\.modules\.container\.Sequential.*state_dict"):
        ox.load(tmp_path / "m.pth", _ours())
    with pytest.raises(ox.ConversionError, match="whole module"):
        ox.load(tmp_path / "l.pth", _ours())
    with pytest.raises(ox.ConversionError, match=r"TorchScript.*state_dict"):
        ox.load(tmp_path / "s.pt", _ours())


def _bytes(**options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(_net().state_dict(), file, **options)
    return file.getvalue()


def test_damaged_files_end_in_errors_of_ours(tmp_path: Path) -> None:
    model, path = _ours(), tmp_path / "d.pth"
    rng = np.random.default_rng(0)
    for data in (_bytes(), _bytes(_use_new_zipfile_serialization=False)):
        for _ in range(60):
            damaged = bytearray(data[: rng.integers(1, len(data))] if rng.random() < 0.3 else data)
            for _ in range(3):
                damaged[rng.integers(len(damaged))] = rng.integers(256)
            path.write_bytes(bytes(damaged))
            try:
                ox.load(path, model)
            except (ox.FormatError, ox.ConversionError):
                continue


def test_sizes_are_checked_before_anything_is_allocated(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "big.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"12345678")
    (tmp_path / "head.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    (tmp_path / "memo.pth").write_bytes(_legacy(b"\x80\x02}r\xff\xff\xff\x7f."))
    with zipfile.ZipFile(tmp_path / "zip.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", _reference(2**40))
        archive.writestr("a/data/0", b"1234")
        archive.writestr("../../outside", b"x")
    for name in ("big.safetensors", "head.safetensors", "memo.pth", "zip.pth"):
        with pytest.raises(ox.FormatError):
            ox.load(tmp_path / name, _ours())


def _legacy(body: bytes) -> bytes:
    return b"".join(pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})) + body


def _reference(size: int) -> bytes:
    """A state_dict of one tensor that claims a size."""
    from onnxdl.converters.torch import saving

    shape, claimed = saving._pickled((1,), {}), b"(\x8a\x08" + struct.pack("<q", size) + b"t"
    return b"\x80\x02" + saving._pickled({"w": np.ones(1, np.float32)}, {}).replace(shape, claimed, 1) + b"."


def test_a_model_made_here_as_source(tmp_path: Path) -> None:
    ids = ox.Input((7,), dtype="int64", name="ids")
    x = nn.Embedding(11, 6)(ids)
    y = nn.Add()([nn.LSTM(5, return_sequences=True)(x), nn.GRU(5, return_sequences=True)(x)])
    functional = ox.Model(ids, [nn.Dense(3, activation="gelu")(nn.LayerNormalization()(y)), nn.GlobalMaxPooling1D()(y)])
    convolutional = ox.Sequential(
        [
            ox.Input((3, 9, 8)),
            nn.Conv2D(4, 3, strides=2, padding="same", activation="relu", use_bias=False),
            nn.BatchNormalization(),
            nn.DepthwiseConv2D(3, padding="same"),
            nn.MaxPooling2D(2, padding="same"),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Dense(5, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(0)
    for model, data in ((functional, rng.integers(0, 11, (2, 7))), (convolutional, rng.standard_normal((2, 3, 9, 8)).astype(np.float32))):
        model.export(tmp_path / "net.py", format="torch")
        made: dict[str, Any] = {}
        exec((tmp_path / "net.py").read_text(), made)
        net = made["Net"]()
        net.load_state_dict(torch.load(tmp_path / "net.pth", weights_only=True), strict=True)
        expected = net.eval()(torch.from_numpy(data))
        got = model.predict(data, verbose=0)
        pairs = zip(got, expected, strict=True) if isinstance(got, list) else [(got, expected)]
        assert all(np.allclose(a, b.detach().numpy(), atol=1e-5) for a, b in pairs)
    with pytest.raises(ox.ConversionError, match=r"no equal of .*\(Lambda\)"):
        ox.Sequential([ox.Input((4,)), nn.Lambda(lambda x: x)]).export(tmp_path / "no.py", format="torch")
