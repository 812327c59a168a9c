"""tqdm's progress bars for Keras."""

import io
from typing import Any

import pytest
from support.foreign import fit
from tqdm import tqdm
from tqdm.keras import TqdmCallback

from distfit.comm import Communicator

pytestmark = pytest.mark.ranks(2)


class Bars:
    """Makes bars, and keeps what becomes of them."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.shown = io.StringIO()

    def __call__(self, **options: Any) -> tqdm:
        bar = tqdm(file=self.shown, mininterval=0, ascii=True, ncols=200, **options)
        self.made.append(bar)
        return bar

    def counts(self, unit: str) -> list[tuple[int, int]]:
        """Return how far the bars of a unit have come, and of how much."""
        return [(bar.n, bar.total) for bar in self.made if bar.unit == unit]


@pytest.mark.parametrize(("verbose", "batch_bars"), [(0, []), (1, [(4, 4)]), (2, [(4, 4), (4, 4), (4, 4)])])
def test_bars_count_epochs_and_batches_on_root(
    comm: Communicator, verbose: int, batch_bars: list[tuple[int, int]]
) -> None:
    bars = Bars()
    fit(comm, [TqdmCallback(verbose=verbose, tqdm_class=bars)], epochs=3)
    if comm.is_root:
        assert bars.counts("epoch") == [(3, 3)]
        assert bars.counts("batch") == batch_bars
    else:  # they were made, and stand still
        assert bars.counts("epoch") == [(0, None)]
        assert all(count == (0, None) for count in bars.counts("batch"))


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_bar_shows_batches_and_the_logs_of_all_ranks(comm: Communicator, verbose: int) -> None:
    bars = Bars()
    history = fit(comm, [TqdmCallback(verbose=verbose, tqdm_class=bars)], epochs=1).history
    if comm.is_root:
        assert "4.00/4.00 [" in bars.shown.getvalue()
        assert f"val_loss={history['val_loss'][0]:.3g}" in bars.shown.getvalue()


def test_a_bar_serves_two_fits(comm: Communicator) -> None:
    """What the first one put into the object, on root alone, is no difference between the ranks."""
    bars = Bars()
    callback = TqdmCallback(verbose=2, tqdm_class=bars)
    fit(comm, [callback], epochs=1)
    fit(comm, [callback], epochs=1)
    assert bars.counts("batch") == ([(4, 4), (4, 4)] if comm.is_root else [])
