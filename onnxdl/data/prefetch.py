"""Prefetch: a thread makes the next batches while the step runs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")
AHEAD = 2


class _End:
    """The last thing in the queue: how the producer ended."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetched(items: Iterator[T], ahead: int = AHEAD) -> Generator[T, None, None]:
    """The same items, made up to ``ahead`` of the one in use by a thread of their own.

    What the producer raises is raised here, in its place. Closing the iterator, or an error of its user, ends the thread.
    """
    line: queue.Queue[T | _End] = queue.Queue(ahead)
    stop = threading.Event()

    def put(item: T | _End) -> bool:
        while not stop.is_set():
            try:
                line.put(item, timeout=0.05)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not put(item):
                    break
        except BaseException as caught:  # noqa: BLE001  (raised again by the consumer)
            error = caught
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        put(_End(error))

    thread = threading.Thread(target=produce, name="onnxdl-prefetch", daemon=True)
    thread.start()
    try:
        while not isinstance(item := line.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        thread.join()
