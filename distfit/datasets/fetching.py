"""Finds the files of a data set on this machine, or downloads them once for all ranks that share its disk."""

import os
from dataclasses import dataclass
from pathlib import Path

import pooch
from filelock import FileLock

from distfit.errors import DistfitError

_LOCK_TIMEOUT_S = 600
_ANSWER_TIMEOUT_S = 30


class DatasetUnavailable(DistfitError, OSError):
    """A data set is neither on this machine nor could it be downloaded."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the files of a data set are found.

    Attributes:
        name: of its folder in the cache.
        url: of the folder from which they are downloaded, with a slash at its end.
        sha256: of each file there, by file name.
        system_folder: where a package of the operating system puts them. They may be compressed differently
            there, so only their names are checked.
        package: that package's name.
    """

    name: str
    url: str
    sha256: dict[str, str]
    system_folder: Path
    package: str


def fetch(source: Source) -> list[Path]:
    """Return the paths of a data set's files, in the order of `source.sha256`.

    They are looked for in the system's folder, then in the user's cache, and at last downloaded to the cache.
    There a file gets its name only when it is whole, and one with wrong contents is downloaded again.

    Raises:
        DatasetUnavailable: naming what can be done about it.

    Ranks: local; of ranks that share a disk one downloads, and the others wait for it at a file lock.
    """
    cache = _cache(source)
    packaged = [source.system_folder / file for file in source.sha256]
    cached = [cache / file for file in source.sha256]
    if all(path.is_file() for path in packaged):
        return packaged
    if all(_is_whole(path, source.sha256[path.name]) for path in cached):
        return cached  # without the lock, which a cache that is only read could not hold
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "lock", timeout=_LOCK_TIMEOUT_S):
            return _download(source, cache)
    except (OSError, ValueError) as error:  # pooch raises ValueError for wrong contents
        raise DatasetUnavailable(
            f"{source.name} is not on this machine, and could not be downloaded from {source.url} ({error}). "
            f"Install it (apt-get install {source.package}), or put {', '.join(source.sha256)} into {cache}, "
            f"or run once where {source.url} can be reached"
        ) from error


def _cache(source: Source) -> Path:
    """Return the user's folder: in $DISTFIT_DATA if that is set, else where the system keeps caches."""
    return Path(os.environ.get("DISTFIT_DATA") or pooch.os_cache("distfit")) / source.name


def _is_whole(path: Path, sha256: str) -> bool:
    return path.is_file() and pooch.file_hash(path) == sha256


def _download(source: Source, cache: Path) -> list[Path]:
    """Download what no other rank has downloaded before it let go of the lock."""
    store = pooch.create(cache, source.url, registry=source.sha256)
    downloader = pooch.HTTPDownloader(timeout=_ANSWER_TIMEOUT_S)
    return [Path(store.fetch(file, downloader=downloader)) for file in source.sha256]
