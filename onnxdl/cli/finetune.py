"""``onnxdl finetune``."""

from __future__ import annotations

from pathlib import Path

import click

from onnxdl.cli.verb import verb


@verb("onnxdl finetune classifier.onnx --data birds/ --head 10 -o birds.onnx")
@click.argument("model", type=click.Path())
@click.option("--data", required=True, metavar="PATH", help="The data: .npz with x and y, .csv, or a folder of images by class.")
@click.option("--head", type=click.IntRange(1), metavar="N", help="Put a new layer of N outputs in the place of the last one.")
@click.option("--cut", metavar="TENSOR", help="Put the new head on this tensor instead.")
@click.option("--train", "patterns", multiple=True, metavar="PATTERN", help="Train weights of such names only, as 'head.*'.")
@click.option("--lora", type=click.IntRange(1), metavar="RANK", help="Adapt matrices and filters by low rank; merged when written.")
@click.option("--loss", help="The loss; by default cross-entropy for whole-number targets, mean squared error for others.")
@click.option("--epochs", type=click.IntRange(1), default=5, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--learning-rate", type=float, default=1e-3, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides first weights, the order of the data and what is held out.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="The .onnx file to write.")
def command(
    model: str,
    data: str,
    head: int | None,
    cut: str | None,
    patterns: tuple[str, ...],
    lora: int | None,
    loss: str | None,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    device: str,
    output: Path,
    quiet: bool,
) -> None:
    """Train a MODEL that somebody else made on data of yours, with a new head if you ask for one; a fifth is held out to judge it.

    What was in the file keeps its names.
    """
    import numpy as np

    from onnxdl import optim
    from onnxdl.converters.registry import load
    from onnxdl.data.files import read_data
    from onnxdl.data.split import hold_out
    from onnxdl.graph.random import set_seed
    from onnxdl.train import finetune

    set_seed(seed)
    (x, y), held_out = hold_out(*read_data(data), seed=seed)
    labels = np.issubdtype(y.dtype, np.integer)
    chosen = load(model)
    if head is not None:
        chosen = finetune.with_head(chosen, head, "softmax" if labels else "linear", at=cut)
    if lora is not None:
        finetune.add_lora(chosen, lora, *patterns)
        finetune.train_only(chosen, "*.lora_?", *(["head.*"] if head is not None else []))
    elif patterns:
        finetune.train_only(chosen, *patterns)
    found = loss or ("sparse_categorical_crossentropy" if labels else "mse")
    metrics = ["accuracy"] if labels else None
    chosen.compile(optim.Adam(learning_rate), found, metrics=metrics, device=device)
    chosen.fit(x, y, batch_size, epochs, 0 if quiet else "auto", validation_data=held_out)
    if lora is not None:
        finetune.merge_lora(chosen)
        chosen.compile(optim.Adam(learning_rate), found, metrics=metrics, device=device)
    chosen.save(output)
    results = chosen.evaluate(*held_out, batch_size, verbose=0, return_dict=True)
    click.echo(f"{output}: held out  " + "  ".join(f"{name} {value:.4f}" for name, value in results.items()))
