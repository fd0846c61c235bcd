"""``onnxdl visualize``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxdl.cli.verb import verb

if TYPE_CHECKING:
    import numpy as np

    from onnxdl.train.model import Model

METHODS = ("deconvnet", "guided", "saliency", "grad-cam", "occlusion")


@verb("onnxdl visualize resnet.onnx --layer relu_12 --image cat.png --image dog.png -o seen.png")
@click.argument("model", type=click.Path())
@click.option("--image", "images", multiple=True, metavar="PATH", help="An image file, or a .npy of images as the model takes them.")
@click.option("--layer", help="The layer or tensor to look at; without --image, the names of all are printed.")
@click.option("--method", type=click.Choice(METHODS), help="By default deconvnet with --layer, saliency without.")
@click.option("--channel", type=click.IntRange(0), help="The layer's channel; by default the four strongest.")
@click.option("--label", type=click.IntRange(0), help="The class; by default each image's most probable one.")
@click.option("--mean", type=float, default=0.0, show_default=True, help="Taken from pixels of [0, 1] before the model sees them.")
@click.option("--std", type=float, default=1.0, show_default=True, help="Pixels are divided by it after that.")
@click.option("--output", "-o", type=click.Path(path_type=Path), default=Path("visualize.png"), show_default=True, help="The picture.")
@click.option("--export", type=click.Path(path_type=Path), help="Also write the method as an .onnx model: image in, map out.")
def command(
    model: str,
    images: tuple[str, ...],
    layer: str | None,
    method: str | None,
    channel: int | None,
    label: int | None,
    mean: float,
    std: float,
    output: Path,
    export: Path | None,
    quiet: bool,
) -> None:
    """Draw what a convolutional MODEL sees in images: activations led back to the pixels, or what decides its class."""
    import numpy as np

    from onnxdl.converters.registry import load
    from onnxdl.errors import GraphError
    from onnxdl.train import attribution
    from onnxdl.viz import save_images

    loaded = load(model)
    if not images:
        click.echo("\n".join(attribution.layers(loaded)))
        return
    chosen = method or ("saliency" if layer is None else "deconvnet")
    if chosen in ("deconvnet", "grad-cam") and layer is None:
        raise GraphError(f"{chosen} looks at a layer: give --layer; the model has {', '.join(attribution.layers(loaded))}")
    x = _read(images, loaded, mean, std)
    if chosen == "deconvnet" or (chosen == "guided" and layer is not None):
        assert layer is not None
        channels = [channel] if channel is not None else [s.channel for s in attribution.strongest(loaded, layer, x, 4, 1)]
        program = attribution.deconvnet(loaded, layer) if chosen == "deconvnet" else attribution.guided(loaded, layer)
        maps = {f"channel {c}": program.predict([x, np.full(len(x), c)], 1, verbose=0) for c in channels}
    else:
        scores = loaded.predict(x, 1, verbose=0)
        scores = scores[0] if isinstance(scores, list) else scores
        labels = scores.reshape(len(x), -1).argmax(1) if label is None else np.full(len(x), label)
        if chosen == "occlusion":
            side = max(1, min(_places(x)) // 8)
            program, maps = None, {"occlusion": attribution.occlusion(loaded, x, labels, 2 * side, side)}
        else:
            program = {
                "saliency": lambda: attribution.saliency(loaded),
                "guided": lambda: attribution.guided(loaded),
                "grad-cam": lambda: attribution.grad_cam(loaded, layer or ""),
            }[chosen]()
            maps = {chosen: program.predict([x, labels], 1, verbose=0)}
    if export is not None:
        if program is None:
            raise GraphError("occlusion asks the model many times and is no graph of its own; leave --export out")
        program.export(export)
    rows = [[x[i], *(m[i] for m in maps.values())] for i in range(len(x))]
    save_images([_first(a) for row in rows for a in row], output, 1 + len(maps), ["image", *maps], size=1.6)
    if not quiet:
        click.echo(f"{output}: {chosen} of {len(x)} images" + (f" at {layer}" if layer else "") + (f"; {export}" if export else ""))


def _read(paths: tuple[str, ...], model: Model, mean: float, std: float) -> np.ndarray:
    """The images at the model's size and in its layout."""
    import numpy as np

    from onnxdl.data.images import ImageFiles

    shape = model.input_specs[0].shape
    last = len(shape) == 4 and shape[-1] in (1, 3) and shape[1] not in (1, 3)
    channels, *size = (shape[3], shape[1], shape[2]) if last else shape[1:4]
    found = [np.load(p).astype(np.float32) for p in paths if p.endswith(".npy")]
    files = [Path(p) for p in paths if not p.endswith(".npy")]
    if files:
        fixed: Any = tuple(size) if all(isinstance(d, int) for d in size) else None
        pixels = ImageFiles(
            files,
            fixed,
            channels=channels if isinstance(channels, int) else 3,
            data_format="channels_last" if last else "channels_first",
        )
        found.append(((pixels.read(np.arange(len(files))) / 255 - mean) / std).astype(np.float32))
    return np.concatenate([a[None] if a.ndim == 3 else a for a in found])


def _places(x: np.ndarray) -> tuple[int, int]:
    return (x.shape[1], x.shape[2]) if x.shape[-1] in (1, 3) else (x.shape[2], x.shape[3])


def _first(image: np.ndarray) -> np.ndarray:
    """Channels first, as pictures are drawn here."""
    return image.transpose(2, 0, 1) if image.ndim == 3 and image.shape[-1] in (1, 3) and image.shape[0] not in (1, 3) else image
