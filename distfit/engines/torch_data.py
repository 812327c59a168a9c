"""How `fit` reads data sets and loaders of torch: their rows are cut into global batches as those of arrays are.

A map-style data set gives one row at a time. Each rank asks it for its own rows alone; its random numbers, such as
those of augmentations, are drawn from torch's generator, which is seeded for each row by the run's seed, the step and
the row's place in the global batch. So rows are augmented alike on any number of ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,
)

from distfit.data import Mapped, RowContext, Samples, samples_of
from distfit.engines.torch_device import as_array
from distfit.utils.nested import map_leaves, map_paths

_NO_FORK = (
    "a loader's workers are started while MPI runs, and a process that runs MPI must not fork: give the loader"
    " multiprocessing_context='forkserver'"
)


class RowNumbers:
    """The numbers of a data set's rows, as an array-like that takes no memory."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, rows: Any) -> Any:
        return rows


class Columns:
    """The parts of a data set's samples, such as x and y, as array-likes that are fetched together.

    Args:
        dataset: map-style.
        collate: makes a batch of a list of samples.

    Raises:
        ValueError: if a sample has more parts than x, y and sample_weight.
    """

    def __init__(self, dataset: Any, collate: Callable[[list[Any]], Any]) -> None:
        self._dataset, self._collate = dataset, collate
        self._rows: np.ndarray | None = None
        self._left: dict[str, Any] = {}
        with torch.random.fork_rng(devices=[]):
            sample = self._parts([0]) if len(dataset) else ()
        if len(sample) > 3:
            raise ValueError(
                f"a sample of a data set is x, (x, y) or (x, y, sample_weight). Received: {len(sample)} parts. Several"
                " inputs are one part: ((a, b), y)"
            )
        numbers = RowNumbers(len(dataset))
        self.data: tuple[Any, ...] = map_paths(
            lambda path, _: Mapped(numbers, partial(self._take, path)), sample or (0,)
        )

    def _parts(self, rows: Sequence[int]) -> tuple[Any, ...]:
        batch = self._collate([self._dataset[row] for row in rows])
        return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)

    def _take(self, path: str, rows: np.ndarray, context: RowContext) -> np.ndarray:
        """Return one part of some rows. The first part that is asked for fetches them all."""
        if self._rows is None or path not in self._left or not np.array_equal(self._rows, rows):
            self._fetch(rows, context)
        array: np.ndarray = self._left.pop(path)
        return array

    def _fetch(self, rows: np.ndarray, context: RowContext) -> None:
        seeds = (context.rng_rows.uniform((), "float64") * 2**53).astype(np.int64)
        samples = []
        with torch.random.fork_rng(devices=[]):
            for row, seed in zip(rows.tolist(), seeds.tolist(), strict=True):
                torch.default_generator.manual_seed(seed)
                samples.append(self._dataset[row])
        batch = self._collate(samples)
        self._rows, self._left = rows, {}
        parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        map_paths(self._left.__setitem__, map_leaves(lambda leaf: np.asarray(as_array(leaf)), parts))


@samples_of.register
def _of_dataset(dataset: Dataset) -> Samples | None:
    if isinstance(dataset, IterableDataset):
        raise TypeError(
            "an IterableDataset yields single rows, but fit takes global batches: give a DataLoader of it, with a"
            " batch_size that is that of all ranks together"
        )
    return Samples(Columns(dataset, default_collate).data)


@samples_of.register
def _of_loader(loader: DataLoader) -> Samples | None:
    """Take a map-style loader's data set, batch size and order; of an iterable one each rank keeps its rows.

    The first kind's workers are not started: each rank reads its own rows. The second's are, while MPI runs.
    """
    if isinstance(loader.dataset, IterableDataset):
        if loader.num_workers and _starts_by_fork(loader):
            raise RuntimeError(_NO_FORK)
        return None
    if type(loader.sampler) not in (RandomSampler, SequentialSampler) or loader.batch_size is None:
        raise TypeError(
            "the ranks share a loader's rows by their numbers, in an order of distfit's own: give a loader that"
            " was made with batch_size= and shuffle=, without a sampler. Received: one with a"
            f" {type(loader.sampler if loader.batch_size else loader.batch_sampler).__name__}"
        )
    columns = Columns(loader.dataset, loader.collate_fn)
    return Samples(columns.data, loader.batch_size, isinstance(loader.sampler, RandomSampler))


def _starts_by_fork(loader: Any) -> bool:
    context = loader.multiprocessing_context
    method = torch.multiprocessing.get_start_method() if context is None else context.get_start_method()
    return bool(method == "fork")
