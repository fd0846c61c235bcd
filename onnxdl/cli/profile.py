"""``onnxdl profile``."""

from __future__ import annotations

import click

from onnxdl.cli.verb import verb


@verb("onnxdl profile digits --batch-size 64")
@click.argument("model")
@click.option("--data", metavar="PATH", help="Data to take the batch from: .npz with x and y, .csv, or what the SPEC reads.")
@click.option("--batch-size", type=click.IntRange(1), help="Samples a step; by default the SPEC's own number.")
@click.option("--runs", type=click.IntRange(1), default=10, show_default=True, help="How many steps to take the median of.")
@click.option("--loss", help="The loss, for a model that was not compiled: without one, inference is timed.")
@click.option("--optimizer", help="The optimizer, for a model that was not compiled.")
@click.option("--inference", is_flag=True, help="Time inference instead of a training step.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
def command(
    model: str,
    data: str | None,
    batch_size: int | None,
    runs: int,
    loss: str | None,
    optimizer: str | None,
    inference: bool,
    device: str,
    quiet: bool,
) -> None:
    """Show where the time of a training step of MODEL goes, a SPEC or an .onnx file.

    By layer, forward and backward, and by operator; last the five costliest nodes and what to do about them. Without data of
    its own the model is timed on random numbers.
    """
    from onnxdl.cli.compile import compile_model
    from onnxdl.cli.spec import resolve
    from onnxdl.train import profile

    chosen = resolve(model)
    built = chosen.build()
    samples = batch_size or chosen.batch_size
    train = not inference and (loss is not None or built.is_compiled)
    if train:
        compile_model(built, loss, optimizer, None, device)
    if data is not None or hasattr(chosen.module, "data"):
        x, y = (profile.first_samples(part, samples) for part in chosen.data(data)[0])
    else:
        built.ensure_built()
        x, y = profile.random_inputs(built, samples), profile.random_targets(built, samples) if train else None
    found = profile.profile_step(built, x, y, runs) if train else profile.profile_prediction(built, x, runs)
    profile.printed(found, click.echo, 5 if quiet else 20)
