"""Whenever the writer is ended, a whole backup is there."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distfit.checkpoint import Backups, atomic


def write(backups: Backups, number: int, *, keep_previous: bool = False) -> None:
    backups.write(
        number, lambda path: path.write_text(str(number)), {"number": number}, keep_previous=keep_previous
    )


def content(backups: Backups) -> list[int]:
    """Return the numbers of the backups that are there, the last one's first, having looked at their weights."""
    found = [backups.read(path) for path in backups.find()]
    for metadata in found:
        assert backups.weights(metadata).read_text() == str(metadata["number"])
    return [metadata["number"] for metadata in found]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.mark.parametrize(("keep_previous", "expected"), [(False, [3]), (True, [3, 2])])
def test_the_last_one_or_two_are_kept(folder: Path, keep_previous: bool, expected: list[int]) -> None:
    folder.mkdir()
    for number in (1, 2, 3):
        write(Backups(folder), number, keep_previous=keep_previous)
    assert content(Backups(folder)) == expected
    assert len(names(folder)) == 2 * len(expected)


def test_one_alone_is_kept_after_two(folder: Path) -> None:
    folder.mkdir()
    for number in (1, 2):
        write(Backups(folder), number, keep_previous=True)
    write(Backups(folder), 3)
    assert content(Backups(folder)) == [3]
    assert len(names(folder)) == 2


class PowerCut(BaseException):
    """Ends the writer."""


@pytest.mark.parametrize("keep_previous", [False, True])
@pytest.mark.parametrize("calls", range(12))
def test_a_whole_backup_is_there_whichever_call_was_the_last(
    folder: Path, monkeypatch: pytest.MonkeyPatch, calls: int, keep_previous: bool
) -> None:
    folder.mkdir()
    backups = Backups(folder)
    for number in (1, 2):
        write(backups, number, keep_previous=keep_previous)
    left = [calls]

    def end(path: Path) -> None:
        if left[0] == 0:
            raise PowerCut
        left[0] -= 1

    with monkeypatch.context() as patched:
        for name in ("write_text", "replace", "unlink"):
            patched.setattr(Path, name, _after(end, getattr(Path, name)))
        patched.setattr(atomic, "_sync_folder", end)
        with contextlib.suppress(PowerCut):
            write(backups, 3, keep_previous=keep_previous)
    assert content(backups)[0] in (2, 3)
    write(backups, 4, keep_previous=keep_previous)  # and the next one puts all in order
    assert content(backups)[0] == 4
    assert len([name for name in names(folder) if not name.endswith(".unfinished")]) == 2 * len(
        backups.find()
    )


def _after(first: Callable[[Path], None], method: Any) -> Any:
    def call(path: Path, *args: Any, **kwargs: Any) -> Any:
        first(path)
        return method(path, *args, **kwargs)

    return call


def test_what_else_is_in_the_folder_stays(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.weights.safetensors").touch()
    write(Backups(folder), 1)
    Backups(folder).remove()
    assert names(folder) == ["notes.weights.safetensors"]


def test_without_anything_else_the_folder_goes_too(folder: Path) -> None:
    folder.mkdir()
    write(Backups(folder), 1, keep_previous=True)
    Backups(folder).remove()
    assert not folder.exists()
    Backups(folder).remove()


@pytest.mark.parametrize(
    ("text", "words"), [("{", "is damaged"), ('{"epoch": 2}', "names no file of weights")]
)
def test_metadata_of_another_kind_are_named(folder: Path, text: str, words: str) -> None:
    folder.mkdir()
    (folder / "training_metadata.json").write_text(text)
    backups = Backups(folder)
    with pytest.raises(ValueError, match=rf"training_metadata\.json {words}.*Remove it to begin again"):
        backups.read(backups.find()[0])
