"""The full run: trains every system, or those named, and fills the table, pictures and trained weights of the gallery.

    python -m onnxdl.models [NAME ...]

Each is trained as ``onnxdl train NAME`` trains it, in a process of its own, one after another; the run folders stay in ``runs/``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import onnxdl as ox
from onnxdl.models import WEIGHTS

GALLERY = Path(__file__).parent
TABLE = GALLERY / "README.md"
PICTURES = GALLERY.resolve().parent / ".assets"
REACHED = {
    "toy_graph": "f = {f:.0f}, df/dx = {df/dx:.0f}, df/dy = {df/dy:.0f}, d2f/dx2 = {d2f/dx2:.0f}",
    "nonlinearities": "the derivatives of the element-wise ones within {largest relative error:.1e} of central differences, relatively",
    "filters": "cosine of learned and true kernels: at least {cosine 2-D:.4f}",
    "custom_layer": "{val_accuracy:.1%} of digits",
    "mlp": "{val_accuracy:.1%} of digits",
    "digits": "{val_accuracy:.1%} of digits",
    "convnet": "{val_accuracy:.1%} of patches, eight surfaces",
    "vgg16": "{val_accuracy:.1%} of patches, eight surfaces",
    "resnet": (
        "of digits, with skips {resnet20:.1%} at 20 layers and {resnet56:.1%} at 56; without, {plain20:.1%} and {plain56:.1%}; "
        "training losses, in this order, {resnet20, training loss:.4f}, {resnet56, training loss:.4f}, "
        "{plain20, training loss:.4f}, {plain56, training loss:.4f}"
    ),
    "deconvnet": "pictures below, of a net with {accuracy:.1%}",
    "text_lstm": "{val_accuracy:.1%} of news articles, five sections",
    "embedding": (
        "cross-entropy {loss:.3f} nats, between {entropy of a letter:.3f} (any letter) "
        "and {given the one before:.3f} (the one before known)"
    ),
    "autoencoder": "squared error {mean squared error:.4f} with 8 numbers; 8 principal components: {of principal components:.4f}",
    "gan": "{modes found:.0f} of 3 modes, each with {smallest share:.0%} of the numbers or more; distance {distance:.2f}",
    "dcgan": (
        "the digits classifier sees {digits:.0f} digits (evenness {evenness:.3f}) and is sure of them by {recognised with:.3f} on average"
    ),
    "word2vec": (
        "correlation with people's judgement of similarity {skip-gram, similarity:.3f} (skip-gram), {cbow, similarity:.3f} (CBOW); "
        "of Google's analogies {skip-gram, analogies:.1%} and {cbow, analogies:.1%}"
    ),
    "gpt": "{loss:.3f} nats a letter; interpolated 5-grams {5-grams:.3f}",
}
"""What each has reached, made of its results."""
SHIPPED = ("autoencoder", "convnet", "custom_layer", "dcgan", "digits", "embedding", "gan", "gpt", "mlp", "resnet")
"""The systems whose trained weights the package brings."""


def train(name: str, folder: Path) -> tuple[dict[str, float], float]:
    """Trains a system in a process of its own; its results, or the last values of its history, and the seconds of processor time."""
    shutil.rmtree(folder, ignore_errors=True)
    before = processor_seconds()
    subprocess.run([sys.executable, "-m", "onnxdl.cli.main", "train", name, "-o", str(folder)], check=True)
    seconds = processor_seconds() - before
    run = json.loads((folder / "run.json").read_text("utf-8"))
    history = folder / "history.json"
    last = {key: values[-1] for key, values in json.loads(history.read_text("utf-8")).items()} if history.exists() else {}
    return {**last, **run.get("results", {})}, seconds


def processor_seconds() -> float:
    """What the processes begun here, and ended, have used so far."""
    times = os.times()
    return times.children_user + times.children_system


def enter(table: str, name: str, reached: str, seconds: float) -> str:
    """The table with a system's row brought up to date."""
    row = re.compile(rf"^(\| `{name}` \|[^|]*\|)[^|]*\|[^|]*\|", re.MULTILINE)
    if not row.search(table):
        raise ox.FormatError(f"{TABLE} has no row for {name}")
    return row.sub(lambda found: f"{found[1]} {reached.replace('%', ' %')} | {seconds:.0f} s |", table)


def ship(name: str, folder: Path) -> None:
    """Keeps a run's weights for ``ox.load(name)``: the layers and their values, without the optimizer's."""
    model = ox.load(folder / "model.onnx")
    model.target_specs = []
    WEIGHTS.mkdir(exist_ok=True)
    model.save(WEIGHTS / f"{name}.onnx")


def main(names: list[str]) -> None:
    """Trains, and brings README.md, the pictures that it shows and the shipped weights up to date."""
    if unknown := sorted(set(names) - set(REACHED)):
        raise SystemExit(f"unknown systems: {', '.join(unknown)}; the gallery has {', '.join(REACHED)}")
    for name in names or REACHED:
        folder = Path("runs") / name
        results, seconds = train(name, folder)
        table = TABLE.read_text("utf-8")
        TABLE.write_text(enter(table, name, REACHED[name].format_map(results), seconds), "utf-8")
        for picture in folder.iterdir():
            if f".assets/{picture.name}" in table:
                shutil.copy(picture, PICTURES / picture.name)
        if name in SHIPPED:
            ship(name, folder)


if __name__ == "__main__":
    main(sys.argv[1:])
