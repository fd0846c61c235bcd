"""The gallery on data of the user's own, in the forms that people have it in; and the weights that come with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import onnxdl as ox
from onnxdl.cli.spec import resolve
from onnxdl.models import WEIGHTS, convnet, custom_layer, digits, mlp, text_lstm, vgg16

RNG = np.random.default_rng(0)


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.astype(np.uint8).tobytes()


def mnist(folder: Path) -> None:
    """Images of 28x28 whose upper or lower half is bright."""
    for part, n in (("train", 96), ("t10k", 24)):
        labels = np.arange(n) % 3
        images = RNG.integers(0, 60, (n, 28, 28))
        for k in range(3):
            images[labels == k, 9 * k : 9 * k + 9] += 150
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))


def cifar(folder: Path) -> None:
    for name, n in (("data_batch_1", 48), ("test_batch", 16)):
        records = RNG.integers(0, 256, (n, 3073)).astype(np.uint8)
        records[:, 0] = np.arange(n) % 10
        (folder / f"{name}.bin").write_bytes(records.tobytes())


def learns(name: str, path: Path) -> ox.Model:
    spec = resolve(name)
    (x, y), test = spec.data(str(path))
    ox.set_seed(0)
    model = spec.build(x, y)
    history = model.fit(x, y, 16, 3, validation_data=test, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    return model


@pytest.mark.parametrize(("name", "shape"), [("digits", (1, 8, 8)), ("mlp", (64,))])
def test_mnist(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    mnist(tmp_path)
    model = learns(name, tmp_path)
    assert model.input_specs[0].shape[1:] == shape and model.predict(np.zeros((1, *shape), np.float32)).shape == (1, 3)


def test_cifar(tmp_path: Path) -> None:
    cifar(tmp_path)
    model = learns("convnet", tmp_path)
    assert model.predict(np.zeros((1, 3, 32, 32), np.float32)).shape == (1, 10)
    (x, y), (x_test, y_test) = vgg16.data(str(tmp_path))
    assert (len(x), len(y), len(x_test), len(y_test)) == (48, 48, 16, 16)
    np.testing.assert_allclose(x.std((1, 2, 3)), 1, atol=0.01)


def test_a_table(tmp_path: Path) -> None:
    x = RNG.normal(size=(80, 3))
    lines = [f"{a},{b},{c},{int(a > b)}" for a, b, c in x]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,c,class", *lines]))
    assert learns("mlp", tmp_path / "t.csv").predict(np.zeros((1, 3), np.float32)).shape == (1, 2)


def test_texts_with_held_out_ones_of_their_own(tmp_path: Path) -> None:
    for part, n in (("train", 12), ("test", 4)):
        for k, name in enumerate(("neg", "pos")):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(n):
                (tmp_path / part / name / f"{i}.txt").write_text(f"{['good', 'bad'][k]} film number {i} " * 8)
    (x, y), (x_test, _) = text_lstm.data(str(tmp_path))
    assert x.shape == (24, text_lstm.LENGTH) and y.shape == (24, 2) and len(x_test) == 8
    assert learns("text_lstm", tmp_path).predict(x[:1]).shape == (1, 2)


def test_what_to_download_is_told(tmp_path: Path) -> None:
    mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(ox.FormatError, match=r"train-labels.*https://"):
        digits.data(str(tmp_path))


@pytest.mark.parametrize("name", sorted(file.stem for file in WEIGHTS.glob("*.onnx")))
def test_every_shipped_file_is_small_and_predicts(name: str) -> None:
    assert (WEIGHTS / f"{name}.onnx").stat().st_size < 2_000_000
    model = ox.load(name)
    feeds = [np.zeros([d if isinstance(d, int) else 2 for d in spec.shape], spec.dtype) for spec in model.input_specs]
    assert np.isfinite(model.predict(feeds[0] if len(feeds) == 1 else feeds)).all()


@pytest.mark.parametrize(("module", "least"), [(digits, 0.99), (mlp, 0.97), (custom_layer, 0.97), (convnet, 0.93)])
def test_shipped_weights_are_trained(module: object, least: float) -> None:
    name = str(module.__name__).rpartition(".")[2]  # type: ignore[attr-defined]
    _, (x, y) = module.data()  # type: ignore[attr-defined]
    assert (ox.load(name).predict(x, 256).argmax(1) == y).mean() >= least


def test_weights_that_are_not_there() -> None:
    with pytest.raises(ox.FormatError, match=r"no file vgg99, and no trained gallery system of that name; trained are .*digits"):
        ox.load("vgg99")


def test_vgg16_takes_kerass_weights(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    options = {"image": (64, 64, 3), "classes": 5, "filters": 2, "units": 6, "data_format": "channels_last"}
    ox.set_seed(1)
    source, target = vgg16.vgg16(**options), vgg16.vgg16(**options)
    source.ensure_built()
    weights = dict(source.named_parameters())
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in weights))
    with h5py.File(tmp_path / "vgg16_weights.h5", "w") as file:
        file.attrs["layer_names"], file.attrs["backend"] = [layer.encode() for layer in layers], b"tensorflow"
        for layer in layers:
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/kernel:0".encode(), f"{layer}/bias:0".encode()]
            kernel = weights[f"{layer}.kernel"].value
            group[f"{layer}/kernel:0"] = kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel
            group[f"{layer}/bias:0"] = weights[f"{layer}.bias"].value
    loaded = ox.load(tmp_path / "vgg16_weights.h5", target)
    x = RNG.normal(size=(2, 64, 64, 3)).astype(np.float32) * 9
    np.testing.assert_allclose(loaded.predict(x), source.predict(x), rtol=1e-5)
    first = vgg16.vgg16((3, 64, 64), 5, 2, 6)  # the same in the other layout: fc1 counts pixels in another order
    first.ensure_built()
    values = {name: weights[name].value for name in weights}
    values["fc1.kernel"] = values["fc1.kernel"].reshape(2, 2, 16, 6).transpose(2, 0, 1, 3).reshape(64, 6)
    first.load_state({**first.state, **values})
    np.testing.assert_allclose(first.predict(x.transpose(0, 3, 1, 2)), source.predict(x), rtol=1e-4)


def test_vgg16_takes_pytorchs_weights(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class VGG(torch.nn.Module):  # the modules of torchvision's, under its names
        def __init__(self) -> None:
            super().__init__()
            layers, channels = [], 3
            for depth, factor in vgg16.BLOCKS:
                for _ in range(depth):
                    layers += [torch.nn.Conv2d(channels, 2 * factor, 3, padding=1), torch.nn.ReLU()]
                    channels = 2 * factor
                layers.append(torch.nn.MaxPool2d(2))
            self.features = torch.nn.Sequential(*layers)
            dense = [torch.nn.Linear(a, b) for a, b in ((64, 6), (6, 6), (6, 5))]
            self.classifier = torch.nn.Sequential(dense[0], torch.nn.ReLU(), torch.nn.Dropout(), dense[1], torch.nn.ReLU(), dense[2])

        def forward(self, x: object) -> object:
            return torch.softmax(self.classifier(torch.flatten(self.features(x), 1)), 1)

    torch.manual_seed(0)
    module = VGG().eval()
    torch.save(module.state_dict(), tmp_path / "vgg16.pth")
    model = ox.load(tmp_path / "vgg16.pth", vgg16.vgg16((3, 64, 64), 5, 2, 6))
    x = RNG.normal(size=(2, 3, 64, 64)).astype(np.float32) * 9
    with torch.no_grad():
        expected = module(torch.tensor(x)).numpy()
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-5)
