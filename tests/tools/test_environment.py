"""The environment of make: made once, and with a pip that is the one expected."""

import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import environment
import pytest


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    """Yield the folder that a package index serves, whose pip is not the one expected."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *arguments: Handler(*arguments, directory=str(tmp_path))
    ) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("PIP_INDEX_URL", url)
        file = {"filename": environment.PIP_WHEEL, "url": f"{url}/{environment.PIP_WHEEL}"}
        (tmp_path / "pip").mkdir()
        (tmp_path / "pip" / "index.html").write_text(json.dumps({"files": [file]}))
        (tmp_path / environment.PIP_WHEEL).write_bytes(b"something else")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield tmp_path
        server.shutdown()
        thread.join()


def test_another_pip_is_refused(index: Path) -> None:
    with pytest.raises(SystemExit, match="is not the file that was expected"):
        environment._pip_from_index()


def test_pip_comes_from_the_index_that_pip_would_use(index: Path, monkeypatch) -> None:
    # printf 'something else' | sha256sum
    known = "f41f3fa625ff120ddca7ef456bf66371ecea23c129f4e4c32367101edb516cf8"
    monkeypatch.setattr(environment, "PIP_SHA256", known)
    assert environment._pip_from_index() == b"something else"


def test_nothing_is_done_twice(tmp_path: Path, monkeypatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text("[project]")
    monkeypatch.setattr(environment, "PROJECT", project)
    folder = tmp_path / "env"
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@" >> ' + str(tmp_path / "calls") + "\n")
    python.chmod(0o755)

    environment.make(folder, "mpich,plot")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[-1].endswith(f"-e {project}[mpich,plot]")

    environment.make(folder, "mpich,plot")
    assert (tmp_path / "calls").read_text().splitlines() == calls

    (project / "pyproject.toml").write_text("[project] # changed")
    environment.make(folder, "mpich,plot")
    assert len((tmp_path / "calls").read_text().splitlines()) == 2 * len(calls)
