"""The State on the device: each entry is a cell of two buffers, one to read and one that the next step writes.

A step never writes the buffer that it reads (ONNX Runtime accepts that and corrupts silently) unless ``in_place`` has shown
that nothing reads it any more, and nothing is copied between steps: the two buffers change places.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxdl.errors import RuntimeFailure
from onnxdl.runtime.profiling import NodeTime, node_times
from onnxdl.runtime.sessions import create_session, load_onnxruntime, one_line, run

if TYPE_CHECKING:
    import onnxruntime as ort


_DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(int32)": np.int32}


class Cell:
    """One array of the State, resident on a device.

    Args:
        array: the first value; it is copied.
        device: ``cpu`` or ``cuda``.

    ``version`` grows with every change of the value.
    """

    def __init__(self, array: np.ndarray, device: str = "cpu") -> None:
        self.device = device
        self.shape, self.dtype = array.shape, array.dtype
        self.flipped = False
        self.version = 0
        self._buffers = [_on_device(array, device), None]

    @property
    def current(self) -> ort.OrtValue:
        """The buffer that holds the value."""
        return self._buffers[self.flipped]

    @property
    def spare(self) -> ort.OrtValue:
        """The buffer that the next step writes; made at its first use."""
        if self._buffers[not self.flipped] is None:
            self._buffers[not self.flipped] = _on_device(np.zeros(self.shape, self.dtype), self.device)
        return self._buffers[not self.flipped]

    def flip(self) -> None:
        """Makes the buffer just written the current one."""
        self.flipped = not self.flipped
        self.version += 1

    def touch(self) -> None:
        """Notes that the value was changed where it lies."""
        self.version += 1

    def numpy(self) -> np.ndarray:
        """The value as an array of your own."""
        return np.array(self.current.numpy())

    def assign(self, array: np.ndarray) -> None:
        """Replaces the value; shape and type stay."""
        array = np.asarray(array, self.dtype, order="C")
        if array.shape != self.shape:
            raise RuntimeFailure(f"a value of shape {list(array.shape)} cannot replace one of shape {list(self.shape)}")
        if array.size:
            self.current.update_inplace(array)
        self.version += 1


def _on_device(array: np.ndarray, device: str) -> Any:
    """A copy on the device: on the CPU an OrtValue made from an array would share its memory."""
    ort = load_onnxruntime()
    return ort.OrtValue.ortvalue_from_numpy(np.array(array, order="C"), device, 0)


class Results(Mapping[str, Any]):
    """What a step gave, by name; scalars are Python floats. Values are copied from the device when they are read."""

    def __init__(self, values: dict[str, ort.OrtValue]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        array = np.array(self._values[name].numpy())
        return array.item() if array.ndim == 0 else array

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: {self[name]!r}' for name in self)}}}"


class StepSession:
    """A session whose State stays on the device from one call to the next.

    Args:
        model: the serialized step; every cell is one of its inputs, ``next/NAME`` outputs write cells, the rest is returned.
            An output may have another shape than its cell, of as many elements.
        cells: the State by the step's names. Cells may be shared with other sessions of the same device.
        device: ``cpu`` or ``cuda``.
        threads: intra-op threads, 0 for one a core.
        in_place: the cells that the step may write over: what ``written_in_place`` found.
        capture: whether CUDA graphs are recorded; see ``CapturedSession``.
    """

    def __init__(
        self,
        model: bytes | str,
        cells: Mapping[str, Cell],
        *,
        device: str = "cpu",
        threads: int = 0,
        in_place: Collection[str] = (),
        capture: bool = False,
    ) -> None:
        self.session = create_session(model, device=device, threads=threads, capture=capture)
        self.model, self.device, self.threads = model, device, threads
        names = [o.name for o in self.session.get_outputs()]
        self._cells = list(cells.items())
        written = [n.removeprefix("next/") for n in names if n.startswith("next/")]
        self._in_place = [cells[n] for n in written if n in in_place]
        self._written = [cells[n] for n in written if n not in in_place]
        returned = [o for o in self.session.get_outputs() if not o.name.startswith("next/")]
        self._returned = {o.name: _fixed_shape(o) for o in returned}
        self._output_shapes = {o.name: o.shape for o in self.session.get_outputs()}
        self.inputs = [i.name for i in self.session.get_inputs() if i.name not in cells]
        self._bindings: dict[tuple[bool, ...], Any] = {}

    def __call__(self, batch: Mapping[str, np.ndarray]) -> Results:
        """Runs one step on a batch of C-contiguous arrays."""
        return Results(self._step(self._binding(), batch))

    def _step(self, binding: Any, batch: Mapping[str, np.ndarray]) -> dict[str, ort.OrtValue]:
        ort = load_onnxruntime()
        for name in self.inputs:
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(batch[name], self.device, 0))
        results: dict[str, Any] = {}
        for name, fixed in self._returned.items():
            if fixed is None:
                binding.bind_output(name, "cpu")
            else:
                results[name] = ort.OrtValue.ortvalue_from_shape_and_type(*fixed, "cpu", 0)
                binding.bind_ortvalue_output(name, results[name])
        self._run(binding)
        if len(results) < len(self._returned):
            outputs = binding.get_outputs()  # all of them, the State's too: left out where every shape is known
            results = {name: outputs[i] for i, name in enumerate(binding.names) if name in self._returned}
        return results

    def _run(self, binding: Any, options: Any = None) -> None:
        """Runs what is bound; the State moves on."""
        try:
            self.session.run_with_iobinding(binding, options)
        except Exception as error:  # its exceptions share no base class of their own
            raise RuntimeFailure(f"ONNX Runtime cannot run the step: {one_line(error)}") from error
        for cell in self._written:
            cell.flip()
        for cell in self._in_place:
            cell.touch()

    def before(self) -> dict[str, np.ndarray]:
        """The State that the last step began with, as it still lies in the other buffers; what is written in place is as it is now."""
        written = set(map(id, self._written))
        return {name: np.array((cell.spare if id(cell) in written else cell.current).numpy()) for name, cell in self._cells}

    def profile(self, batch: Mapping[str, np.ndarray], runs: int) -> list[NodeTime]:
        """The time of each of its nodes on a batch; the State stays as it is."""
        feeds = {**batch, **{name: cell.numpy() for name, cell in self._cells}}
        wanted = {name: feeds[name] for name in (*self.inputs, *(name for name, _ in self._cells))}
        return node_times(self.model, lambda session: run(session, None, wanted), runs, device=self.device, threads=self.threads)

    def _binding(self) -> Any:
        """The binding for the way the cells lie now; there are two in plain training, more where sessions share cells."""
        key = tuple([cell.flipped for _, cell in self._cells])
        binding = self._bindings.get(key)
        if binding is None:
            binding = self._bindings[key] = self.session.io_binding()
            binding.names = []
            written, in_place = set(map(id, self._written)), set(map(id, self._in_place))
            for name, cell in self._cells:
                binding.bind_ortvalue_input(name, cell.current)
            for name, cell in self._cells:
                if id(cell) in written or id(cell) in in_place:
                    _bind_output(binding, f"next/{name}", cell, cell.spare if id(cell) in written else cell.current, self._output_shapes)
                    binding.names.append(f"next/{name}")
            binding.names.extend(self._returned)
        return binding


def _bind_output(binding: Any, name: str, cell: Cell, buffer: Any, shapes: Mapping[str, Sequence[Any]]) -> None:
    shape = shapes[name]
    if all(isinstance(d, int) for d in shape) and tuple(shape) != cell.shape:
        binding.bind_output(name, cell.device, 0, cell.dtype, shape, buffer.data_ptr())
    else:
        binding.bind_ortvalue_output(name, buffer)


def _fixed_shape(output: Any) -> tuple[list[int], Any] | None:
    """Shape and element type of an output, None where either is not known before the run."""
    dtype = _DTYPES.get(output.type)
    return (output.shape, dtype) if dtype is not None and all(isinstance(d, int) for d in output.shape) else None
