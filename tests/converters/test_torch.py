"""PyTorch modules and exported programs: the same numbers, the same training, the same state."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import optim

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from onnxdl.converters.torch.writing import state_of  # noqa: E402
from tests.converters.torch_parity import away, factors, flat, ours, theirs  # noqa: E402


class Convolutional(nn.Module):
    """Convolution, batch normalization, an unused buffer, tied weights, a branch of its own in training."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.0)
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0, 4.0]), persistent=False)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Any) -> Any:
        if self.training:
            self.calls += 1
        y = torch.relu_(self.norm(self.conv(x)))
        y = y.clone()
        y[:, 0] += 1
        return self.second(self.first(self.drop(y).mean((2, 3)) * self.scale))


class Recurrent(nn.Module):
    """Embedding with padding, a bidirectional LSTM of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 6, padding_idx=0)
        self.lstm = nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, 3)

    def forward(self, ids: Any) -> Any:
        y, (h, _) = self.lstm(self.embed(ids))
        return {"logits": self.head(y), "state": h}


class Transformer(nn.Module):
    """An encoder layer of torch's own, with a mask, and a part that no gradient goes through."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, activation="gelu")
        self.gate = nn.Linear(8, 8)

    def forward(self, x: Any, keep: Any) -> Any:
        with torch.no_grad():
            gate = torch.sigmoid(self.gate(x))
        return self.layer(x, src_key_padding_mask=~keep) * gate + self.gate(x.detach())


def _nets() -> list[tuple[Any, dict[str, Any]]]:
    torch.manual_seed(0)
    ids = torch.tensor([[1, 4, 0, 0], [2, 3, 5, 1], [10, 9, 8, 0]])
    keep = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    return [
        (Convolutional(), {"x": torch.randn(3, 2, 5, 6)}),
        (Recurrent(), {"ids": ids}),
        (Transformer(), {"x": torch.randn(2, 5, 8), "keep": keep}),
    ]


def _results(model: Any, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    got = model.predict_on_batch(arrays if len(arrays) > 1 else next(iter(arrays.values())))
    return list(got.values()) if isinstance(got, dict) else got if isinstance(got, list) else [got]


def _assert_alike(found: dict[str, Any], reference: dict[str, Any]) -> None:
    """Outputs, buffers, and gradients as parts of the largest one: that of a bias before a normalization is noise."""
    largest = max(float(np.abs(v).max()) for n, v in reference.items() if n.startswith("grad/"))
    for name, value in reference.items():
        if name.startswith("next/") and name not in found:
            continue
        mine = found.get(name, np.zeros_like(value))
        scale = largest if name.startswith("grad/") else max(float(np.abs(value).max()), 1e-6)
        assert mine.shape == value.shape and float(np.abs(mine - value).max()) < 1e-4 * scale, name


@pytest.mark.parametrize("which", range(3))
def test_modules(which: int, tmp_path: Path) -> None:
    module, inputs = _nets()[which]
    model = ox.load(module, example_inputs=tuple(inputs.values()))
    names = [s.name for s in model.input_specs]
    arrays = dict(zip(names, [v.numpy() for v in inputs.values()], strict=True))
    module.eval()
    for got, wanted in zip(_results(model, arrays), flat(module(*inputs.values())), strict=True):
        assert away(got, wanted.detach().numpy()) < 1e-5
    one = {n: a[:1] for n, a in arrays.items()}  # another batch size
    for got, wanted in zip(_results(model, one), flat(module(*[v[:1] for v in inputs.values()])), strict=True):
        assert away(got, wanted.detach().numpy()) < 1e-5
    path = tmp_path / "back.pth"
    model.export(path, format="torch")
    copy = type(module)()
    copy.load_state_dict(torch.load(path, weights_only=True), strict=True)
    assert all(torch.equal(a, b) for a, b in zip(copy.state_dict().values(), module.state_dict().values(), strict=True))
    reference = theirs(module, inputs, factors, by_name=False)
    found = ours(model, arrays, factors([v for n, v in reference.items() if n.startswith("output/")]))
    _assert_alike(found, reference)
    if which == 0:
        _goes_on_in_torch(model, type(module)(), inputs["x"], tmp_path / "run.ckpt")


def _goes_on_in_torch(model: Any, module: Any, x: Any, path: Path) -> None:
    """A weight that is tied, and one that is frozen, keep their places among the optimizer's."""
    y = torch.zeros(len(x), 4)
    frozen = next(p for n, p in model.named_parameters() if n.endswith("conv.bias"))
    frozen.trainable = module.conv.bias.requires_grad = False
    model.compile(optim.Adam(1e-2, epsilon=1e-8), "mse")
    for _ in range(3):
        model.train_on_batch(x.numpy(), y.numpy())
    model.export(path, format="torch")
    held = torch.load(path, weights_only=True)
    module.load_state_dict(held["state_dict"])
    optimizer = torch.optim.Adam(module.parameters())
    optimizer.load_state_dict(held["optimizer_state_dict"])
    for _ in range(3):
        optimizer.zero_grad()
        loss = (module.train()(x) - y).square().mean()
        loss.backward()
        optimizer.step()
        assert model.train_on_batch(x.numpy(), y.numpy()) == pytest.approx(loss.item(), rel=1e-4)


def test_training_state_and_tied_weights() -> None:
    module, inputs = _nets()[0]
    model = ox.load(module, example_inputs=(inputs["x"],))
    names = [n for n, _ in model.named_parameters()]
    assert "first.weight" in names and "second.weight" not in names and "scale" not in names
    assert set(state_of(model)) == set(module.state_dict())
    model.compile(optim.SGD(0.1), "mse")
    before = state_of(model)
    model.train_on_batch(inputs["x"].numpy(), np.zeros((3, 4), np.float32))
    after = state_of(model)
    assert after["norm.num_batches_tracked"] == 1 and after["calls"] == 1
    assert not np.allclose(before["norm.running_var"], after["norm.running_var"])
    assert np.array_equal(after["first.weight"], after["second.weight"])
    model.layers[-1].trainable = False
    assert model.trainable_weights == []


def test_dropout_drops_in_training_only() -> None:
    module = nn.Sequential(nn.Dropout(0.5))
    model = ox.load(module, example_inputs=(torch.ones(2, 300),))
    x = np.ones((2, 300), np.float32)
    assert np.array_equal(model.predict(x, verbose=0), x)
    dropped = ours(model, {model.input_specs[0].name: x}, [x])["output/0"]
    assert set(np.unique(dropped)) == {0.0, 2.0} and 0.4 < (dropped == 0).mean() < 0.6


class StochasticDepth(nn.Module):
    """Stochastic depth, as model collections write it."""

    def forward(self, x: Any) -> Any:
        if not self.training:
            return x
        return x * x.new_empty((x.shape[0], 1)).bernoulli_(0.5).div_(0.5)


def test_stochastic_depth(tmp_path: Path) -> None:
    x = np.ones((400, 2), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(
            torch.export.export(StochasticDepth(), (torch.ones(4, 2),), dynamic_shapes=({0: torch.export.Dim.AUTO},)), tmp_path / "m.pt2"
        )
    for model in (ox.load(StochasticDepth(), example_inputs=(torch.ones(4, 2),)), ox.load(tmp_path / "m.pt2")):
        assert np.array_equal(model.predict(x, verbose=0), x)
        dropped = ours(model, {"x": x}, [x])["output/0"]
        assert set(np.unique(dropped)) == {0.0, 2.0} and np.array_equal(dropped[:, 0], dropped[:, 1])
        assert 0.4 < (dropped == 0).mean() < 0.6


def test_exported_file_is_read_without_torch(tmp_path: Path) -> None:
    module, inputs = _nets()[0]
    path = tmp_path / "m.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module.train(), tuple(inputs.values()), dynamic_shapes={"x": {0: torch.export.Dim.AUTO}})
        torch.export.save(program, path)
    model = ox.load(path)
    x = inputs["x"].numpy()
    assert away(model.predict(x[:2], verbose=0), module.eval()(inputs["x"][:2]).detach().numpy()) < 1e-5
    reference = theirs(module, inputs, factors, by_name=False)
    found = ours(model, {"x": x}, factors([reference["output/0"]]))
    _assert_alike(found, {n: v for n, v in reference.items() if n != "next/calls"})


class Strange(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.fft.fft(x).abs() + torch.special.i1(x)


def test_missing_operators_are_listed_at_once() -> None:
    with pytest.raises(ox.ConversionError, match=r"Strange uses 2 operators .*_fft.*special_i1.*exporter='onnx'"):
        ox.load(Strange(), example_inputs=(torch.randn(2, 4),))
    with pytest.raises(ox.ConversionError, match="example_inputs"):
        ox.load(Strange())
    with pytest.raises(ox.ConversionError, match="unknown exporter"):
        ox.load(Strange(), example_inputs=(torch.randn(2, 4),), exporter="other")


class Packs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 4, batch_first=True, proj_size=2)

    def forward(self, x: Any, lengths: Any) -> Any:
        return self.rnn(nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True))[0].data


def test_packed_sequences_are_refused() -> None:
    x, lengths = torch.randn(2, 5, 3), torch.tensor([5, 3])
    with pytest.raises(ox.ConversionError, match=r"cannot follow Packs: .*; if it packs sequences, leave them padded"):
        ox.load(Packs(), example_inputs=(x, lengths))
    with pytest.raises(ox.ConversionError, match="LSTM is given a PackedSequence, which has no equal here"):
        ox.load(Packs().rnn, example_inputs=nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True))


class Sizes(nn.Module):
    """Arithmetic with sizes, and shapes that depend on data."""

    def forward(self, x: Any, n: Any) -> Any:
        b, t = x.shape[:2]
        half = x[:, : t // 2].reshape(b, -1)
        places = torch.arange(t, device=x.device)
        padded = torch.nn.functional.pad(x, (0, 0, 0, t % 3 + 1))
        rest = torch.zeros(b, t * 2 - 1) + (b + t) / 2 + max(b, 3) - min(t, 4) + math_of(t)
        return half, places, padded, rest, x.new_full((b, t, 1), 2.0).expand(-1, -1, 3), x.mean() * n.item()


def math_of(t: Any) -> Any:
    import math

    return math.ceil(t / 2) + math.floor(t / 3) + (-t) + t**2


def test_symbolic_sizes() -> None:
    anything = torch.export.Dim.AUTO
    inputs = (torch.randn(4, 6, 3), torch.tensor([2.0]))
    model = ox.load(Sizes(), example_inputs=inputs, dynamic_shapes={"x": {0: anything, 1: anything}, "n": {}})
    for shape in ((4, 6, 3), (2, 7, 3)):
        x = torch.randn(*shape)
        arrays = dict(zip([s.name for s in model.input_specs], [x.numpy(), inputs[1].numpy()], strict=True))
        for got, wanted in zip(_results(model, arrays), Sizes()(x, inputs[1]), strict=True):
            assert np.shape(got) == tuple(wanted.shape) and away(got, wanted.numpy()) < 1e-5


class Windows(nn.Module):
    """Attention in windows: a batch times as large, and a size left to be told from the others."""

    def forward(self, x: Any) -> Any:
        b, n, _ = x.shape
        q, k, v = x.reshape(b * 4, n // 4, 3, 2, -1).permute(2, 0, 3, 1, 4).unbind(0)
        return q + k * v


def test_sizes_known_beside_unknown_ones() -> None:
    model = ox.load(Windows(), example_inputs=(torch.randn(2, 8, 24),))
    x = torch.randn(3, 8, 24)
    assert away(model.predict(x.numpy(), verbose=0), Windows()(x).numpy()) < 1e-6


class Branches(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.cond(x.sum() > 0, lambda x: x.sin() * 2, lambda x: x.cos() - 1, (x,))


def test_condition() -> None:
    model = ox.load(Branches(), example_inputs=(torch.ones(3, 2),))
    for sign in (1, -1):
        x = np.full((3, 2), 0.5 * sign, np.float32)
        assert away(model.predict(x, verbose=0), Branches()(torch.from_numpy(x)).numpy()) < 1e-6


class Selects(nn.Module):
    def forward(self, x: Any, n: Any) -> Any:
        return torch.masked_select(x, x > 0).sum(), torch.repeat_interleave(torch.ones(3), n, output_size=6) * 2


def test_what_depends_on_data() -> None:
    x, n = torch.randn(3, 4), torch.tensor([1, 2, 3])
    model = ox.load(Selects(), example_inputs=(x, n), dynamic_shapes=({}, {}))
    arrays = dict(zip([s.name for s in model.input_specs], [x.numpy(), n.numpy()], strict=True))
    for got, wanted in zip(_results(model, arrays), Selects()(x, n), strict=True):
        assert away(got, wanted.numpy()) < 1e-6
