"""Hosts and how many ranks each gets, as people and other programs write them down."""

import re
from collections.abc import Iterable
from pathlib import Path

from distfit.errors import LaunchError

# A name or an address; of version 6 it is in brackets, since a colon stands before the number.
_NAME = r"(?P<name>[A-Za-z0-9](?:[\w.-]*\w)?|\[[0-9A-Fa-f:]+\])"
_MPICH = re.compile(rf"{_NAME}(?::(?P<slots>[0-9]+))?")
_OPEN_MPI = re.compile(rf"{_NAME}(?:\s+slots\s*=\s*(?P<slots>[0-9]+))?(?:\s+max[_-]slots\s*=\s*[0-9]+)?")
_FORMS = "`name`, `name:4` or `name slots=4`"


def parse_hosts(text: str) -> dict[str, int]:
    """Return how many ranks each host of a list may get.

    Args:
        text: as in ``"a:8,b:8"``. A host without a number has a place for one.

    Raises:
        LaunchError: for one that is not written like that.

    Ranks: local.

    Example:
        >>> parse_hosts("node1:2,node2:2,node3")
        {'node1': 2, 'node2': 2, 'node3': 1}
    """
    found: dict[str, int] = {}
    for item in text.split(","):
        _add(found, _MPICH.fullmatch(item.strip()), f"--hosts is name:ranks,name:ranks. Received: {text!r}")
    return found


def read_hostfile(path: Path) -> dict[str, int]:
    r"""Return how many ranks each host of a file may get.

    Args:
        path: of a file with a host on each line: MPICH's ``name:4``, Open MPI's ``name slots=4``, or the name alone,
            which is a place for one rank. A host that is there several times has the places of all its lines. What
            follows a ``#`` is a comment.

    Raises:
        LaunchError: if it cannot be read, names no host, or for a line that is none of these: with its number.

    Ranks: local.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "hosts")
        ...     _ = path.write_text("node1 slots=4  # the first\nnode2:2\nnode2\n")
        ...     print(read_hostfile(path))
        {'node1': 4, 'node2': 3}
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LaunchError(f"the hostfile {path} cannot be read: {error}") from error
    return _hosts_of(lines, str(path))


def _hosts_of(lines: Iterable[str], source: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].strip()
        if words:
            read = _MPICH.fullmatch(words) or _OPEN_MPI.fullmatch(words)
            _add(found, read, f"{source}, line {number}: a line is {_FORMS}. Received: {line.strip()!r}")
    if not found:
        raise LaunchError(f"{source} names no host. A line is {_FORMS}")
    return found


def _add(found: dict[str, int], read: re.Match[str] | None, complaint: str) -> None:
    slots = int(read["slots"] or 1) if read else 0
    if read is None or slots < 1:
        raise LaunchError(complaint)
    found[read["name"]] = found.get(read["name"], 0) + slots
