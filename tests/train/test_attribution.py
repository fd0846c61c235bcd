"""What a network looks at, compared with PyTorch's hooks and with the definitions."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

import onnxdl as ox
from onnxdl import attribution, nn

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def model() -> ox.Model:
    ox.set_seed(3)
    return ox.Sequential(
        [
            ox.Input((1, 12, 12), name="image"),
            nn.Conv2D(6, 3, padding="same", activation="relu", name="first"),
            nn.MaxPooling2D(2, name="pool"),
            nn.Conv2D(8, 3, activation="relu", name="second"),
            nn.GlobalAveragePooling2D(),
            nn.Dense(5, activation="softmax", name="classes"),
        ]
    )


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 1, 12, 12)).astype(np.float32)


class ThroughRelu(torch.autograd.Function):
    """A rectifier whose backward pass is deconvnet's, guided backpropagation's or its own."""

    @staticmethod
    def forward(context, x, kind):
        context.save_for_backward(x)
        context.kind = kind
        return x.clamp(min=0)

    @staticmethod
    def backward(context, g):
        (x,) = context.saved_tensors
        passes = (x > 0).to(g.dtype)
        return {"deconvnet": g.clamp(min=0), "guided": g.clamp(min=0) * passes, "saliency": g * passes}[context.kind], None


def torch_maps(model: ox.Model, x, kind: str) -> dict[str, object]:
    weights = {name: torch.tensor(p.value) for name, p in model.named_parameters()}
    functional = torch.nn.functional
    first = ThroughRelu.apply(functional.conv2d(x, weights["first.kernel"], weights["first.bias"], padding=1), kind)
    second = ThroughRelu.apply(functional.conv2d(functional.max_pool2d(first, 2), weights["second.kernel"], weights["second.bias"]), kind)
    logits = second.mean((2, 3)) @ weights["classes.kernel"] + weights["classes.bias"]
    return {"first": first, "second": second, "scores": logits.log_softmax(1)}


@pytest.mark.parametrize("layer", ["first", "second"])
@pytest.mark.parametrize("method", ["deconvnet", "guided"])
def test_projections_are_pytorchs_with_hooks(model: ox.Model, images: np.ndarray, layer: str, method: str) -> None:
    channel = np.array([0, 2, 3, 5])
    projected = getattr(attribution, method)(model, layer).predict([images, channel], verbose=0)
    x = torch.tensor(images, requires_grad=True)
    maps = torch_maps(model, x, method)[layer]
    picked = maps[torch.arange(4), torch.tensor(channel)].flatten(1)
    (picked.max(1).values * picked.max(1).values.detach()).sum().backward()
    np.testing.assert_allclose(projected, x.grad.numpy(), rtol=1e-4, atol=1e-6)
    assert np.abs(projected).max() > 0


@pytest.mark.parametrize("method", ["saliency", "guided"])
def test_a_class_leads_back_as_in_pytorch(model: ox.Model, images: np.ndarray, method: str) -> None:
    label = np.array([4, 0, 1, 1])
    found = getattr(attribution, method)(model).predict([images, label], verbose=0)
    x = torch.tensor(images, requires_grad=True)
    torch_maps(model, x, method)["scores"][torch.arange(4), torch.tensor(label)].sum().backward()
    np.testing.assert_allclose(found, x.grad.numpy(), rtol=1e-4, atol=1e-7)


def test_grad_cam_is_its_formula(model: ox.Model, images: np.ndarray) -> None:
    label = np.array([4, 0, 1, 1])
    found = attribution.grad_cam(model, "second").predict([images, label], verbose=0)
    x = torch.tensor(images, requires_grad=True)
    maps = torch_maps(model, x, "saliency")
    (slopes,) = torch.autograd.grad(maps["scores"][torch.arange(4), torch.tensor(label)].sum(), maps["second"])
    small = (slopes.mean((2, 3), keepdim=True) * maps["second"]).sum(1, keepdim=True).clamp(min=0)
    expected = torch.nn.functional.interpolate(small, (12, 12), mode="bilinear")[:, 0]
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-4, atol=1e-7)


def test_channels_last_gives_the_same(model: ox.Model, images: np.ndarray) -> None:
    options = {"data_format": "channels_last"}
    last = ox.Sequential(
        [
            ox.Input((12, 12, 1)),
            nn.Conv2D(6, 3, padding="same", activation="relu", name="first", **options),
            nn.MaxPooling2D(2, **options),
            nn.Conv2D(8, 3, activation="relu", name="second", **options),
            nn.GlobalAveragePooling2D(**options),
            nn.Dense(5, activation="softmax"),
        ]
    )
    last.ensure_built()
    last.set_weights(model.get_weights())
    which = np.array([1, 0, 3, 2])
    turned = images.transpose(0, 2, 3, 1)
    for method in (attribution.deconvnet, attribution.grad_cam):
        expected = method(model, "second").predict([images, which], verbose=0)
        found = method(last, "second").predict([turned, which], verbose=0)
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-4, atol=1e-7)


def test_a_file_of_any_producer_and_back_as_a_file(model: ox.Model, images: np.ndarray, tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(100, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old exporter, which most of the files that people have came from
        torch.onnx.export(net.eval(), (torch.tensor(images),), tmp_path / "net.onnx", dynamo=False, input_names=["pixels"])
    loaded = ox.load(tmp_path / "net.onnx")
    names = attribution.layers(loaded)
    assert len(names) == 3
    channel = np.array([0, 1, 2, 3])
    method = attribution.deconvnet(loaded, names[-1])
    projected = method.predict([images, channel], verbose=0)
    method.export(tmp_path / "deconvnet.onnx")
    session = ort.InferenceSession(tmp_path / "deconvnet.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"pixels": images, "channel": channel})[0], projected, rtol=1e-5, atol=1e-7)
    x = torch.tensor(images, requires_grad=True)
    maps = torch.nn.functional.max_pool2d(ThroughRelu.apply(net[0](x), "deconvnet"), 2)
    picked = maps[torch.arange(4), torch.tensor(channel)].flatten(1).max(1).values
    (picked * picked.detach()).sum().backward()
    np.testing.assert_allclose(projected, x.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_the_strongest_channels_and_images(model: ox.Model, images: np.ndarray) -> None:
    peaks = attribution.taps(model, "first").predict(images, verbose=0)[0].max((2, 3))
    found = attribution.strongest(model, "first", images, channels=2, top=3)
    assert found[0].channel == peaks.max(0).argmax()
    assert list(found[0].images) == list(np.argsort(-peaks[:, found[0].channel])[:3])


def test_occlusion_is_what_hiding_does(model: ox.Model, images: np.ndarray) -> None:
    label = np.array([4, 0, 1, 1])
    fall = attribution.occlusion(model, images, label, size=6, stride=3)
    assert fall.shape == (4, 3, 3)
    hidden = images.copy()
    hidden[:, :, 3:9, 6:12] = 0
    n = np.arange(4)
    expected = (model.predict(images, verbose=0) - model.predict(hidden, verbose=0))[n, label]
    np.testing.assert_allclose(fall[:, 1, 2], expected, rtol=1e-5, atol=1e-7)
