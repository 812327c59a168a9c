"""What the ranks of a job left in the folder that the supervisor gave them."""

import contextlib
import json
import platform
from dataclasses import dataclass
from pathlib import Path

from distfit.launchers.runner import Process


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that ended a rank.

    Attributes:
        rank: where it was raised.
        error: its class and message.
        step: of the training.
        follows: whether it only tells of another rank's error or end.
        when: seconds since the epoch.
    """

    rank: int
    error: str
    step: int
    follows: bool
    when: float


class Records:
    """The records of one attempt.

    Args:
        folder: of them. See `distfit.launchers.rank` and `distfit.comm.failure_record` for who writes what.

    Ranks: local; the supervisor's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: dict[Path, Process] = {}

    def everywhere(self) -> dict[Process, int]:
        """Return the ranks that are known to have begun, on any machine, by their process."""
        for path in set(self.folder.glob("rank-*.began")).difference(self._processes):
            text = path.read_text()
            if text.endswith("\n"):  # it is whole
                number, host = text.split()
                self._processes[path] = Process(host, int(number))
        return {process: _rank(path) for path, process in self._processes.items()}

    def processes(self) -> dict[int, int]:
        """Return the ranks of this machine that began, by the number of their process."""
        return {
            process.number: rank
            for process, rank in self.everywhere().items()
            if process.host == platform.node()  # machines may share the folder
        }

    @property
    def joined(self) -> bool:
        """Whether a rank worked with others, and had not parted from all of them again."""
        return any(self.folder.glob("rank-*.joined"))

    @property
    def completed(self) -> bool:
        """Whether root saw all ranks leave in order."""
        return (self.folder / "completed").exists()

    def failure(self) -> Failure | None:
        """Return the error that the others follow from: the first, by the clock, that tells of no other rank."""
        found = []
        for path in self.folder.glob("rank-*.failed"):
            with contextlib.suppress(ValueError):  # the rank was killed while it wrote
                found.append(Failure(_rank(path), **json.loads(path.read_text())))
        return min(found, key=lambda failure: (failure.follows, failure.when), default=None)


def _rank(path: Path) -> int:
    return int(path.stem.removeprefix("rank-"))
