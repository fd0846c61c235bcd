"""``onnxdl export``."""

from __future__ import annotations

from pathlib import Path

import click

from onnxdl.cli.verb import verb


@verb("onnxdl export runs/digits --format train-step -o digits_step")
@click.argument("source")
@click.option("--format", "format_", type=click.Choice(["onnx", "train-step"]), default="onnx", show_default=True)
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="The file, or for train-step the folder, to write.")
@click.option("--batch-size", type=click.IntRange(1), help="Fix the batch of the train step, as CUDA graphs demand; any by default.")
def command(source: str, format_: str, output: Path, batch_size: int | None, quiet: bool) -> None:
    """Write SOURCE, a run folder, a model.onnx or a SPEC, in another form.

    onnx: the inference graph with its weights. train-step: a folder of train_step.onnx, init.onnx, evaluate.onnx and
    predict.onnx, which any ONNX Runtime trains with.
    """
    from onnxdl.cli.spec import resolve
    from onnxdl.train.export import export_file

    path = Path(source)
    if path.is_dir():
        path = path / "model.onnx"
    if path.suffix == ".onnx":
        export_file(path, output, format_, batch_size)
    else:
        spec = resolve(source)
        model = spec.build()
        if format_ == "train-step" and not model.target_specs:
            (x, y), _ = spec.data(None)
            model.ensure_built(x)
            model.ensure_targets(y)
        model.export(output, format_, batch_size)
    if not quiet:
        click.echo(str(output))
