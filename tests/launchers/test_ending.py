"""Why an attempt failed, from what there is to know; and whether another one follows."""

import signal
from typing import Any

import pytest

from distfit.launchers.ending import Cause, Ending, cause_of
from distfit.launchers.records import Failure
from distfit.launchers.restart import verdict
from distfit.launchers.runner import Death

RAISED = Failure(1, "ValueError: bad\nmore", step=12, follows=False, when=100.0)
FOLLOWS = Failure(0, "RankLeft: rank 1 left the program", step=12, follows=True, when=101.0)
TRACEBACK = """Epoch 1/2
Traceback (most recent call last):
  File "train.py", line 3, in <module>
    load()

  File "train.py", line 1, in load
numpy.linalg.LinAlgError: Singular matrix
Abort(1) on node 1 (rank 1 in comm 0): application called MPI_Abort(MPI_COMM_WORLD, 1) - process 1
"""


def cause(status: int, **known: Any) -> Cause | None:
    nothing = {
        "failure": None, "death": None, "joined": True, "completed": False, "output": "", "gone": [],
        "step_of_dead": None,
    }  # fmt: skip
    return cause_of(status, **(nothing | known))


@pytest.mark.parametrize(
    ("status", "known", "text"),
    [
        (1, {"failure": RAISED}, "rank 1 raised ValueError: bad (step 12)"),
        (9, {"failure": RAISED, "death": Death(0, signal=9)}, "rank 1 raised ValueError: bad (step 12)"),
        (9, {"death": Death(1, signal=9), "step_of_dead": 120},
         "rank 1 was killed by signal 9, SIGKILL (about step 120)"),
        (137, {"death": Death(1, signal=9), "failure": FOLLOWS}, "rank 1 was killed by signal 9, SIGKILL"),
        (0, {"gone": ["node3"], "step_of_dead": 7}, "node3 can no longer be reached (about step 7)"),
        (255, {"gone": ["node2", "node3"], "failure": FOLLOWS}, "node2, node3 can no longer be reached"),
        (1, {"gone": ["node3"], "failure": RAISED}, "rank 1 raised ValueError: bad (step 12)"),
        (9, {}, "a rank was killed by signal 9, SIGKILL"),
        (139, {}, "a rank was killed by signal 11, SIGSEGV"),
        (1, {"failure": FOLLOWS}, "rank 0 raised RankLeft: rank 1 left the program (step 12)"),
        (1, {"output": TRACEBACK}, "a rank raised numpy.linalg.LinAlgError: Singular matrix"),
        (4, {"death": Death(1, status=4)}, "rank 1 ended with status 4"),
        (1, {"death": Death(1), "step_of_dead": 3}, "rank 1 ended without leaving MPI (about step 3)"),
        (4, {"joined": False}, "a rank ended with status 4"),
        (75, {}, "ranks waited in vain for another one (status 75)"),
        (0, {}, ("mpiexec tells success, but the ranks did not end together: one of them, or its machine, was gone"
         " before")),
    ],
)  # fmt: skip
def test_the_cause_in_words(status: int, known: dict[str, Any], text: str) -> None:
    assert str(cause(status, **known)) == text


@pytest.mark.parametrize(
    ("status", "known"),
    [
        (0, {"completed": True}),
        (0, {"joined": False}),  # it never worked with several ranks
        (85, {"completed": True}),  # its own word
    ],
)
def test_an_end_in_order_has_no_cause(status: int, known: dict[str, Any]) -> None:
    assert cause(status, **known) is None


def failed(error: str | None = "ValueError: bad", step: int | None = 12, exact: bool = True) -> Ending:
    return Ending(1.0, 1, Cause("rank 1 failed", error, step, exact))


KILLED = failed(error=None)


@pytest.mark.parametrize(
    ("endings", "follows"),
    [
        ([Ending(1.0, 0)], "OVER"),
        ([Ending(1.0, 85)], "OVER"),
        ([failed()], "AGAIN"),
        ([failed(), failed()], "REPEATED"),
        ([failed(), KILLED, failed()], "REPEATED"),
        ([failed(), failed(step=13)], "AGAIN"),
        ([failed(), failed(error="OSError: full")], "AGAIN"),
        ([KILLED, KILLED], "AGAIN"),
        ([failed(step=None), failed(step=None)], "AGAIN"),  # it may have been elsewhere
        ([failed("signal 11", exact=False), failed("signal 11", exact=False)], "AGAIN"),
        ([KILLED, KILLED, KILLED, KILLED], "SPENT"),
        ([Ending(1.0, 9, KILLED.cause, signal.SIGTERM)], "ASKED"),
        ([KILLED, Ending(1.0, 0)], "OVER"),
    ],
)
def test_what_follows(endings: list[Ending], follows: str) -> None:
    assert verdict(endings, max_restarts=3).name == follows


def test_how_an_attempt_ended_in_words() -> None:
    assert str(Ending(0.84, 0)) == "ended after 0.8 s, in order"
    assert (
        str(Ending(83.4, 85, asked_by=signal.SIGUSR1))
        == "ended after 83 s, asked to by SIGUSR1, with status 85"
    )
    assert str(failed()) == "failed after 1.0 s: rank 1 failed (step 12)"
