"""``onnxdl train``."""

from __future__ import annotations

from pathlib import Path

import click

from onnxdl.cli.verb import verb


@verb("onnxdl train digits --epochs 5")
@click.argument("spec")
@click.option("--data", metavar="PATH", help="Data of yours instead of the SPEC's: .npz with x and y, .csv, or what the SPEC reads.")
@click.option("--epochs", type=click.IntRange(1), help="Epochs to train for; by default the SPEC's own number.")
@click.option("--batch-size", type=click.IntRange(1), help="Samples a step; by default the SPEC's own number.")
@click.option("--loss", help="The loss, for a model that was not compiled: sparse_categorical_crossentropy, mse, ...")
@click.option("--optimizer", help="The optimizer, for a model that was not compiled: adam, sgd, ...")
@click.option("--learning-rate", type=float, help="The learning rate instead of the model's own.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides the first weights, the order of the data and dropout.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The run folder; by default runs/NAME.")
@click.option("--resume", is_flag=True, help="Go on from the run folder's checkpoint.")
def command(
    spec: str,
    data: str | None,
    epochs: int | None,
    batch_size: int | None,
    loss: str | None,
    optimizer: str | None,
    learning_rate: float | None,
    seed: int,
    device: str,
    output: Path | None,
    resume: bool,
    quiet: bool,
) -> None:
    """Train SPEC: a gallery name, a .py file of yours, or any .onnx file.

    Leaves a run folder with model.onnx (weights and training_info), the checkpoint, history.json, a picture of the curves
    and run.json with the exact command and versions. Ctrl-C keeps the last checkpoint; --resume goes on from it.
    """
    from onnxdl.cli.compile import compile_model
    from onnxdl.cli.run_folder import RunFolder
    from onnxdl.cli.spec import resolve
    from onnxdl.errors import TrainingError
    from onnxdl.graph.random import set_seed

    set_seed(seed)
    chosen = resolve(spec)
    folder = RunFolder(output or Path("runs") / chosen.name)
    if chosen.has_main:
        options: dict[str, object] = {"data": data, "epochs": epochs, "batch-size": batch_size, "loss": loss, "optimizer": optimizer}
        options["learning-rate"] = learning_rate
        given = [f"--{name}" for name, value in options.items() if value is not None and name not in chosen.takes("main")]
        given += ["--resume"] * resume
        if given:
            raise TrainingError(f"{chosen.name} trains in a way of its own and takes no {', '.join(given)}")
        folder.begin(resume)
        results = chosen.main(folder.path, epochs, data)
        folder.record(results)
        click.echo(f"{folder.path}: " + "  ".join(f"{name} {value:.4g}" for name, value in results.items()))
        return
    folder.begin(resume)
    model = chosen.build() if data is None else None
    (x, y), test = chosen.data(data)
    model = model or chosen.build(x, y)
    compile_model(model, loss, optimizer, learning_rate, device)
    try:
        history = model.fit(
            x,
            y,
            epochs=epochs or chosen.epochs,
            batch_size=batch_size or chosen.batch_size,
            validation_data=test,
            verbose=0 if quiet else "auto",
            checkpoint=folder.path,
            resume=resume,
        )
    except KeyboardInterrupt:
        click.echo(f"interrupted; the last step is in {folder.path}, go on with --resume", err=True)
        raise
    folder.finish(model, history)
    last = {name: values[-1] for name, values in history.history.items()}
    click.echo(f"{folder.path}: " + "  ".join(f"{name} {value:.4f}" for name, value in last.items()))
