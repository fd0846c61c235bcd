"""``onnxdl info``."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from onnxdl.cli.verb import verb

PACKAGES = ("onnxdl", "onnx", "onnx-ir", "numpy", "protobuf", "onnxruntime", "onnxruntime-gpu")


@verb("onnxdl info")
def command(quiet: bool) -> None:
    """Show versions, providers, and what is astray with the installation."""
    from onnxdl.runtime import cuda_available
    from onnxdl.runtime.sessions import load_onnxruntime

    click.echo(f"python {platform.python_version()} on {platform.platform()}")
    found = {name: version for name in PACKAGES if (version := installed_version(name)) is not None}
    for name, version in found.items():
        click.echo(f"{name} {version}")
    click.echo(f"providers built in: {', '.join(load_onnxruntime().get_available_providers())}")
    click.echo(f"device that runs: {'cuda' if cuda_available() else 'cpu'}")
    for trouble in troubles(found, cuda_available()):
        click.echo(f"note: {trouble}")


def troubles(found: dict[str, str], cuda: bool) -> list[str]:
    """What is astray with the installation, each with its mend."""
    notes = []
    if "onnxruntime" in found and "onnxruntime-gpu" in found:
        notes.append(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files; mend it with: "
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
        )
    if "onnxruntime-gpu" in found and not cuda:
        notes.append("no CUDA device or libraries here, so everything runs on the CPU; with a GPU: pip install 'onnxdl[cuda]'")
    return notes


def installed_version(package: str) -> str | None:
    """The version of an installed package, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
