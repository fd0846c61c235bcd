"""``onnxdl grad``."""

from __future__ import annotations

from pathlib import Path

import click

from onnxdl.cli.verb import verb


@verb("onnxdl grad model.onnx -o gradients.onnx --wrt input --wrt dense.kernel")
@click.argument("model", type=click.Path())
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="The .onnx file to write.")
@click.option("--wrt", multiple=True, required=True, metavar="NAME", help="An input or weight to differentiate by; may be repeated.")
@click.option("--of", multiple=True, metavar="NAME", help="An output to differentiate; all float outputs by default.")
def command(model: str, output: Path, wrt: tuple[str, ...], of: tuple[str, ...], quiet: bool) -> None:
    """Write MODEL with further outputs grad/NAME: the gradients of its outputs.

    An output that is no scalar gets an input seed/OUTPUT, the gradient that comes in there.
    """
    from onnxdl.autodiff.graph_model import gradient_model
    from onnxdl.io import onnx_file

    differentiated = gradient_model(model, list(wrt), list(of) or None)
    onnx_file.write(differentiated, output)
    if not quiet:
        click.echo(f"{output}: outputs " + ", ".join(o.name for o in differentiated.graph.output))
