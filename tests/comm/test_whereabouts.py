"""Where the main thread is, seen from another one."""

import bdb
import threading
from collections.abc import Callable
from typing import TypeVar

from distfit.comm import whereabouts
from distfit.utils.activity import doing, now

T = TypeVar("T")


def seen(look: Callable[[], T]) -> T:
    """Return what another thread sees while this one waits for it."""
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(look()))
    thread.start()
    thread.join()
    return found[0]


def test_it_is_in_a_line_outside_of_distfit() -> None:
    where = seen(whereabouts.whereabouts)
    assert "threading.py:" in where.site  # Python's own, in which this test waits
    assert not where.in_debugger
    assert "test_it_is_in_a_line_outside_of_distfit" in seen(whereabouts.stack)


def test_someone_looks_at_it_in_a_debugger() -> None:
    found = []

    class Debugger(bdb.Bdb):
        def user_line(self, frame) -> None:
            found.append(seen(whereabouts.whereabouts).in_debugger)
            self.set_quit()

    Debugger().run("1")
    assert found == [True]


def test_what_is_done_may_stand_within_something_else() -> None:
    finished = now.finished
    with doing("runs Plot.on_epoch_end"):
        with doing("reads a batch"):
            assert now.doing == "reads a batch"
        assert now.doing == "runs Plot.on_epoch_end"
    assert (now.doing, now.finished) == ("", finished + 2)
