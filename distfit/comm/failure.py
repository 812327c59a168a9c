"""An error of one rank as the same clear error on the others."""

import importlib
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distfit.errors import RemoteError


@dataclass(frozen=True, slots=True)
class FailureReport:
    """What a rank tells the others of its error. Only text and numbers: an exception itself may not survive a journey.

    Attributes:
        rank: where it was raised.
        host: on which machine.
        when: seconds since the epoch, by that machine's clock.
        classes: the error's class and its bases, as ``(module, qualified name)``.
        summary: type and message on one line.
        traceback: the formatted traceback.
        exit_code: of a SystemExit.
    """

    rank: int
    host: str
    when: float
    classes: tuple[tuple[str, str], ...]
    summary: str
    traceback: str
    exit_code: int | str | None = None


def report(error: BaseException, rank: int, host: str) -> FailureReport:
    """Write an error down. Never raises, whatever the error's own methods do."""
    try:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception:
        text = f"(the traceback of a {type(error).__name__} could not be formatted)\n"
    try:
        message = str(error)
    except Exception:
        message = "(its message could not be formatted)"
    code = error.code if isinstance(error, SystemExit) else None
    return FailureReport(
        rank,
        host,
        time.time(),
        tuple((c.__module__, c.__qualname__) for c in type(error).__mro__[:-1]),
        f"{type(error).__name__}: {message}",
        text,
        code if code is None or isinstance(code, (int, str)) else str(code),
    )


def remote_error(reports: Sequence[FailureReport]) -> RemoteError:
    """Make the error that ranks raise which did not fail themselves.

    It is an instance of `RemoteError` and of the class that was raised first, or of the nearest base of it that can be
    imported here, so that one `except` clause catches on all ranks or on none.
    """
    first = min(reports, key=lambda r: (r.when, r.rank))
    text = "\n".join(
        [
            f"{r.summary}\n    raised on rank {r.rank} ({r.host})"
            for r in sorted(reports, key=lambda r: r.when)
        ]
        + [f"--- traceback of rank {first.rank} ---", first.traceback.rstrip()]
    )
    return _instance(first, text, tuple(sorted(r.rank for r in reports)))


def _instance(first: FailureReport, text: str, ranks: tuple[int, ...]) -> RemoteError:
    for module, name in first.classes:
        original = _imported(module, name)
        if original is None:
            continue
        try:
            # The original first: a MemoryError is made by its own class's `__new__` or not at all.
            made: Any = type(
                f"Remote{original.__name__}", (original, RemoteError), {"__str__": lambda _: text}
            )
            error: RemoteError = made.__new__(made, text)
            error.args = (text,)
            error.ranks, error.remote_traceback = ranks, first.traceback
        except Exception:  # noqa: S112 - a class that cannot be made so: its base can
            continue
        if isinstance(error, SystemExit):
            error.code = first.exit_code
        return error
    error = RemoteError(text)
    error.ranks, error.remote_traceback = ranks, first.traceback
    return error


def _imported(module: str, name: str) -> type[BaseException] | None:
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception:
        return None
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def mark_agreed(error: BaseException, group: object) -> None:
    """Note on an error that all ranks of a group know of it, so that the group's outer agreements let it pass.

    Those of another group do not: it may have ranks that know nothing yet, as when a solo evaluation fails in a hook
    for which the other ranks wait.
    """
    known = (*_agreed(error), group)
    try:
        error._distfit_agreed = known  # type: ignore[attr-defined]
    except Exception:  # an exception of the user's whose attributes cannot be set
        _unmarkable.append((error, known))
        del _unmarkable[:-_REMEMBERED]


def forget(error: BaseException, group: object) -> None:
    """Take the mark away: the same object may be raised again some day, when nobody knows of it."""
    known = tuple(one for one in _agreed(error) if one is not group)
    try:
        error._distfit_agreed = known  # type: ignore[attr-defined]
    except Exception:
        _unmarkable[:] = [(other, groups) for other, groups in _unmarkable if other is not error]


def is_agreed(error: BaseException, group: object) -> bool:
    """Say whether all ranks of a group know of this error already."""
    return any(known is group for known in _agreed(error))


def _agreed(error: BaseException) -> tuple[object, ...]:
    for unmarkable, known in reversed(_unmarkable):
        if unmarkable is error:
            return known
    return getattr(error, "_distfit_agreed", ())


_REMEMBERED = 8  # errors under way at the same time: one, as a rule
_unmarkable: list[tuple[BaseException, tuple[object, ...]]] = []
