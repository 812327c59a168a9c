"""An error of one rank as the same clear error on the others, whatever the error is like."""

import errno
from typing import Any

import pytest

from distfit.comm import failure
from distfit.comm.failure import FailureReport, remote_error, report
from distfit.errors import DataMismatch, RemoteError


class Particular(ValueError):
    """Takes arguments of its own, and keeps them."""

    def __init__(self, row: int, *, column: str) -> None:
        super().__init__(f"row {row}, column {column}")
        self.row, self.column = row, column


class Picky(KeyError):
    """Cannot even be made without its arguments."""

    def __new__(cls, first: Any, second: Any) -> "Picky":
        return super().__new__(cls, first, second)


class Mute(RuntimeError):
    def __str__(self) -> str:
        raise OSError("no words")


def travelled(error: BaseException, rank: int = 2) -> RemoteError:
    """Raise an error, write it down and make it again, as another rank does."""
    try:
        raise error
    except BaseException as raised:
        return remote_error([report(raised, rank, "node7")])


def local_error() -> Exception:
    class Local(LookupError):
        pass

    return Local("only here")


@pytest.mark.parametrize(
    ("error", "caught_as"),
    [
        (ValueError("bad"), ValueError),
        (FileNotFoundError(errno.ENOENT, "no such file", "x.npy"), OSError),
        (Particular(3, column="age"), Particular),
        (Picky("a", "b"), KeyError),
        (Mute(), RuntimeError),
        (local_error(), LookupError),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), UnicodeDecodeError),
        (StopIteration(5), StopIteration),
        (DataMismatch("differ"), DataMismatch),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (MemoryError("no room"), MemoryError),
        (GeneratorExit(), GeneratorExit),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_the_same_except_clause_catches_it_on_another_rank(error: BaseException, caught_as: type) -> None:
    remote = travelled(error)
    assert isinstance(remote, RemoteError)
    assert isinstance(remote, caught_as)
    assert isinstance(remote, Exception) == isinstance(error, Exception)
    assert "raised on rank 2 (node7)" in str(remote)
    assert type(error).__name__ in str(remote)
    assert remote.ranks == (2,)
    assert "Traceback" in remote.remote_traceback
    assert "test_failure.py" in remote.remote_traceback
    with pytest.raises(caught_as):
        raise remote


def test_the_message_is_in_the_text() -> None:
    assert "Particular: row 3, column age" in str(travelled(Particular(3, column="age")))
    assert "Mute: (its message could not be formatted)" in str(travelled(Mute()))


@pytest.mark.parametrize("code", [None, 0, 3, "too bad"])
def test_an_exit_keeps_its_code(code: Any) -> None:
    remote = travelled(SystemExit(code))
    assert isinstance(remote, SystemExit)
    assert not isinstance(remote, Exception)
    assert remote.code == code


def test_a_code_that_is_no_number_travels_as_text() -> None:
    assert travelled(SystemExit([1])).code == "[1]"  # type: ignore[attr-defined]


def test_the_cause_of_an_error_is_in_its_traceback() -> None:
    try:
        try:
            raise OSError("disk")
        except OSError as cause:
            raise ValueError("data") from cause
    except ValueError as error:
        text = report(error, 0, "here").traceback
    assert "OSError: disk" in text
    assert "direct cause" in text


def test_of_several_errors_the_first_gives_the_class_and_all_are_named() -> None:
    def at(when: float, rank: int, error: Exception) -> FailureReport:
        return FailureReport(
            rank, "node", when, (("builtins", type(error).__name__),), repr(error), f"trace {rank}"
        )

    remote = remote_error([at(9.0, 0, KeyError("late")), at(2.0, 3, OSError("early"))])
    assert isinstance(remote, OSError)
    assert not isinstance(remote, KeyError)
    assert remote.ranks == (0, 3)
    assert str(remote).index("early") < str(remote).index("late")
    assert remote.remote_traceback == "trace 3"


def test_a_class_that_is_not_known_here_is_its_nearest_base() -> None:
    classes = (("vendor.library", "TapeError"), ("builtins", "OSError"), ("builtins", "Exception"))
    remote = remote_error([FailureReport(1, "node", 0.0, classes, "TapeError: x", "trace")])
    assert isinstance(remote, OSError)


def test_an_error_that_travelled_travels_on() -> None:
    again = travelled(travelled(OSError("disk")), rank=5)
    assert isinstance(again, OSError)
    assert "raised on rank 5" in str(again)
    assert "raised on rank 2" in str(again)


def test_each_group_notes_for_itself_that_it_knows() -> None:
    error, here, there = ValueError(), object(), object()
    failure.mark_agreed(error, here)
    assert failure.is_agreed(error, here)
    assert not failure.is_agreed(error, there)
    failure.mark_agreed(error, there)
    assert failure.is_agreed(error, here)
    assert failure.is_agreed(error, there)
