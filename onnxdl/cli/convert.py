"""``onnxdl convert``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from onnxdl.cli.verb import verb

if TYPE_CHECKING:
    from onnxdl.converters.parity import Parity
    from onnxdl.train.model import Model


@verb("onnxdl convert resnet50.keras resnet50.onnx --check")
@click.argument("source", type=click.Path(exists=True))
@click.argument("target", type=click.Path())
@click.option(
    "--model",
    "spec",
    metavar="SPEC",
    help="The architecture, for a SOURCE that holds weights alone: a gallery name, a .py file, any model file.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Run SOURCE in its own framework too, and compare: per layer, the largest difference. Fails if an output is not equal.",
)
@click.option(
    "--reference",
    metavar="FILE",
    type=click.Path(exists=True),
    help="Compare with stored values instead: an .npz with the model's inputs, its outputs as output.<name>, and layers by name.",
)
def command(source: str, target: str, spec: str | None, check: bool, reference: str | None, quiet: bool) -> None:
    """Read SOURCE, a model file of any known framework, and write it as TARGET; the suffix tells the format."""
    from onnxdl.cli.spec import resolve
    from onnxdl.converters.registry import convert

    model = convert(source, target, resolve(spec).build() if spec else None)
    if not quiet:
        click.echo(f"{target}: {len(list(model.named_parameters()))} weights, {model.count_params():,} parameters")
    if check or reference:
        _report(_compared(source, model, reference), quiet)


def _compared(source: str, model: Model, reference: str | None) -> Parity:
    import numpy as np

    from onnxdl.converters import parity
    from onnxdl.converters.contract import reader_of
    from onnxdl.converters.registry import CONVERTERS

    stored = None
    if reference is not None:
        with np.load(reference, allow_pickle=False) as file:
            stored = dict(file)
    return parity.check(reader_of(source, CONVERTERS), source, model, reference=stored)


def _report(found: Parity, quiet: bool) -> None:
    from onnxdl.errors import ConversionError

    if not quiet:
        click.echo("\n".join(found.lines()[:-1]))
    if not found.equal:
        raise ConversionError(found.verdict())
    click.echo(found.verdict())
