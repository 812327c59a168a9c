"""What a server is sent, and that one that is not there disturbs nobody."""

import json
import sys
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from support.scripted import losses, play
from support.small import line, regression

from distfit.callbacks import RemoteMonitor
from distfit.comm import Communicator


class Server(HTTPServer):
    """A server that remembers what it was sent.

    Attributes:
        received: path, content type, the header ``X-Run`` and the body of each request.
    """

    def __init__(self, status: int = 200) -> None:
        self.received: list[tuple[str, str | None, str | None, str]] = []
        self.status = status
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.received.append((self.path, self.headers["Content-Type"], self.headers["X-Run"], body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


def test_a_form_with_one_field(server: Server) -> None:
    play(RemoteMonitor(server.address, headers={"X-Run": "7"}), losses(0.5, 0.25))
    assert [one[:3] for one in server.received] == [
        ("/publish/epoch/end/", "application/x-www-form-urlencoded", "7")
    ] * 2
    assert [json.loads(parse_qs(one[3])["data"][0]) for one in server.received] == [
        {"epoch": 0, "loss": 0.5},
        {"epoch": 1, "loss": 0.25},
    ]


def test_the_name_of_the_field_and_the_path(server: Server) -> None:
    play(RemoteMonitor(server.address, path="/here", field="logs"), losses(0.5))
    ((path, _, _, body),) = server.received
    assert (path, list(parse_qs(body))) == ("/here", ["logs"])


def test_json_as_the_body(server: Server) -> None:
    logs = {"loss": np.float32(0.5), "counts": np.array([1, 2]), "val_loss": float("nan")}
    play(RemoteMonitor(server.address, send_as_json=True), [logs])
    ((_, kind, _, body),) = server.received
    assert kind == "application/json"
    assert json.loads(body) == {"epoch": 0, "loss": 0.5, "counts": [1, 2], "val_loss": "NaN"}


def test_a_training_sends_the_values_of_its_history(server: Server) -> None:
    model = regression(Communicator.alone())
    history = model.fit(
        *line(), epochs=2, verbose=0, callbacks=RemoteMonitor(server.address, send_as_json=True)
    )
    assert [json.loads(one[3]) for one in server.received] == [
        {"epoch": epoch, **{key: values[epoch] for key, values in history.history.items()}}
        for epoch in range(2)
    ]


def test_an_answer_that_reports_an_error_is_ignored_as_in_keras(server: Server) -> None:
    server.status = 500
    assert play(RemoteMonitor(server.address), losses(0.5, 0.25)) == 1
    assert len(server.received) == 2


@pytest.mark.parametrize("send_as_json", [True, False])
def test_a_server_that_is_not_there_is_one_warning_for_each_fit(send_as_json: bool) -> None:
    with Server() as gone:
        address = gone.address
    monitor = RemoteMonitor(address, send_as_json=send_as_json)
    for _ in range(2):
        with pytest.warns(UserWarning, match=f"could not reach its server at {address}") as caught:
            assert play(monitor, losses(0.5, 0.25, 0.125)) == 2
        assert len(caught) == 1


def test_an_address_that_is_none_is_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    play(RemoteMonitor("nowhere"), losses(0.5))
    assert "server at nowhere" in str(recwarn.pop(UserWarning).message)


def test_without_requests_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    with warnings.catch_warnings(), pytest.raises(ImportError, match=r"pip install 'distfit-mpi\[remote\]'"):
        play(RemoteMonitor(), losses(0.5))
