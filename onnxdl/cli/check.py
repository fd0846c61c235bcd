"""``onnxdl check``."""

from __future__ import annotations

from pathlib import Path

import click

from onnxdl.cli.verb import verb


@verb("onnxdl check digits_step")
@click.argument("path", type=click.Path(path_type=Path))
def command(path: Path, quiet: bool) -> None:
    """Check PATH, a train-step folder, one program of it, or a model.onnx with training information.

    It is valid ONNX of standard operators; its names, bindings and State lists agree; each next/X has X's type and shape; the training
    information is there and can be extracted. What only some runtimes cannot do is a warning.
    """
    from onnxdl.io.protocol import check_path

    report = check_path(path)
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    if not quiet:
        for line in report.lines:
            click.echo(line)
