"""``onnxdl``: the group of all verbs, each loaded when it is called."""

from __future__ import annotations

import importlib

import click

VERBS = {
    "build": "Write a model as .onnx, untrained.",
    "check": "Validate a train-step folder or a model with training information.",
    "convert": "A file of one framework as a file of another.",
    "evaluate": "Loss and metrics of a model on data.",
    "export": "Write a run or model in another form.",
    "finetune": "Train somebody's model on data of yours, with a new head.",
    "extract": "Write the train step inside a model.onnx as a folder.",
    "grad": "Write a model that also computes gradients.",
    "info": "Versions, providers, and what would fall back to the CPU.",
    "predict": "The outputs of a model for data.",
    "profile": "Where the time of a training step goes, by layer and operator.",
    "show": "Layers, shapes, parameters, cost; draws the graph.",
    "train": "Train a gallery system, a .py file of yours, or any .onnx.",
    "visualize": "Draw what a convolutional network sees in images.",
}


class Verbs(click.Group):
    """A group that imports a verb's module only to run it, so that ``--help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        return importlib.import_module(f"onnxdl.cli.{cmd_name}").command  # type: ignore[no-any-return]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(sorted(VERBS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            raise click.UsageError(f"no verb is called {args[0]!r}; the verbs are {', '.join(sorted(VERBS))}") from None


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="onnxdl")
def main() -> None:
    r"""Deep learning whose only program format is ONNX: build, train, differentiate and export models.

    \b
    Example:
      onnxdl train digits
    """


if __name__ == "__main__":
    main()
