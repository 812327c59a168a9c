"""A Slurm of three nodes on one machine: each has its own network, host name, processes and shared memory."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

NODES = 3
_START_S = 60.0
_ADDRESS = "10.77.0."

# A node counts as lost after 45 s: later than launch/slurm.sbatch sees it, and not after 5 minutes, as usual. A job
# that is queued again waits until its old credentials are no longer valid: for 15 s, and not for 2 minutes.
_SLURM = """
ClusterName=distfit
SlurmctldHost=node1({address}1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=15
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SlurmdParameters=config_overrides
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
ReturnToService=2
SlurmdTimeout=45
InactiveLimit=0
KillWait=5
{nodes}
PartitionName=main Nodes=node[1-{count}] Default=YES MaxTime=INFINITE State=UP
"""
_NODE = "NodeName=node{i} NodeAddr={address}{i} CPUs=2 RealMemory=2000 State=UNKNOWN"
_CGROUP = "CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\nConstrainCores=no\nConstrainRAMSpace=no\n"

# What a node does in its own namespaces. When its first process is killed, the kernel kills all others of the node.
_BOOT = """
hostname node{i}
mount --bind {folder}/hosts /etc/hosts
mount -t tmpfs -o size=1g shm /dev/shm
mount -t tmpfs cgroup /sys/fs/cgroup
{controller}
exec slurmd -D -N node{i}
"""


class Slurm:
    """Starts the nodes and their daemons, and ends them; all of it lies in a folder and namespaces of its own.

    As a context: it is ready when entered, and gone when left.

    Attributes:
        folder: where jobs may write, too.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self._name = f"slurm{os.getpid()}"
        self._nodes: dict[int, subprocess.Popen[bytes]] = {}
        self._environment = os.environ | {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PYTHON": sys.executable,
        }
        nodes = "\n".join(_NODE.format(i=i, address=_ADDRESS) for i in _numbers())
        conf = _SLURM.format(folder=self.folder, address=_ADDRESS, nodes=nodes, count=NODES)
        hosts = "127.0.0.1 localhost\n" + "".join(f"{_ADDRESS}{i} node{i}\n" for i in _numbers())
        for name, text in (("slurm.conf", conf), ("cgroup.conf", _CGROUP), ("hosts", hosts)):
            (self.folder / name).write_text(text)
        (self.folder / "state").mkdir()
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o600)

    def __enter__(self) -> "Slurm":
        try:
            self._lay_network()
            paths = {"socket": "munge.socket", "key-file": "munge.key", "seed-file": "munge.seed"}
            paths |= {"pid-file": "munge.pid", "log-file": "munge.log"}
            options = [f"--{option}={self.folder / name}" for option, name in paths.items()]
            self._munge = self._start("munge.out", ["munged", "--foreground", "--force", *options])
            until(lambda: (self.folder / "munge.socket").exists(), "munged answers", _START_S)
            for i in _numbers():
                self.start(i)
            self.wait_for_nodes()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for i in list(self._nodes):
            self.kill(i)
        if hasattr(self, "_munge"):
            self._munge.kill()
            self._munge.wait()
        for name in (*map(self._space, _numbers()), self._space(0)):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
        shutil.rmtree(self.folder)

    def __call__(self, *command: str) -> str:
        """Run one of Slurm's commands on the first node's network, and return what it printed.

        Raises:
            RuntimeError: if it fails, with what it said.
        """
        inside = ["ip", "netns", "exec", self._space(1), *command]
        done = subprocess.run(
            inside, env=self._environment, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def start(self, i: int) -> None:
        """Start a node, which may have been killed."""
        boot = _BOOT.format(i=i, folder=self.folder, controller="slurmctld -D &" if i == 1 else "")
        spaces = ["--uts", "--ipc", "--pid", "--mount", "--mount-proc", "--fork", "--kill-child"]
        command = ["ip", "netns", "exec", self._space(i), "unshare", *spaces, "bash", "-c", boot]
        self._nodes[i] = self._start(f"node{i}.out", command)

    def kill(self, i: int) -> None:
        """End all processes of a node at once, as a power cut does."""
        node = self._nodes.pop(i)
        node.send_signal(signal.SIGKILL)
        node.wait()

    def wait_for_nodes(self) -> None:
        """Wait until all nodes are up and idle."""
        idle = ("sinfo", "--noheader", "--states=idle", "--format=%D")
        until(lambda: self._said(*idle) == str(NODES), "all nodes are idle")

    def _said(self, *command: str) -> str:
        """Return what a command says; nothing while slurmctld does not answer."""
        try:
            return self(*command).strip()
        except RuntimeError:
            return ""

    def _start(self, log: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as file:
            return subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )

    def _lay_network(self) -> None:
        """Join the nodes by a bridge that stands in a namespace of its own."""
        switch = self._space(0)
        _ip(f"netns add {switch}")
        _ip(f"-n {switch} link add bridge type bridge")
        _ip(f"-n {switch} link set bridge up")
        for i in _numbers():
            node = self._space(i)
            _ip(f"netns add {node}")
            _ip(f"link add eth0 netns {node} type veth peer name port{i} netns {switch}")
            _ip(f"-n {switch} link set port{i} master bridge up")
            _ip(f"-n {node} link set lo up")
            _ip(f"-n {node} addr add {_ADDRESS}{i}/24 dev eth0")
            _ip(f"-n {node} link set eth0 up")

    def _space(self, i: int) -> str:
        return f"{self._name}-{i}"


def until(holds: Callable[[], bool], what: str, limit_s: float = _START_S) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: if it does not within `limit_s`.
    """
    end = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"waited in vain for {limit_s:.0f} s until {what}")
        time.sleep(0.2)


def _numbers() -> range:
    return range(1, NODES + 1)


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True, capture_output=True)
