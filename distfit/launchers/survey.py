"""The hosts before a job: whether ssh reaches them, and whether ranks would find there what they find here."""

import ipaddress
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distfit.errors import LaunchError
from distfit.launchers.ssh import Answer, on_each

SCRIPT = Path(__file__).with_name("probe.py")
"""What is run on each host."""

_SAME = (
    "Each host needs the same environment at the same path; a file system that all of them mount is easiest"
)
_SSH_FAILED = 255
# What ssh says, in words that it has kept for many years; whether the host may be gone; what it means, and the remedy.
_COMPLAINTS = (
    ("Could not resolve hostname", True, "no host has this name",
     "Is it spelled right? Or give its address in ~/.ssh/config"),
    ("Host key verification failed", False, "its key is not known here, or is another one than before",
     "Connect once by hand, and compare the fingerprint: ssh {host} true"),
    ("Permission denied", False, "it lets nobody in without a password",
     "Put your key there: ssh-copy-id {host}. If the key has a password, start ssh-agent, and call ssh-add"),
    ("Connection refused", True, "no sshd listens there", "Start one, or give its port in ~/.ssh/config"),
    ("No route to host", True, "no network leads to it", "Is it switched on? ping {host}"),
    ("timed out", True, "it does not answer", "Is it switched on, and is port 22 open to this machine? ping {host}"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Needs:
    """What a job needs on each host.

    Attributes:
        library: what the MPI library here says of itself.
        paths: of files and folders.
        folder: of the job's records.
        environment: of the ranks.
        home: the name by which it has to reach this machine; None if it need not.
    """

    library: str
    paths: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    home: str | None


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found.

    Attributes:
        cores: of each host that is there, how many ranks may use.
        gone: why each of the others cannot be reached.
    """

    cores: dict[str, int] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)


def survey(hosts: Iterable[str], needs: Needs) -> Survey:
    """Ask each host what a job would find there.

    Args:
        hosts: their names, without this machine's.
        needs: of the job.

    Raises:
        LaunchError: for hosts that are there, but not as they should be: with the remedy for each.

    Ranks: local; the supervisor's. It takes 12 seconds at most, however many hosts do not answer.
    """
    asked = {
        "what": "describe",
        "environment": dict(needs.environment),
        "paths": list(needs.paths),
        "folder": str(needs.folder),
        "home": needs.home,
    }
    found = Survey()
    problems = []
    for host, answer in on_each(hosts, sys.executable, SCRIPT.read_text(encoding="utf-8"), asked).items():
        gone, problem = _complaint(host, answer)
        if gone:
            found.gone[host] = problem
        elif problem:
            problems.append(problem)
        else:
            there = answer.value()
            problems += _differences(host, there, needs, answer.error)
            found.cores[host] = there["cores"]
    if problems:
        bring_home(found.cores, needs.folder)
        raise LaunchError("\n".join([*problems, *found.gone.values()]))
    return found


def bring_home(hosts: Iterable[str], folder: Path) -> list[str]:
    """Take the records that ranks left on other hosts into this machine's folder, and remove them there.

    A host that sees this machine's folder, since both mount it, has no records of its own.

    Args:
        hosts: which were there before the job.
        folder: of the records, here and there.

    Returns:
        The hosts that do not answer any more.

    Ranks: local; the supervisor's, when no rank of the job lives any more. It takes 12 seconds at most.
    """
    asked = {"what": "collect", "folder": str(folder)}
    answers = on_each(hosts, sys.executable, SCRIPT.read_text(encoding="utf-8"), asked)
    for answer in answers.values():
        for name, text in (answer.value() if answer.status == 0 else {}).items():
            if name.startswith("rank-") or name == "completed":
                (folder / Path(name).name).write_text(text)
    return [host for host, answer in answers.items() if answer.status in (None, _SSH_FAILED)]


def _complaint(host: str, answer: Answer) -> tuple[bool, str]:
    """Return whether a host may be gone, and what is wrong; empty for nothing."""
    if answer.status is None:
        return (
            True,
            f"{host} was reached by ssh, but did not answer in time. Is its file system there? ssh {host} true",
        )
    if answer.status == 0:
        return False, ""
    said = " ".join(answer.error.split())
    if answer.status != _SSH_FAILED:
        if str(sys.executable) in said and ("No such file" in said or "not found" in said):
            return False, f"{host} has no Python at {sys.executable}. {_SAME}"
        return False, f"{host} could not run {sys.executable} (status {answer.status}): {said}. {_SAME}"
    for words, gone, meaning, remedy in _COMPLAINTS:
        if words in said:
            return gone, f"{host}: {meaning}. {remedy.format(host=host)}. (ssh said: {said})"
    return True, f"{host} cannot be reached. Try: ssh {host} true. (ssh said: {said})"


def _differences(host: str, there: Mapping[str, Any], needs: Needs, error: str) -> list[str]:
    """Return what is not as here."""
    found = []
    if there["python"] != platform.python_version():
        found.append(
            f"{host} has Python {there['python']}, and this machine {platform.python_version()}. {_SAME}"
        )
    if not there["mpi"]:
        found.append(f"{host} could not load an MPI library. {_SAME}. It said: {' '.join(error.split())}")
    elif there["mpi"] != needs.library:
        found.append(
            f"{host} has another MPI library: {_line(there['mpi'])}. Here it is {_line(needs.library)}. {_SAME}"
        )
    if there["missing"]:
        found.append(f"{host} has not {', '.join(there['missing'])}. {_SAME}")
    if needs.home and not _leads_away(there["home"]):
        leads = f"leads to {there['home']}" if there["home"] else "leads nowhere"
        found.append(
            f"{host} cannot call this machine back: the name {needs.home} {leads} there. Give it this machine's"
            " address on the network, in /etc/hosts or the name server"
        )
    return found


def _leads_away(address: str) -> bool:
    return bool(address) and not ipaddress.ip_address(address).is_loopback


def _line(library: str) -> str:
    return " ".join(library.partition("\n")[0].split())
