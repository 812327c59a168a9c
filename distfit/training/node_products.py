"""Gradients of kernels that the ranks of a machine compute together, each a part of them over the rows of all.

A kernel's gradient is the product of the layer's inputs and of the gradient by its outputs, summed over rows. Where
each rank multiplies its own rows, it writes a product as large as the kernel, and reads its part of those of the
others. Here the rows themselves lie in the machine's memory, which are fewer numbers, and each rank multiplies all of
them, for its part of the kernel alone. That moves less memory, and longer products come closer to what a core can do:
the more ranks a machine has, and the fewer rows each of them, the more it matters.

Why no rank reads what another still writes: as with gradients (see `node_update`), the step's agreement lies between
the rows and their products, and that of the update between the products and the next rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from distfit.comm.node_memory import Field
from distfit.comm.nodes import share
from distfit.engines import Kernel
from distfit.layers import JointProduct
from distfit.training.update import add_up

if TYPE_CHECKING:
    from distfit.training.model import Model


class NodeProducts:
    """Makes room for the rows of a machine's ranks, and sums gradients over them.

    Room is made when it turns out how many rows a rank has; until then, and for rows that do not fit, gradients lie in
    the ranks' buffers as otherwise.

    Args:
        model: whose gradients they are.

    Ranks: each of a machine does the same.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        compiled = model.compiled
        # Where somebody looks at gradients before they are summed, or adds to them, they have to be there.
        is_allowed = (
            not model.has_own_compute_gradients
            and compiled.on_nan == "ignore"
            and compiled.gradient_accumulation_steps == 1
        )
        self._kernels: list[Kernel] = model.engine.kernels if is_allowed else []
        self._joined: list[tuple[Kernel, JointProduct]] = []

    @property
    def are_used(self) -> bool:
        """Whether there is room for rows of any kernel."""
        return bool(self._joined)

    @property
    def lack_room(self) -> bool:
        """Whether this rank had more rows for a kernel than there is room for, which would be worth having."""
        for kernel in self._kernels:
            if kernel.parameter.rows > kernel.room and kernel.rows(self._model.comm.local_size) > kernel.room:
                return True
        return False

    def make_room(self) -> None:
        """Have memory for as many rows of each kernel as any rank has had, and for some more where it grows.

        Ranks: every rank, between an update and the next step; the messages of `share`.
        """
        model, comm = self._model, self._model.comm
        ranks = comm.local_size
        of_ranks = comm.all_gather_object([kernel.rows(ranks) for kernel in self._kernels])
        most = np.max(of_ranks, axis=0).tolist()
        wanted = [
            (kernel, max(rows, min(kernel.room * 3 // 2, kernel.most_rows(ranks))))
            for kernel, rows in zip(self._kernels, most, strict=True)
            if max(rows, kernel.room)
        ]
        dtype = model.engine.gradients.dtype
        shapes = [(rows, comm.local_size, size) for kernel, rows in wanted for size in kernel.parameter.shape]
        fields = {
            str(number): Field(size := int(np.prod(shape)), dtype, size)
            for number, shape in enumerate(shapes)
        }
        memory = share(
            comm,
            fields,
            Field(len(wanted), dtype, 0),
            otherwise="each rank computes gradients of its own rows alone",
        )
        self._release()
        if memory is None:
            self._kernels = []
            return
        rows_of_all = [memory.shared[str(number)].reshape(shape) for number, shape in enumerate(shapes)]
        flags = memory.gradients
        for number, (kernel, _) in enumerate(wanted):
            inputs, deltas = rows_of_all[2 * number : 2 * number + 2]
            counts = [of_rank[number : number + 1] for of_rank in flags]
            self._joined.append((kernel, JointProduct(inputs, deltas, counts, comm.local_rank)))
        for kernel, product in self._joined:
            kernel.parameter.joint = product

    def end_of_row(self, element: int) -> int:
        """Return where the row of a kernel ends that has elements on both sides of one; that one itself if none has.

        A row is written whole, so that sums which are on their way must not have a part of one that is written later.

        Ranks: local; alike on all ranks of all machines.
        """
        for kernel in self._kernels:
            if kernel.start < element < kernel.start + kernel.parameter.value.size:
                units = int(kernel.parameter.shape[1])
                return kernel.start + int(_rows(kernel, slice(kernel.start, element)).stop) * units
        return element

    def unused(self, places: Sequence[slice]) -> list[slice]:
        """Return where this rank's buffer holds nothing: in the parts of kernels that others compute.

        Args:
            places: of which this rank writes the sums.
        """
        unused = []
        for kernel, _ in self._joined:
            done, end = kernel.start, kernel.start + kernel.parameter.value.size
            for place in places:
                first, last = max(kernel.start, place.start), min(end, place.stop)
                if first < last:
                    rows = _rows(kernel, slice(first, last))
                    units = kernel.parameter.shape[1]
                    unused.append(slice(done, kernel.start + rows.start * units))
                    done = kernel.start + rows.stop * units
            unused.append(slice(done, end))
        return unused

    def release(self) -> None:
        """Let each rank compute the gradients of its own rows."""
        self._release()
        self._kernels = []

    def _release(self) -> None:
        for kernel, _ in self._joined:
            kernel.parameter.joint = None
        self._joined = []

    def add_up(self, own: np.ndarray, peers: dict[int, np.ndarray], place: slice) -> None:
        """Write the sums of all ranks' gradients at a place to this rank's buffer.

        Args:
            own: this rank's buffer.
            peers: those of the others of its machine, by their numbers there.
            place: of which no other rank writes the sums.

        Ranks: local, behind an agreement.
        """
        done = place.start
        for kernel, product in self._joined:
            size = kernel.parameter.value.size
            first, last = max(kernel.start, place.start), min(kernel.start + size, place.stop)
            if first < last:
                add_up(own, list(peers.values()), slice(done, first))
                _multiply(kernel, product, own, peers, slice(first, last))
                done = last
        add_up(own, list(peers.values()), slice(done, place.stop))


def _multiply(
    kernel: Kernel, product: JointProduct, own: np.ndarray, peers: dict[int, np.ndarray], place: slice
) -> None:
    """Write the sums of a kernel's gradients, some of which may lie in buffers nevertheless."""
    units = kernel.parameter.shape[1]
    whole_rows = _rows(kernel, place)
    start = kernel.start + whole_rows.start * units
    elsewhere = product.are_elsewhere()
    if not elsewhere:
        # Nobody reads this rank's buffer, and a row of which another part is another rank's may be written whole.
        whole = own[start : kernel.start + whole_rows.stop * units].reshape(-1, units)
        product.multiply(whole_rows, out=whole)
        return
    rows = product.multiply(whole_rows).reshape(-1)
    sums = rows[place.start - start : place.stop - start]
    for rank in elsewhere:
        sums += peers.get(rank, own)[place]
    own[place] = sums


def _rows(kernel: Kernel, place: slice) -> slice:
    """Return the rows of a kernel that have elements at a place."""
    units = kernel.parameter.shape[1]
    return slice((place.start - kernel.start) // units, -(-(place.stop - kernel.start) // units))
