"""Sends the logs of epochs to a server."""

from __future__ import annotations

import json
import warnings
from types import ModuleType
from typing import Any

from distfit.callbacks.callback import Callback, Logs, Ranks
from distfit.callbacks.json_values import json_row

_TIMEOUT_S = 10.0


class RemoteMonitor(Callback):
    """Sends one HTTP POST request for each epoch, with its number and its logs as JSON.

    Args:
        root: the server's address.
        path: where to on the server.
        field: the name of the form's field that holds the JSON; unused with `send_as_json`.
        headers: more headers of the request.
        send_as_json: whether the JSON is the request's body, as ``application/json``, instead of a field of a form.

    A server that cannot be reached, or does not answer within 10 seconds, never ends training: the first time in a
    `fit` there is a warning. Arrays are sent as lists, NaN and infinities as text, as `JSONLogger` writes them.

    It needs the package `requests`: ``pip install 'distfit-mpi[remote]'``.

    Raises:
        ImportError: when training begins, without that package. On all ranks.

    Example:
        >>> from distfit import callbacks
        >>> monitor = callbacks.RemoteMonitor("http://localhost:9000", send_as_json=True)
        >>> monitor.path
        '/publish/epoch/end/'

    Ranks: root alone talks to the server; the others wait for it.
    """

    ranks: Ranks = "root"

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json
        self._has_warned = False

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        _requests()
        self._has_warned = False

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        requests = _requests()
        row = json_row(epoch, logs)
        content: dict[str, Any] = (
            {"json": row} if self.send_as_json else {"data": {self.field: json.dumps(row)}}
        )
        try:
            requests.post(self.root + self.path, headers=self.headers, timeout=_TIMEOUT_S, **content)
        except requests.RequestException as error:
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        warnings.warn(
            f"RemoteMonitor could not reach its server at {self.root}; training goes on without it: {error}",
            stacklevel=3,
        )


def _requests() -> ModuleType:
    try:
        import requests
    except ImportError as error:
        raise ImportError(
            "RemoteMonitor needs the package requests: pip install 'distfit-mpi[remote]'"
        ) from error
    return requests
