"""``onnxdl predict``."""

from __future__ import annotations

from pathlib import Path

import click

from onnxdl.cli.verb import verb


@verb("onnxdl predict runs/digits/model.onnx --data images.npy -o predictions.npz")
@click.argument("model", type=click.Path())
@click.option("--data", required=True, metavar="PATH", help="The inputs: .npy, .npz with x or the inputs' names, or .csv.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The .npz or .csv to write; without it, rows are printed.")
@click.option("--batch-size", type=click.IntRange(1), default=256, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
def command(model: str, data: str, output: Path | None, batch_size: int, device: str, quiet: bool) -> None:
    """Compute the outputs of MODEL for data."""
    import numpy as np

    from onnxdl.converters.registry import load
    from onnxdl.data.files import read_data, write_table
    from onnxdl.runtime import resolve_device

    x, _ = read_data(data)
    loaded = load(model)
    loaded.device = resolve_device(device)
    predictions = loaded.predict(x, batch_size)
    outputs = dict(zip(loaded.output_names, predictions if isinstance(predictions, list) else [predictions], strict=True))
    if output is None:
        for array in outputs.values():
            click.echo(np.array2string(array, precision=4, threshold=200))
        return
    write_table(output, outputs)
    if not quiet:
        click.echo(f"{output}: " + ", ".join(f"{name} {list(array.shape)}" for name, array in outputs.items()))
