"""Podman with images, containers and networks in a folder of its own, so that no others are touched."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

_START_S = 30.0
_END_S = 10.0

# Locks in files, not in shared memory that stays behind; cgroups and events without systemd, which is not everywhere.
# `distfit:mpich` is an image that is here, not one of a registry.
_CONTAINERS = """
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
compat_api_enforce_docker_hub = false
events_logger = "file"
lock_type = "file"
runtime = "runc"
tmp_dir = "{folder}/libpod"
[network]
network_config_dir = "{folder}/networks"
"""
_STORAGE = """
[storage]
driver = "overlay"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""


class Podman:
    """Runs podman, and its service, which docker-compose takes for a Docker daemon.

    Args:
        folder: an empty one, with a short path: sockets' paths have at most 108 characters.

    Attributes:
        environment: the variables with which podman and docker-compose find each other.

    As a context, it starts the service; at the end it removes the containers, by their ids, and ends the service.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "podman.sock"
        for name, text in (("containers.conf", _CONTAINERS), ("storage.conf", _STORAGE)):
            (folder / name).write_text(text.format(folder=folder))
        (folder / "tmp").mkdir()
        self.environment = os.environ | {
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "DOCKER_HOST": f"unix://{self._socket}",
            "TMPDIR": str(folder / "tmp"),
        }

    def __enter__(self) -> "Podman":
        with (self._folder / "service.log").open("wb") as log:
            self._service = subprocess.Popen(
                ["podman", "system", "service", "--time=0", f"unix://{self._socket}"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + _START_S
        while not self._socket.exists():
            if self._service.poll() is not None or time.monotonic() > end:
                raise RuntimeError(
                    f"podman's service did not start: {(self._folder / 'service.log').read_text()}"
                )
            time.sleep(0.1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for container in self("ps", "--all", "--quiet", "--no-trunc").split():
            self("rm", "--force", "--volumes", "--time=0", container)
        for network in self(
            "network", "ls", "--quiet", "--filter", "label=com.docker.compose.network"
        ).split():
            self("network", "rm", network)
        self._service.send_signal(signal.SIGTERM)
        try:
            self._service.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._service.kill()
            self._service.wait()

    def __call__(self, *arguments: str, limit_s: float = 600.0) -> str:
        """Run podman, and return what it printed.

        Raises:
            RuntimeError: if it fails or does not end, with all that it said.
        """
        return run(["podman", *arguments], self.environment, limit_s)


def run(command: list[str], environment: dict[str, str], limit_s: float) -> str:
    """Run a command, and return its standard output.

    Raises:
        RuntimeError: if it fails, or is not done in `limit_s`; with all that it said.
    """
    with (
        tempfile.TemporaryFile("w+", errors="replace") as out,
        tempfile.TemporaryFile("w+", errors="replace") as err,
    ):
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
        try:
            ended = f"ended with status {process.wait(limit_s)}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            ended = f"was not done in {limit_s:.0f} s"
        out.seek(0)
        err.seek(0)
        output = out.read()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} {ended}:\n{output}{err.read()}")
        return output
