"""``python -m distfit checkpoint …``: looks at checkpoints, without training."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from distfit.checkpoint import Checkpoint, Store, load, verify
from distfit.checkpoint.folder import Glance, glance
from distfit.checkpoint.manifest import MANIFEST
from distfit.checkpoint.state_tree import encode

_DAMAGED, _UNREADABLE = 1, 2
"""Exit statuses: a checkpoint is there but not whole; there is none, or it cannot be read."""

_PATH = "a checkpoint's folder"
_SERIES = "a folder of checkpoints"

_THOUSAND = 1000


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command.

    Ranks: local; one process, which is no rank itself.
    """
    command = commands.add_parser(
        "checkpoint", help="look at checkpoints", description="Look at checkpoints."
    )
    verbs = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    one_or_newest, one_or_each = f"{_PATH}, or {_SERIES} for its newest", f"{_PATH}, or {_SERIES} for each"
    _add(verbs, "show", _show, "path", one_or_newest, "tell what a checkpoint holds")
    _add(verbs, "verify", _verify, "path", one_or_each, "find out whether it is as it was written")
    _add(verbs, "list", _list, "folder", _SERIES, "list the checkpoints of a training, the newest first")


def _add(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[Path], int],
    argument: str,
    meaning: str,
    about: str,
) -> None:
    parser = verbs.add_parser(name, help=about, description=f"{about.capitalize()}.")
    parser.add_argument("path", metavar=argument.upper(), type=Path, help=meaning)
    parser.set_defaults(run=lambda options: _run(run, options.path))


def _run(command: Callable[[Path], int], path: Path) -> int:
    """Run a command, and tell its error in a line."""
    try:
        return command(path)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return _DAMAGED if isinstance(error, ValueError) else _UNREADABLE


def _show(path: Path) -> int:
    [path] = _found(path)[:1]
    checkpoint = load(path)
    _say([str(path), "", *_facts(glance(path)), *_arrays(checkpoint)])
    return 0


def _verify(path: Path) -> int:
    status = 0
    for found in _found(path):
        problems = verify(found)
        status = _DAMAGED if problems else status
        _say([f"{found}  {'damaged' if problems else f'whole, {_size(_bytes(found))}'}"])
        _say([f"  {problem}" for problem in problems])
    return status


def _list(folder: Path) -> int:
    rows: list[tuple[str, ...]] = [("number", "epoch", "step", "size", "written", "")]
    for path in _found(folder):
        problems = verify(path)
        written, state = _glance(path)
        row = (
            path.name.rpartition("-")[2].lstrip("0"),
            *(_number(state.get(key, "?")) for key in ("epoch", "step")),
            _size(_bytes(path)),
            written,
            f"damaged: {problems[0]}" if problems else "whole",
        )
        rows.append(row)
    _say(_table(rows, "rrrrll"))
    return 0


def _found(path: Path) -> list[Path]:
    """Return a checkpoint, or those in a folder, the newest first.

    Raises:
        FileNotFoundError: if there is none.
    """
    paths = Store(path).paths()
    if paths:
        return paths
    if path.is_dir() and (path.name.startswith("checkpoint-") or (path / MANIFEST).exists()):
        return [path]
    raise FileNotFoundError(f"there is no checkpoint: {path}")


def _facts(found: Glance) -> Iterator[str]:
    """Tell what everybody wants to know first, line by line."""
    state, libraries = found.state, dict(found.libraries)
    by = f"distfit {libraries.pop('distfit', '?')}"
    others = ", ".join(f"{name} {version}" for name, version in libraries.items())
    yield f"  written    {_date(found)} by {by} ({others})"
    if "epoch" in state:
        further = (
            f", and {_count(state['batch'], 'batch', 'batches')} of the next" if state.get("batch") else ""
        )
        yield f"  training   {_count(state['epoch'], 'epoch', 'epochs')} finished{further}"
    for key in ("step", "seed"):
        if key in state:
            yield f"  {key:<9}  {_number(state[key])}"
    for key in ("logs", "callbacks"):
        if isinstance(state.get(key), Mapping):
            known = [
                f"{name} {_number(value)}" if key == "logs" else name for name, value in state[key].items()
            ]
            yield f"  {key:<9}  {', '.join(known) or 'none'}"


def _arrays(checkpoint: Checkpoint) -> Iterator[str]:
    """Tell the arrays' names, shapes, dtypes and sizes, line by line."""
    sections = {
        "weights": checkpoint.weights,
        "optimizer": checkpoint.optimizer,
        "state": encode(checkpoint.state)[1],
    }
    rows = [
        (
            f"    {name}",
            str(array.shape),
            str(array.dtype),
            _size(array.nbytes),
        )
        for arrays in sections.values()
        for name, array in arrays.items()
    ]
    lines = iter(_table(rows, "llrr"))
    for section, arrays in sections.items():
        total = _size(sum(array.nbytes for array in arrays.values()))
        yield ""
        yield f"  {section:<9}  {_count(len(arrays), 'array', 'arrays')}, {total}"
        for _ in arrays:
            yield next(lines)


def _glance(path: Path) -> tuple[str, Mapping[str, Any]]:
    """Return when a checkpoint was written, and its state; a damaged one may say nothing."""
    try:
        found = glance(path)
    except (OSError, ValueError):
        return "?", {}
    return _date(found), found.state


def _date(found: Glance) -> str:
    return f"{found.created:%Y-%m-%d %H:%M:%S} UTC"


def _bytes(path: Path) -> int:
    return sum(entry.stat().st_size for entry in path.iterdir())


def _size(count: float) -> str:
    """Return a number of bytes as people say it."""
    if count < _THOUSAND:
        return _count(int(count), "byte", "bytes")
    for unit in ("kB", "MB"):
        count /= _THOUSAND
        if count < _THOUSAND:
            return f"{count:.1f} {unit}"
    return f"{count / _THOUSAND:,.1f} GB"


def _number(value: Any) -> str:
    if isinstance(value, Integral):
        return f"{int(value):,}"
    return f"{float(value):.6g}" if isinstance(value, Real) else str(value)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _table(rows: Sequence[tuple[str, ...]], sides: str) -> list[str]:
    """Return rows as lines with their columns below each other, each to its left or right side."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(row, widths, sides, strict=True)
        ).rstrip()
        for row in rows
    ]


def _say(lines: Sequence[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
