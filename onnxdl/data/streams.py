"""Batches that the user's program makes: a generator, a DataLoader, a tf.data.Dataset, a sequence that is indexed."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from onnxdl.data.batches import Arrays
from onnxdl.errors import DataError


class IterableBatches:
    """Batches from any iterable of batches.

    Args:
        source: an iterable, walked through anew in each epoch; an iterator, which serves one epoch, or several that
            ``steps`` cuts it into; or a function that returns either, and may take the epoch's number.
        to_arrays: turns what it gives into arrays by input name.
        steps: the batches of an epoch; the next epoch goes on where it ended. Without it an epoch is all there is.
        first_epoch: the epoch that begins with the first batch.

    A run that is resumed sees the same batches if the source gives the same ones again; those already seen are skipped.
    """

    slow = True

    def __init__(
        self,
        source: Iterable[Any] | Callable[..., Iterable[Any]],
        to_arrays: Callable[[Any], Arrays],
        *,
        steps: int | None = None,
        first_epoch: int = 0,
    ) -> None:
        self.source, self.to_arrays, self.first_epoch = source, to_arrays, first_epoch
        self._cut = steps
        self._stream: Iterator[Any] | None = None  # what an epoch left of it, or a peek put back

    @property
    def steps(self) -> int | None:
        return self._cut if self._cut is not None else _length(self.source)

    def peek(self) -> Any:
        """The first batch as the source gives it; it is not lost. Raises DataError where there is none."""
        self._stream = self._open(self.first_epoch)
        first = next(self._stream, None)
        if first is None:
            raise DataError("there is no data: the iterable gave no batch")
        self._stream = itertools.chain([first], self._stream)
        return first

    def epoch(self, number: int, start: int = 0) -> Iterator[Arrays]:
        items = self._whole(number) if self._cut is None else self._part(number, self._cut)
        for item in itertools.islice(items, start, None):
            yield self.to_arrays(item)

    def _whole(self, number: int) -> Iterator[Any]:
        stream, self._stream = self._stream, None
        if stream is not None and (number == self.first_epoch or not callable(self.source)):
            return stream
        return self._open(number)

    def _part(self, number: int, steps: int) -> Iterator[Any]:
        if number == self.first_epoch or self._stream is None:
            stream = self._stream if self._stream is not None else self._open(self.first_epoch)
            self._stream = itertools.islice(self._endless(stream), (number - self.first_epoch) * steps, None)
        given = 0
        for given, item in enumerate(itertools.islice(self._stream, steps), 1):
            yield item
        if given < steps:
            raise DataError(f"the data ran out after {given} of the {steps} batches of epoch {number + 1}")

    def _endless(self, stream: Iterator[Any]) -> Iterator[Any]:
        """The stream, begun again whenever it ends and can be."""
        while True:
            empty = True
            for item in stream:
                empty = False
                yield item
            if empty or self._is_iterator():
                return
            stream = self._open(self.first_epoch)

    def _open(self, number: int) -> Iterator[Any]:
        if callable(self.source):
            return iter(self.source(number) if inspect.signature(self.source).parameters else self.source())
        if self._is_iterator() and number != self.first_epoch:
            raise DataError(
                "the generator of batches is used up after one epoch; pass a function that makes one, a list, or steps_per_epoch"
            )
        return iter(self.source)

    def _is_iterator(self) -> bool:
        return not callable(self.source) and iter(self.source) is self.source


class SequenceBatches:
    """Batches that are asked for by number, ``source[i]`` for i below ``len(source)``, as a Keras ``PyDataset`` gives them.

    Its ``on_epoch_begin`` and ``on_epoch_end``, where it has them, are called around each epoch.

    Args:
        source: the sequence.
        to_arrays: turns what it gives into arrays by input name.
        shuffle: whether the batches of each epoch come in an order of its own.
        seed: decides the orders.
        steps: the number of batches an epoch is cut to.
    """

    slow = True

    def __init__(
        self, source: Any, to_arrays: Callable[[Any], Arrays], *, shuffle: bool = False, seed: int = 0, steps: int | None = None
    ) -> None:
        self.source, self.to_arrays, self.shuffle, self.seed = source, to_arrays, shuffle, seed
        self._cut = steps

    @property
    def steps(self) -> int:
        return len(self.source) if self._cut is None else min(self._cut, len(self.source))

    def peek(self) -> Any:
        """The first batch as the source gives it."""
        if not len(self.source):
            raise DataError("there is no data: the sequence holds no batch")
        return self.source[0]

    def epoch(self, number: int, start: int = 0) -> Iterator[Arrays]:
        self._tell("on_epoch_begin")
        count = len(self.source)
        order = np.random.default_rng([self.seed, number]).permutation(count) if self.shuffle else np.arange(count)
        for i in order[start : self.steps]:
            yield self.to_arrays(self.source[int(i)])
        self._tell("on_epoch_end")

    def _tell(self, hook: str) -> None:
        if hasattr(self.source, hook):
            getattr(self.source, hook)()


def is_sequence(source: Any) -> bool:
    """Whether batches can be asked for by number."""
    return hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, list | tuple | dict | str | np.ndarray)


def _length(source: Any) -> int | None:
    if not hasattr(source, "__len__"):
        return None
    try:
        return len(source)
    except TypeError:  # a tf.data.Dataset whose length is unknown or endless
        return None
