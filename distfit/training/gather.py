"""Rows of all ranks in the order of the data set."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np

from distfit.comm import Communicator
from distfit.errors import WouldNotFit
from distfit.utils.nested import leaves, map_leaves

GATHER = ("all", "root", "none")


class Rows:
    """One rank's predictions, and where they belong."""

    def __init__(self) -> None:
        self._places: list[np.ndarray] = []
        self._outputs: list[list[np.ndarray]] = []
        self._form: Any = None

    def add(self, place: int, rows: int, outputs: Any) -> None:
        """Add the output of consecutive rows: an array, or a tuple, list or dict of them where there are several."""
        numbers = itertools.count()
        self._form = map_leaves(lambda _: next(numbers), outputs)
        self._places.append(np.arange(place, place + rows))
        self._outputs.append([array for _, array in leaves(outputs)])

    def extend(self, rows: Rows) -> None:
        """Add rows that came later."""
        self._places += rows._places
        self._outputs += rows._outputs
        self._form = rows._form if rows._outputs else self._form

    def together(self, comm: Communicator, gather: str, out: Any) -> Any:
        """Bring all ranks' rows together; see `all_rows`."""
        return all_rows(comm, self, gather, out)

    @property
    def places(self) -> np.ndarray:
        """A number for each row, by which all ranks' rows are ordered."""
        return np.concatenate(self._places) if self._places else np.empty(0, np.int64)

    @property
    def outputs(self) -> list[np.ndarray] | None:
        """The model's outputs, or None where this rank had no rows."""
        if not self._outputs:
            return None
        return [np.concatenate(parts) for parts in zip(*self._outputs, strict=True)]

    @property
    def form(self) -> Any:
        """The tuple, list or dict of the outputs' numbers, or the number 0; None where this rank had no rows."""
        return self._form


class WrittenRows(Rows):
    """One rank's predictions that go where they belong as they come: into a file that all ranks have mapped.

    No more of them than one execution's are in memory.

    Args:
        out: the whole, ``(rows, ...)``. The places of the rows are their numbers.
    """

    def __init__(self, out: np.memmap) -> None:
        super().__init__()
        self._out = out

    def extend(self, rows: Rows) -> None:
        for places, outputs in zip(rows._places, rows._outputs, strict=True):
            if len(outputs) > 1:
                raise ValueError(_one_output(len(outputs)))
            if places[-1] >= len(self._out) or outputs[0].shape[1:] != self._out.shape[1:]:
                raise ValueError(
                    f"out has the shape {self._out.shape}, but row {places[-1]} of the predictions has the shape"
                    f" {outputs[0].shape[1:]}: make it (rows, *output_shape)"
                )
            if not np.can_cast(outputs[0].dtype, self._out.dtype, "same_kind"):
                raise ValueError(
                    f"out is of {self._out.dtype}, which cannot hold predictions of {outputs[0].dtype}"
                )
            self._out[places] = outputs[0]

    def together(self, comm: Communicator, gather: str, out: Any) -> Any:  # noqa: ARG002
        """Return the whole. It is complete when all ranks have left the operation."""
        self._out.flush()
        return self._out


def _one_output(outputs: int) -> str:
    return f"out is one array, but the model has {outputs} outputs: predict without it"


def all_rows(comm: Communicator, rows: Rows, gather: str = "all", out: Any = None) -> Any:
    """Bring all ranks' rows together, in order.

    Args:
        comm: the ranks.
        rows: this rank's.
        gather: ``"all"`` ranks get the whole, ``"root"`` alone, or each keeps its own (``"none"``).
        out: an array into which the whole is written, on every rank; into a memmap each rank writes its own rows.

    Returns:
        The outputs, or None on the other ranks of ``"root"``.

    Raises:
        WouldNotFit: on all ranks, if a node has not the memory.
        ValueError: on all ranks, for `out` where the model has several outputs.

    Ranks: every rank; two small messages and one for each output, and the rows.
    """
    outputs, places = rows.outputs, rows.places
    if gather == "none" and out is None:
        return None if outputs is None else map_leaves(outputs.__getitem__, rows.form)
    shared, to_all = isinstance(out, np.memmap), gather == "all" or out is not None
    described = None if outputs is None else [(o.shape[1:], o.dtype.str) for o in outputs]
    known = comm.all_gather_object((len(places), described, rows.form, _free_bytes(), comm.local_size))
    counts = [one[0] for one in known]
    shapes, form = next(((one[1], one[2]) for one in known if one[1] is not None), ([], None))
    if out is not None and len(shapes) > 1:
        raise ValueError(_one_output(len(shapes)))
    row_bytes = sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in shapes)
    if not shared:
        _check_memory(sum(counts) * row_bytes, [(one[3], one[4] if to_all else 1) for one in known])
    order = np.argsort(comm.gather_parts(places, counts), kind="stable")
    if shared:
        mine = np.argsort(order, kind="stable")[sum(counts[: comm.rank]) :][: len(places)]
        out[mine] = np.empty((0, *out.shape[1:])) if outputs is None else outputs[0]
        out.flush()
        return out
    wholes = []
    for number, (shape, dtype) in enumerate(shapes):
        part = np.empty((0, *shape), dtype) if outputs is None else outputs[number]
        whole = _gather(comm, part, counts, to_all=to_all)
        wholes.append(None if whole is None else whole[order])
    if out is not None:
        out[...] = wholes[0]
        return out
    return map_leaves(wholes.__getitem__, form)


def _gather(comm: Communicator, part: np.ndarray, counts: list[int], *, to_all: bool) -> np.ndarray | None:
    width = int(np.prod(part.shape[1:]))
    flat = np.ascontiguousarray(part).reshape(-1)
    whole = comm.gather_parts(flat, [count * width for count in counts], to_all=to_all)
    return None if whole is None else whole.reshape(sum(counts), *part.shape[1:])


def _free_bytes() -> int:
    """Return how much memory this machine could still give, its caches included."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _check_memory(needed: int, nodes: list[tuple[int, int]]) -> None:
    """Raise, on all ranks alike, if the rows of all ranks would fill the memory of some node."""
    for free, copies in nodes:
        if 2 * needed * copies > free:  # the gathered rows, and the same in order
            raise WouldNotFit(
                f"all predictions together take {needed / 1e9:.3g} GB, twice and {copies} times on one node, of which"
                f" {free / 1e9:.3g} GB are free. Take predict(..., gather='root') for one copy, gather='none' for each"
                " rank's own rows, or out=np.memmap(...), into which each rank writes its own"
            )
