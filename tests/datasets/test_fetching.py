"""Finding and downloading, from a server on this machine."""

import hashlib
import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from distfit.datasets import DatasetUnavailable
from distfit.datasets.fetching import Source, fetch
from distfit.errors import DistfitError

FILES = {"images.gz": b"pictures" * 1000, "labels.gz": b"classes"}


class Server(ThreadingHTTPServer):
    """Serves FILES slowly, and counts what was asked for."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.files = dict(FILES)
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.server.asked[name] += 1
        time.sleep(0.2)  # long enough for a second process to ask too, if nothing stopped it
        if name not in self.server.files:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.files[name])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("DISTFIT_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache" / "clothes"


def source_at(url: str, system_folder: Path) -> Source:
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    return Source("clothes", url, sha256, system_folder, "dataset-clothes")


@pytest.fixture
def source(server: Server, cache: Path, tmp_path: Path) -> Source:
    return source_at(f"http://127.0.0.1:{server.server_port}/", tmp_path / "system")


def put(folder: Path, files: dict[str, bytes] = FILES) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def test_downloads_once_and_then_reads_the_cache(source: Source, server: Server, cache: Path) -> None:
    first = fetch(source)
    assert [path.read_bytes() for path in first] == list(FILES.values())
    assert first == [cache / name for name in FILES]
    assert fetch(source) == first
    assert server.asked == {"images.gz": 1, "labels.gz": 1}


def test_a_package_of_the_system_needs_no_network(source: Source, server: Server, cache: Path) -> None:
    put(source.system_folder)
    assert fetch(source) == [source.system_folder / name for name in FILES]
    assert not server.asked
    assert not cache.exists()


def test_half_a_package_does_not_count(source: Source, server: Server) -> None:
    put(source.system_folder, {"labels.gz": FILES["labels.gz"]})
    fetch(source)
    assert server.asked.total() == 2


def test_a_cut_off_file_is_downloaded_again(source: Source, server: Server, cache: Path) -> None:
    put(cache, FILES | {"images.gz": FILES["images.gz"][:50]})
    assert fetch(source)[0].read_bytes() == FILES["images.gz"]
    assert server.asked == {"images.gz": 1}


def test_wrong_contents_never_get_the_files_name(source: Source, server: Server, cache: Path) -> None:
    server.files["images.gz"] = b"a page that says: please log in"
    with pytest.raises(DatasetUnavailable, match="hash"):
        fetch(source)
    assert not (cache / "images.gz").exists()


def test_a_full_cache_may_be_read_only(source: Source, server: Server, cache: Path) -> None:
    put(cache)
    fetch(source)
    assert not server.asked
    assert not (cache / "lock").exists()


# requests leaves the socket of a refused connection to the garbage collector, which complains.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("broken", ["missing at the server", "no server", "no folder"])
def test_the_error_names_three_remedies(broken, source: Source, server: Server, cache: Path) -> None:
    if broken == "missing at the server":
        del server.files["images.gz"]
    elif broken == "no server":
        source = source_at("http://127.0.0.1:9/", source.system_folder)
    else:
        cache.parent.write_text("a file where the folder should be")
    with pytest.raises(DatasetUnavailable) as caught:
        fetch(source)
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, DistfitError)
    for remedy in (
        "apt-get install dataset-clothes",
        str(cache),
        f"run once where {source.url} can be reached",
    ):
        assert remedy in str(caught.value)


def test_of_two_processes_one_downloads(source: Source, server: Server) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        first, second = pool.map(fetch, [source, source], chunksize=1)
    assert first == second
    assert server.asked == {"images.gz": 1, "labels.gz": 1}
