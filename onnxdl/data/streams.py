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
        steps: the batches of an epoch. Without it an epoch is all there is.
        continued: whether an epoch goes on where ``steps`` cut the one before.
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
        continued: bool = False,
        first_epoch: int = 0,
    ) -> None:
        self.source, self.to_arrays, self.first_epoch = source, to_arrays, first_epoch
        self._is_iterator = not callable(source) and iter(source) is source
        self._continued = steps is not None and (continued or self._is_iterator)
        self._cut = steps
        self._used = False
        self._peeked: Iterator[Any] | None = None
        self._rest: Iterator[Any] | None = None  # what the epochs before have left

    @property
    def steps(self) -> int | None:
        return self._cut if self._cut is not None else _length(self.source)

    def peek(self) -> Any:
        """The first batch as the source gives it; it is not lost. Raises DataError where there is none."""
        stream = self._open(self.first_epoch)
        first = next(stream, None)
        if first is None:
            raise DataError("there is no data: the iterable gave no batch")
        self._peeked = itertools.chain([first], stream)
        return first

    def epoch(self, number: int, start: int = 0) -> Iterator[Arrays]:
        items = self._part(number) if self._continued else itertools.islice(self._begun(number), self._cut)
        for item in itertools.islice(items, start, None):
            yield self.to_arrays(item)

    def _begun(self, number: int) -> Iterator[Any]:
        peeked, self._peeked = self._peeked, None
        usable = peeked is not None and (number == self.first_epoch or self._is_iterator)
        return peeked if usable and peeked is not None else self._open(number)

    def _part(self, number: int) -> Iterator[Any]:
        steps = self._cut or 0
        if self._rest is None:
            seen = (number - self.first_epoch) * steps if number > self.first_epoch else 0
            self._rest = itertools.islice(self._endless(), seen, None)
        given = 0
        for item in itertools.islice(self._rest, steps):
            given += 1
            yield item
        if given < steps:
            raise DataError(f"the data ran out after {given} of the {steps} batches of epoch {number + 1}")

    def _endless(self) -> Iterator[Any]:
        """The source, begun again whenever it ends and can be."""
        for number in itertools.count(self.first_epoch):
            empty = True
            for item in self._begun(number):
                empty = False
                yield item
            if empty or self._is_iterator:
                return

    def _open(self, number: int) -> Iterator[Any]:
        if callable(self.source):
            return iter(self.source(number) if inspect.signature(self.source).parameters else self.source())
        if self._is_iterator and self._used:
            raise DataError("the generator of batches is used up; pass a function that makes it, a list of batches, or steps_per_epoch")
        self._used = True
        return iter(self.source)


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
