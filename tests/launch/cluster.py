"""Hosts for tests: network namespaces of this machine, each with a name, an address, an sshd, and /dev/shm of its own.

They see the same files otherwise. It needs root, and the right to make namespaces. All of it is inside of namespaces:
nothing of this machine's own network is touched, and nothing is left of it.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NETWORK = "10.77.0"
ABSENT = "absent"  # a name with an address that nobody has
_TOOLS = ("ip", "unshare", "nsenter", "tc", "sshd", "ssh", "ssh-keygen")
_START_S = 20.0

_SSHD = """
Port 22
ListenAddress {address}
HostKey {folder}/host
AuthorizedKeysFile {folder}/id.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
PidFile none
MaxStartups 100
SetEnv TMPDIR=/dev/shm
"""
# Three names more for the third host: without its key, without a login, and one whose sshd does not listen.
_SSH = """
Host stranger
  HostName {third}
  UserKnownHostsFile /dev/null
Host locked
  HostName {third}
  PreferredAuthentications none
Host deaf
  HostName {third}
  Port 23
Host *
  IdentityFile {folder}/id
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  LogLevel ERROR
"""


def why_not() -> str:
    """Return why there can be no such hosts here; empty if there can."""
    if os.geteuid() != 0:
        return "namespaces need root"
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [tool for tool in _TOOLS if shutil.which(tool, path=path) is None]
    if missing:
        return f"there is no {', '.join(missing)} here (Debian: iproute2, util-linux, openssh-server)"
    tried = subprocess.run(
        ["unshare", "--net", "--uts", "--pid", "--mount", "--fork", "true"], capture_output=True
    )
    return "" if tried.returncode == 0 else f"no namespaces can be made here: {tried.stderr.decode().strip()}"


class Cluster:
    """Hosts called node1, node2, …, on one switch.

    Args:
        folder: for keys and files.
        size: how many hosts.
    """

    def __init__(self, folder: Path, size: int = 3) -> None:
        self.folder, self.size = folder, size
        self._unique = f"df{os.getpid()}"
        self._switch = f"{self._unique}sw"
        self._hosts: dict[int, subprocess.Popen[bytes]] = {}

    @contextmanager
    def running(self) -> Iterator["Cluster"]:
        """Have the hosts within a block."""
        try:
            self._prepare()
            for number in range(1, self.size + 1):
                self._link(number)
                self.start(number)
            yield self
        finally:
            for host in self._hosts.values():
                host.kill()
                host.wait()
            for name in [*map(self._name, range(1, self.size + 1)), self._switch]:
                subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd asks for it
        for key in ("id", "host"):
            _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / key))
        names = {f"node{number}": f"{NETWORK}.{number}" for number in range(1, self.size + 1)}
        lines = [f"{address} {name}" for name, address in {**names, ABSENT: f"{NETWORK}.99"}.items()]
        (self.folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        key = (self.folder / "host.pub").read_text()
        known = [f"{name},{address} {key}" for name, address in names.items()]
        (self.folder / "known_hosts").write_text("".join(known))
        config = self.folder / "ssh_config"
        config.write_text(_SSH.format(folder=self.folder, third=names["node3"]))
        # What a user has in ~/.ssh/config. The distfit under test, and mpiexec, call ssh by its name.
        wrapper = self.folder / "bin" / "ssh"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
        wrapper.chmod(0o755)
        _do("ip", "netns", "add", self._switch)
        _do("ip", "-n", self._switch, "link", "add", "br0", "type", "bridge")
        _do("ip", "-n", self._switch, "link", "set", "br0", "up")

    def _link(self, number: int) -> None:
        name = self._name(number)
        _do("ip", "netns", "add", name)
        _do(
            "ip",
            "link",
            "add",
            "eth0",
            "netns",
            name,
            "type",
            "veth",
            "peer",
            "name",
            f"p{number}",
            "netns",
            self._switch,
        )
        _do("ip", "-n", self._switch, "link", "set", f"p{number}", "master", "br0", "up")
        _do("ip", "-n", name, "link", "set", "lo", "up")
        _do("ip", "-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
        _do("ip", "-n", name, "link", "set", "eth0", "up")

    def start(self, number: int) -> None:
        """Start a host, and wait until its sshd answers."""
        config = self.folder / f"sshd{number}.conf"
        config.write_text(_SSHD.format(folder=self.folder, address=f"{NETWORK}.{number}"))
        sshd = shutil.which("sshd", path="/usr/sbin:/sbin")
        script = (
            f"hostname node{number} && mount --bind {self.folder}/hosts /etc/hosts"
            f" && mount -t tmpfs -o size=512m shm /dev/shm && exec {sshd} -D -e -f {config}"
        )
        with (self.folder / f"sshd{number}.log").open("ab") as log:
            self._hosts[number] = subprocess.Popen(
                ["ip", "netns", "exec", self._name(number), "unshare", "--uts", "--ipc", "--pid", "--mount", "--fork",
                 "--kill-child", "--mount-proc", "bash", "-c", script],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        due = time.monotonic() + _START_S
        ask = [
            "ip",
            "netns",
            "exec",
            self._name(number),
            str(self.folder / "bin" / "ssh"),
            f"{NETWORK}.{number}",
            "true",
        ]
        while subprocess.run(ask, capture_output=True).returncode != 0:
            assert time.monotonic() < due, (self.folder / f"sshd{number}.log").read_text()

    def kill(self, number: int) -> None:
        """Have a host lose its power: all its processes are gone at once."""
        self._hosts[number].kill()
        self._hosts[number].wait()

    def cut(self, number: int) -> None:
        """Pull a host's cable out."""
        _do("ip", "-n", self._switch, "link", "set", f"p{number}", "down")

    def mend(self, number: int) -> None:
        """Put it in again."""
        _do("ip", "-n", self._switch, "link", "set", f"p{number}", "up")

    def replace(self, number: int, path: Path, by: Path) -> None:
        """Have a host see another file or folder in the place of one that it shares with the others."""
        _do(*self._enter(number), "mount", "--bind", str(by), str(path))

    def restore(self, number: int, path: Path) -> None:
        """Have it see the shared one again."""
        _do(*self._enter(number), "umount", str(path))

    def limit(self, rate: str) -> None:
        """Have all links of one rate, as in "1gbit"."""
        for number in range(1, self.size + 1):
            _do("tc", "-n", self._name(number), "qdisc", "replace", "dev", "eth0", "root",
                "tbf", "rate", rate, "burst", "128kb", "latency", "200ms")  # fmt: skip

    def unlimit(self) -> None:
        """Take the limit away."""
        for number in range(1, self.size + 1):
            _do("tc", "-n", self._name(number), "qdisc", "del", "dev", "eth0", "root")

    def on(self, number: int, *command: str, cwd: Path, **variables: str) -> subprocess.Popen[str]:
        """Start a command on a host, as somebody who is logged in there; standard error goes to standard output."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "PYTHONPATH")}
        return subprocess.Popen(
            [*self._enter(number), f"--wdns={cwd}", *command],
            env={**kept, "PATH": path, "TMPDIR": "/dev/shm", **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def kill_command(self, process: subprocess.Popen[str]) -> None:
        """Kill a command that was started on a host: it is the child of what took it there."""
        for child in _children(process.pid):
            os.kill(child, signal.SIGKILL)

    def _enter(self, number: int) -> list[str]:
        # The host's first process is the child of `unshare`, which `ip` has become.
        inside = _children(self._hosts[number].pid)[0]
        return ["nsenter", "--target", str(inside), "--net", "--uts", "--ipc", "--pid", "--mount"]

    def _name(self, number: int) -> str:
        return f"{self._unique}n{number}"


def finish(process: subprocess.Popen[str], limit_s: float) -> tuple[int, str]:
    """Return a command's status and what it printed; end it, and fail, when its time is up."""
    try:
        output, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        raise AssertionError(f"it did not end within {limit_s:g} s:\n{output}") from None
    return process.returncode, output


def _children(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


if __name__ == "__main__":
    sys.exit(why_not())
