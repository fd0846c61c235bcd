"""``onnxdl extract``."""

from __future__ import annotations

from pathlib import Path

import click

from onnxdl.cli.verb import verb


@verb("onnxdl extract model.onnx -o digits_step")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="The folder to write.")
def command(model: Path, output: Path, quiet: bool) -> None:
    """Write the programs in the training information of MODEL, an .onnx file of any producer, as a train-step folder.

    They are train_step.onnx, init.onnx, predict.onnx, and evaluate.onnx where the file says how its model was compiled.
    """
    from onnxdl.io.protocol import check_path
    from onnxdl.train.export import export_file

    export_file(model, output, "train-step")
    for warning in check_path(output).warnings:
        click.echo(f"warning: {warning}", err=True)
    if not quiet:
        click.echo(str(output))
