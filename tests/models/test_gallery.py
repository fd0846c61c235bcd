"""Every system of the gallery in a shortened form: real steps, a loss that falls, a file that predicts the same."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

import onnxdl as ox
from onnxdl import attribution, nn, optim
from onnxdl.cli.spec import gallery
from onnxdl.models import (
    autoencoder,
    convnet,
    custom_layer,
    dcgan,
    digits,
    embedding,
    filters,
    gan,
    nonlinearities,
    resnet,
    text_lstm,
    toy_graph,
    vgg16,
)

N = 128
FITTED = ("autoencoder", "convnet", "custom_layer", "digits", "embedding", "mlp", "resnet", "text_lstm", "vgg16")
OTHERS = ("dcgan", "deconvnet", "filters", "gan", "nonlinearities", "toy_graph")
TEXTS = ("gpt", "word2vec")  # test_texts.py


@pytest.fixture(autouse=True)
def seed() -> None:
    ox.set_seed(0)


def few(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A few of the system's real samples."""
    data = importlib.import_module("onnxdl.models." + {"autoencoder": "mlp"}.get(name, name)).data
    (x, y), _ = data()
    chosen = np.random.default_rng(0).permutation(len(x))[: 2048 if name == "embedding" else N]
    return x[chosen], x[chosen] if name == "autoencoder" else y[chosen]


def survives_the_file(model: ox.Model, x: Any, path: Path) -> None:
    """Saved and loaded, and run by plain ONNX Runtime, the model predicts what it did."""
    model.save(path)
    expected = model.predict(x)
    np.testing.assert_allclose(ox.load(path).predict(x), expected, rtol=1e-5, atol=1e-6)
    session = ort.InferenceSession(path)
    np.testing.assert_allclose(session.run(None, {session.get_inputs()[0].name: x})[0], expected, rtol=1e-4, atol=1e-5)


def test_every_system_is_tested() -> None:
    assert sorted((*FITTED, *OTHERS, *TEXTS)) == gallery()


@pytest.mark.parametrize("name", FITTED)
def test_a_system_learns_and_survives_the_file(name: str, tmp_path: Path) -> None:
    x, y = few(name)
    model = importlib.import_module(f"onnxdl.models.{name}").build()
    losses = model.fit(x, y, batch_size=32, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    survives_the_file(model, x[:8], tmp_path / "model.onnx")


def test_the_toy_graph(tmp_path: Path) -> None:
    assert toy_graph.main(tmp_path) == {"f": -14.0, "df/dx": 3.0, "df/dy": -2.0, "d2f/dx2": 4.0}
    assert (tmp_path / "toy_graph.svg").read_text().startswith("<svg")


def test_the_lectures_layer_has_the_right_gradient() -> None:
    assert 0 < custom_layer.gradient_error() < 1e-2


def test_derivatives_of_nonlinearities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("softmax", "sigmoid"):
        y, dy = nonlinearities.curve(name)
        np.testing.assert_allclose(dy, y * (1 - y), atol=1e-6)
    monkeypatch.setattr(nonlinearities, "NAMES", ["tanh", "softmax", "hard_shrink", "gelu"])
    assert nonlinearities.main(tmp_path)["largest relative error"] < 1e-3
    assert (tmp_path / "nonlinearities.png").stat().st_size > 10_000


def test_filters_are_learned() -> None:
    x, wanted = filters.photograph()[:, None], filters.kernels(filters.FILTERS_1D)
    learned, model = filters.learn(x, wanted, epochs=60)
    assert filters.cosines(wanted, learned).min() > 0.99
    np.testing.assert_allclose(filters.convolve(x, learned), model.predict(x), atol=1e-5)


def test_an_image_filter_is_what_numpy_says() -> None:
    image = filters.photograph()[:20, :20]
    kernel = filters.kernels(filters.FILTERS_2D)[2]
    expected = sum(kernel[0, i, j] * np.pad(image, 2)[i : i + 20, j : j + 20] for i in range(5) for j in range(5))
    np.testing.assert_allclose(filters.convolve(image[None, None], kernel[None])[0, 0], expected, atol=1e-6)


def test_noise_enters_the_variational_code_in_training_only(tmp_path: Path) -> None:
    x, _ = few("autoencoder")
    model, decoder = autoencoder.build_variational()
    losses = model.fit(x, x, 32, 5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(model.predict(x), model.predict(x))
    assert decoder.predict(np.zeros((1, 2), np.float32)).shape == (1, 64)
    survives_the_file(model, x[:8], tmp_path / "model.onnx")


def test_masking_passes_over_padding() -> None:
    x, y = few("text_lstm")
    model = text_lstm.build_masked()
    losses = model.fit(x, y, 32, 3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(model.predict(np.pad(x, [(0, 0), (30, 0)])), model.predict(x), rtol=1e-4, atol=1e-6)


def test_texts_of_ones_own(tmp_path: Path) -> None:
    for k in range(3):
        (tmp_path / str(k)).mkdir()
        for i in range(4):
            (tmp_path / str(k) / f"{i}.txt").write_text(f"Word{k} and more, " * (20 * i + 1))
    (x, y), (x_test, y_test) = text_lstm.data(str(tmp_path))
    assert x.shape[1] == text_lstm.LENGTH and len(x) == len(y) and len(x_test) == len(y_test) == 2 and y.shape[1] == 3
    assert x.max() <= text_lstm.n_words and (x[:, -1] > 0).all()


def test_the_entropies_that_an_embedding_lies_between() -> None:
    (x, y), test = embedding.data()
    any_letter, known_letter = embedding.entropies(*test)
    model = embedding.build()
    model.fit(x, y, 1024, 1, verbose=0)
    assert known_letter < model.evaluate(*test, 4096)[0] < any_letter


def test_the_game_of_two_networks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gan, "STEPS_PER_EPOCH", 150)
    real, generator, discriminator = gan.mixture(20_000), gan.build(), gan.network(1, "leaky_relu", "discriminator")
    both = gan.game(generator, discriminator, learning_rate=1e-3)
    z = gan.noise(np.random.default_rng(3), 2000)
    before = gan.measure(generator.predict(z), real)
    assert list(gan.play(generator, discriminator, both, real, 2, 128)) == [0, 1]
    after = gan.measure(generator.predict(z), real)
    assert after["distance"] < before["distance"] / 1.5
    survives_the_file(generator, z[:8], tmp_path / "model.onnx")


def test_the_game_with_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gan, "STEPS_PER_EPOCH", 10)
    (x, _), _ = digits.data()
    generator, discriminator = dcgan.build(), dcgan.build_discriminator()
    both = gan.game(generator, discriminator, learning_rate=1e-3)
    z = gan.noise(np.random.default_rng(3), 8)
    before = generator.predict(z)
    list(gan.play(generator, discriminator, both, x * 2 - 1, 1, 32))
    made = generator.predict(z)
    assert made.shape == (8, 1, 8, 8) and np.abs(made).max() <= 1 and np.abs(made - before).max() > 0.05
    logits = discriminator.predict(np.concatenate([x[:64] * 2 - 1, generator.predict(gan.noise(np.random.default_rng(4), 64))]))
    assert logits[:64].mean() > logits[64:].mean()
    survives_the_file(generator, z, tmp_path / "model.onnx")


def test_the_papers_numbers_of_parameters() -> None:
    assert convnet.alexnet().count_params() == 60_965_224
    assert vgg16.vgg16().count_params() == 138_357_544
    trained = {depth: sum(p.size for p in resnet.resnet(depth).trainable_weights) for depth in resnet.IMAGENET}
    assert trained == {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}
    small = {depth: sum(p.size for p in resnet.resnet_cifar(depth).trainable_weights) for depth in (20, 32, 44, 56)}
    assert small == {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018}


def test_the_table_of_vgg16() -> None:
    kernels = {name.removesuffix(".kernel"): p.shape for name, p in vgg16.vgg16().named_parameters() if name.endswith(".kernel")}
    channels = {"block1": (64, 64), "block2": (128, 128), "block3": (256,) * 3, "block4": (512,) * 3, "block5": (512,) * 3}
    expected, before = {}, 3
    for block, filters_ in channels.items():
        for k, after in enumerate(filters_, 1):
            expected[f"{block}_conv{k}"] = (after, before, 3, 3)
            before = after
    assert kernels == {**expected, "fc1": (25088, 4096), "fc2": (4096, 4096), "predictions": (4096, 1000)}


def test_a_deconvnet_puts_the_filter_where_it_was_excited() -> None:
    (x, _), _ = convnet.data()
    model = convnet.build()
    first = next(layer for layer in model.layers if isinstance(layer, nn.Conv2D))
    maps = attribution.taps(model, str(first.name)).predict(x[:3])[0]
    back = attribution.deconvnet(model, str(first.name)).predict([x[:3], np.full(3, 7)])
    kernel = model.state[f"{first.name}.kernel"][7, 0]
    for image, projected in zip(maps[:, 7], back[:, 0], strict=True):
        row, column = np.unravel_index(image.argmax(), image.shape)
        expected = np.zeros((36, 36), np.float32)
        expected[row : row + 5, column : column + 5] = image.max() * kernel
        np.testing.assert_allclose(projected, expected[2:-2, 2:-2], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_alexnet_of_full_size_steps() -> None:
    model = convnet.alexnet()
    model.compile(optim.SGD(0.01), loss="sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(2, 3, 224, 224)).astype(np.float32)
    first = model.train_on_batch(x, np.array([3, 5]))
    assert np.isfinite(first) and model.train_on_batch(x, np.array([3, 5])) != first
