"""``onnxdl convert``."""

from __future__ import annotations

import click

from onnxdl.cli.verb import verb


@verb("onnxdl convert resnet50.keras resnet50.onnx")
@click.argument("source", type=click.Path(exists=True))
@click.argument("target", type=click.Path())
@click.option(
    "--model",
    "spec",
    metavar="SPEC",
    help="The architecture, for a SOURCE that holds weights alone: a gallery name, a .py file, any model file.",
)
def command(source: str, target: str, spec: str | None, quiet: bool) -> None:
    """Read SOURCE, a model file of any known framework, and write it as TARGET; the suffix tells the format."""
    from onnxdl.cli.spec import resolve
    from onnxdl.converters.registry import convert

    model = convert(source, target, resolve(spec).build() if spec else None)
    if not quiet:
        click.echo(f"{target}: {len(list(model.named_parameters()))} weights, {model.count_params():,} parameters")
