"""What all verbs share: their help, their options ``--quiet`` and ``--debug``, and errors in one line."""

from __future__ import annotations

import errno
import functools
import sys
from collections.abc import Callable
from typing import Any

import click

from onnxdl.errors import OnnxdlError

INTERRUPTED = 130
FAILED = 2


def verb(example: str) -> Callable[[Callable[..., None]], click.Command]:
    """Makes a function a verb: its docstring is the help, ``example`` stands below it."""

    def make(run: Callable[..., None]) -> click.Command:
        @functools.wraps(run)
        def guarded(*, debug: bool, **options: Any) -> None:
            try:
                run(**options)
            except KeyboardInterrupt:
                click.echo("interrupted", err=True)
                sys.exit(INTERRUPTED)
            except (OnnxdlError, OSError, MemoryError) as error:
                if debug:
                    raise
                click.echo(f"onnxdl: {message(error)}", err=True)
                sys.exit(FAILED)

        guarded.__doc__ = f"{(run.__doc__ or '').rstrip()}\n\n    \b\n    Example:\n      {example}\n    "
        with_options = click.option("--debug", is_flag=True, help="Show the traceback of an error.")(guarded)
        with_options = click.option("--quiet", is_flag=True, help="Print results and errors only.")(with_options)
        return click.command(context_settings={"help_option_names": ["-h", "--help"]})(with_options)

    return make


def message(error: BaseException) -> str:
    """An error in one line, with the mend where the system's own words have none."""
    if isinstance(error, MemoryError):
        return "out of memory; use a smaller --batch-size"
    if isinstance(error, OSError) and not isinstance(error, OnnxdlError):
        mend = {
            errno.ENOSPC: "; free some space or write elsewhere with --output",
            errno.EACCES: "; check its permissions or write elsewhere with --output",
            errno.EROFS: "; write elsewhere with --output",
            errno.ENOENT: "; check the path",
        }.get(error.errno or 0, "")
        return f"{error.filename or ''}: {error.strerror or error}{mend}".lstrip(": ")
    return " ".join(str(error).split())
