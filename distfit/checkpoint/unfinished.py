"""How a folder comes to be whole or absent, whenever the process dies, and how it goes.

It is written under a hidden name, and brought to the disk with all that is in it; then it gets its own name, in one
step; then that name is brought to the disk. It goes the other way round: first it loses its name. So whatever has a
hidden name is half a folder, which was never there or is no longer. The hidden name says who is at work on it: what a
process left that died can be told from what another one is about to finish.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from distfit.checkpoint import files
from distfit.checkpoint.hidden import HIDDEN, hidden, remove_leftovers


def begin(target: Path) -> Path:
    """Make the hidden folder in which `target` is to be written, and return its path.

    What writers of the same target left that died is removed.

    Raises:
        FileExistsError: if there is something at `target` already.
        OSError: if the folder cannot be made.

    Ranks: local; one rank.
    """
    if os.path.lexists(target):
        raise FileExistsError(
            f"a checkpoint is never overwritten, and {target} is there already. Give another path, or remove it"
        )
    files.make_folders(target.parent)
    remove_leftovers(target.parent, re.compile(re.escape(target.name)))
    unfinished = hidden(target, "unfinished")
    if (
        unfinished.exists()
    ):  # it is this process's own, which has one under way at most, and could not remove it
        files.remove_tree(unfinished)
    files.make_folder(unfinished)
    return unfinished


def finish(unfinished: Path) -> Path:
    """Give a hidden folder, whose files are on the disk, its own name, and return it.

    Raises:
        OSError: if that fails. The folder is hidden still, or has its name.

    Ranks: local; one rank.
    """
    match = HIDDEN.fullmatch(unfinished.name)
    if match is None:
        raise ValueError(f"{unfinished} is no folder that begin() made")
    target = unfinished.with_name(match["name"])
    if os.path.lexists(target):
        raise FileExistsError(f"{target} was made by somebody else while it was written")
    files.sync_folder(unfinished)
    files.rename(unfinished, target)
    files.sync_folder(target.parent)
    return target


def abandon(unfinished: Path) -> None:
    """Remove a hidden folder after an error, which is what the caller is to hear of: this raises none.

    Ranks: local; one rank.
    """
    with contextlib.suppress(OSError):
        files.remove_tree(unfinished)


def remove(folders: list[Path]) -> None:
    """Remove folders of the same parent, each of which is whole until it is gone.

    Raises:
        OSError: if that fails.

    Ranks: local; one rank.
    """
    paths = []
    for folder in folders:
        paths.append(hidden(folder, "removed"))
        if paths[-1].exists():  # of this process, which did not get to the end of it
            files.remove_tree(paths[-1])
        files.rename(folder, paths[-1])
    # Before any file goes: else a power cut might bring the old name back, and not the file.
    for parent in {path.parent for path in paths}:
        files.sync_folder(parent)
    for path in paths:
        files.remove_tree(path)
