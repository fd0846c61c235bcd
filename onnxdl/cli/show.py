"""``onnxdl show``."""

from __future__ import annotations

from pathlib import Path

import click

from onnxdl.cli.verb import verb


@verb("onnxdl show model.onnx --picture graph.svg")
@click.argument("model")
@click.option("--picture", type=click.Path(path_type=Path), help="An .svg file to draw the graph into.")
def command(model: str, picture: Path | None, quiet: bool) -> None:
    """Show MODEL, an .onnx file or a SPEC: layers, shapes, parameters, FLOPs and memory; draw its graph."""
    from onnxdl.cli.spec import resolve
    from onnxdl.io import onnx_file
    from onnxdl.train import step as steps
    from onnxdl.viz import draw, print_layers

    if model.endswith(".onnx"):
        graph = onnx_file.read(model)
    else:
        built = resolve(model).build()
        built.ensure_built()
        graph = steps.inference(built, built.input_specs, built.output_names, weights_inside=True)
    if not quiet:
        print_layers(graph)
    if picture is not None:
        draw(graph, picture)
        click.echo(str(picture))
