"""``onnxdl build``."""

from __future__ import annotations

from pathlib import Path

import click

from onnxdl.cli.verb import verb


@verb("onnxdl build digits -o digits.onnx")
@click.argument("spec")
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="The .onnx file to write.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides the first weights.")
def command(spec: str, output: Path, seed: int, quiet: bool) -> None:
    """Write the model of SPEC as one .onnx file, with its first weights."""
    from onnxdl.cli.spec import resolve
    from onnxdl.graph.random import set_seed

    set_seed(seed)
    model = resolve(spec).build()
    model.export(output)
    if not quiet:
        click.echo(f"{output}: {model.count_params():,} parameters, inputs {', '.join(s.name for s in model.input_specs)}")
