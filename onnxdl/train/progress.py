"""How training tells where it is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import cached_property

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from onnxdl.errors import TrainingError

Logs = Mapping[str, float]
_REDRAW_S = 0.1


class Reporter:
    """Reports the epochs of a run.

    Args:
        verbose: ``auto`` or 1 a bar on a terminal and a line an epoch elsewhere, 2 a line an epoch, 0 nothing.
        epochs: the number of epochs.

    Raises:
        TrainingError: verbose is something else.
    """

    def __init__(self, verbose: int | str, epochs: int = 1) -> None:
        if verbose not in ("auto", 0, 1, 2):
            raise TrainingError(f"verbose is 'auto', 0, 1 or 2, not {verbose!r}")
        self.quiet = verbose == 0
        self.bar = verbose in ("auto", 1) and self.console.is_terminal
        self.epochs = epochs

    @cached_property
    def console(self) -> Console:
        """Where it reports to; made late, since that takes as long as a small step."""
        return Console(file=sys.stdout)

    def epoch(self, number: int, steps: int | None, start: int) -> AbstractContextManager[Pass]:
        """One epoch's report."""
        return self.pass_(f"epoch {number + 1}/{self.epochs}", steps, not self.quiet, start)

    @contextlib.contextmanager
    def pass_(self, name: str, steps: int | None, line: bool, start: int = 0) -> Iterator[Pass]:
        """The report of one pass over data; ``line`` says whether a line with the result is left."""
        progress = self._progress() if self.bar else None
        report = Pass(progress, name, steps, start)
        with progress or contextlib.nullcontext():
            yield report
        if line and report.logs is not None:
            seconds = time.perf_counter() - report.began
            self.console.print(f"{name}  {seconds:.1f} s  {written(report.logs)}", highlight=False, soft_wrap=True)

    def _progress(self) -> Progress:
        columns: list[ProgressColumn] = [
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            _Rate(),
            _Left(),
            TextColumn("{task.fields[logs]}"),
        ]
        return Progress(*columns, console=self.console, transient=True)


class Pass:
    """The report of one pass over the data as it goes on."""

    def __init__(self, progress: Progress | None, name: str, steps: int | None, start: int) -> None:
        self.began = self._drawn = time.perf_counter()
        self.logs: Logs | None = None
        self._progress = progress
        self._task = progress.add_task(name, total=steps, completed=start, logs="") if progress is not None else None

    @property
    def visible(self) -> bool:
        """Whether there is a bar."""
        return self._progress is not None

    @property
    def wants_logs(self) -> bool:
        """Whether it is time to show loss and metrics again."""
        return self._progress is not None and time.perf_counter() - self._drawn > _REDRAW_S

    def show(self, done: int, logs: Logs | None = None) -> None:
        """Shows that ``done`` batches are done, and their loss and metrics."""
        self._drawn = time.perf_counter()
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, logs=written(logs or {}))

    def finish(self, logs: Logs) -> None:
        """Gives the last word."""
        self.logs = logs


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f} steps/s" if task.speed else "")


class _Left(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.time_remaining is None else f"{timedelta(seconds=round(task.time_remaining))} left")


def written(logs: Logs) -> str:
    """``loss 0.1234  accuracy 0.9876``."""
    return "  ".join(f"{name} {value:.4g}" if abs(value) < 1e-3 else f"{name} {value:.4f}" for name, value in logs.items())
