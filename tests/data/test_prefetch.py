"""The thread that makes batches: order, errors, bounds, and that it ends."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from onnxdl.data import prefetched


def threads() -> int:
    return sum(t.name == "onnxdl-prefetch" for t in threading.enumerate())


def test_the_items_come_in_order_and_the_thread_ends() -> None:
    assert list(prefetched(iter(range(100)))) == list(range(100))
    assert threads() == 0


def test_items_are_made_by_another_thread_but_no_more_than_asked_for() -> None:
    made: list[int] = []
    makers: set[int] = set()

    def source() -> Iterator[int]:
        for i in range(50):
            made.append(i)
            makers.add(threading.get_ident())
            yield i

    items = prefetched(source(), ahead=3)
    assert next(items) == 0
    deadline = time.time() + 10
    while len(made) < 5 and time.time() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(made) == 5  # the one in use, three in the queue, one waiting for room
    assert makers != {threading.get_ident()}
    assert list(items) == list(range(1, 50))


def test_an_error_of_the_producer_is_raised_in_its_place() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the disk is gone")

    items = prefetched(source())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(items)
    assert threads() == 0


def leave_by_break(items: Iterator[int]) -> None:
    for _ in items:
        break
    items.close()  # type: ignore[attr-defined]


def leave_by_error(items: Iterator[int]) -> None:
    with contextlib.suppress(ZeroDivisionError), contextlib.closing(items):  # type: ignore[type-var]
        print(next(items) / 0)


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_error])
def test_leaving_early_ends_the_thread_and_closes_the_source(leave: Callable[[Iterator[int]], None]) -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed.set()

    leave(prefetched(source()))
    assert closed.is_set()
    assert threads() == 0


def test_the_consumer_does_not_wait_for_what_is_made_meanwhile() -> None:
    def source() -> Iterator[int]:
        for i in range(10):
            time.sleep(0.02)
            yield i

    items = prefetched(source())
    next(items)
    waits = []
    for _ in range(8):
        time.sleep(0.04)  # the step
        begun = time.perf_counter()
        next(items)
        waits.append(time.perf_counter() - begun)
    assert sorted(waits)[len(waits) // 2] < 0.01
    items.close()
