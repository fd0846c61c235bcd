"""Where a graph will run, for the choices among equal forms that depend on it."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """A device, ``cpu`` or ``cuda``, and the threads of its session, 0 for one a core. ``PORTABLE`` is any ONNX Runtime anywhere.

    ``exact`` asks for direct convolutions, without the ten times larger rounding errors of Winograd's algorithm.
    A saved file is portable. A session of the library's own is made for its target, and its graph is never saved.
    """

    device: str | None = None
    threads: int = 0
    exact: bool = False

    @property
    def single_threaded(self) -> bool:
        """Whether the CPU session has one thread, so that updates of one row in turn do not race."""
        return self.device == "cpu" and self.threads == 1


PORTABLE = Target()
