"""``onnxdl evaluate``."""

from __future__ import annotations

import click

from onnxdl.cli.verb import verb


@verb("onnxdl evaluate runs/digits/model.onnx --data test.npz --loss sparse_categorical_crossentropy")
@click.argument("model", type=click.Path())
@click.option("--data", required=True, metavar="PATH", help="The data: .npz with x and y, or .csv whose last column is y.")
@click.option("--loss", help="The loss, if the file does not say.")
@click.option("--batch-size", type=click.IntRange(1), default=256, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
def command(model: str, data: str, loss: str | None, batch_size: int, device: str, quiet: bool) -> None:
    """Print the loss and the metrics of MODEL on data."""
    from onnxdl.cli.compile import compile_model
    from onnxdl.converters.registry import load
    from onnxdl.data.files import read_data
    from onnxdl.errors import DataError

    x, y = read_data(data)
    if y is None:
        raise DataError(f"{data} holds no targets y to compare with")
    loaded = load(model)
    compile_model(loaded, loss, None, None, device)
    for name, value in loaded.evaluate(x, y, batch_size, return_dict=True).items():
        click.echo(f"{name} {value:.6g}")
