"""Hosts that are not as they should be, behind an ssh that is none: it runs what it is given on this machine."""

import os
import platform
import re
import sys
from pathlib import Path

import pytest

from distfit.errors import LaunchError
from distfit.launchers.ssh import Answer, on_each
from distfit.launchers.survey import SCRIPT, Needs, Survey, bring_home, survey

# What real ones were seen to say. `good` has all that is needed; `other` has another MPI library.
SSH = r"""#!/bin/bash
while [ "$1" = -o ]; do shift 2; done
host=$1; shift
case $host in
  unknown) echo "ssh: Could not resolve hostname unknown: Name or service not known" >&2; exit 255 ;;
  off) echo "ssh: connect to host off port 22: No route to host" >&2; exit 255 ;;
  silent) echo "ssh: connect to host silent port 22: Connection timed out" >&2; exit 255 ;;
  deaf) echo "ssh: connect to host deaf port 22: Connection refused" >&2; exit 255 ;;
  stranger) echo "Host key verification failed." >&2; exit 255 ;;
  locked) echo "me@locked: Permission denied (publickey,password)." >&2; exit 255 ;;
  odd) echo "kex_exchange_identification: Connection closed by remote host" >&2; exit 255 ;;
  bare) echo "bash: line 1: PYTHON: No such file or directory" >&2; exit 127 ;;
  stuck) exec sleep 60 ;;
  other) echo 'Welcome to other!'; answer='"mpi": "Open MPI v4.1.4, package: Debian"' ;;
  old) answer='"python": "3.6.8"' ;;
  without) answer='"mpi": ""'; echo "cannot load MPI library" >&2 ;;
  inward) answer='"name": "inward", "home": "127.0.1.1"' ;;
  lonely) answer='"name": "lonely", "home": ""' ;;
  *) exec /bin/sh -c "$*" ;;
esac
same='"python": "VERSION", "cores": 8, "mpi": "LIBRARY", "missing": [], "home": "10.0.0.1"'
echo "{\"name\": \"$host\", $same, $answer}"
"""
LIBRARY = "MPICH Version:      5.0.2"


@pytest.fixture(autouse=True)
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bin" / "ssh"
    path.parent.mkdir()
    text = SSH.replace("PYTHON", sys.executable).replace("VERSION", platform.python_version())
    path.write_text(text.replace("LIBRARY", LIBRARY))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


def look(tmp_path: Path, *hosts: str, **needs: object) -> Survey:
    known = {
        "library": LIBRARY,
        "paths": [],
        "folder": tmp_path / "records",
        "environment": {},
        "home": "headnode",
    }
    return survey(hosts, Needs(**(known | needs)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("unknown", r"unknown: no host has this name\. Is it spelled right\?"),
        ("off", r"off: no network leads to it\. Is it switched on\? ping off"),
        ("silent", r"silent: it does not answer\. Is it switched on"),
        ("deaf", r"deaf: no sshd listens there\. Start one"),
        ("odd", r"odd cannot be reached\. Try: ssh odd true.*kex_exchange"),
    ],
)
def test_a_host_that_may_be_gone_is_told_with_the_remedy(tmp_path: Path, host: str, text: str) -> None:
    found = look(tmp_path, host)
    assert not found.cores
    assert list(found.gone) == [host]
    assert re.search(text, found.gone[host])


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("stranger", r"stranger: its key is not known here.*ssh stranger true"),
        ("locked", r"locked: it lets nobody in without a password\. .*ssh-copy-id locked"),
        ("bare", r"bare has no Python at .*\. Each host needs the same environment at the same path"),
        ("other", r"other has another MPI library: Open MPI v4.1.4, .*\. Here it is MPICH Version: 5.0.2"),
        ("old", r"old has Python 3\.6\.8, and this machine 3\."),
        ("without", r"without could not load an MPI library\. .*It said: cannot load MPI library"),
        (
            "inward",
            r"inward cannot call this machine back: the name headnode leads to 127\.0\.1\.1 there\. .*/etc/hosts",
        ),
        ("lonely", r"lonely cannot call this machine back: the name headnode leads nowhere"),
    ],
)
def test_a_host_that_is_not_as_it_should_be_is_an_error(tmp_path: Path, host: str, text: str) -> None:
    with pytest.raises(LaunchError, match=text):
        look(tmp_path, host)


def test_an_mpi_that_knows_its_address_needs_no_name(tmp_path: Path) -> None:
    assert look(tmp_path, "inward", home=None).cores == {"inward": 8}


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(LaunchError) as raised:
        look(tmp_path, "locked", "other", "off")
    assert [line.split()[0] for line in str(raised.value).splitlines()] == ["locked:", "other", "off:"]


def test_a_host_is_asked_what_ranks_would_find_there(tmp_path: Path) -> None:
    """With this machine's own mpi4py: the probe runs for real."""
    with pytest.raises(LaunchError, match=r"(?s)good has another MPI library: .*good has not /no/such\."):
        look(tmp_path, "good", library="none", paths=[__file__, "/no/such"])
    assert not (tmp_path / "records").exists()


def test_the_ranks_variables_are_there_when_the_library_is_loaded(tmp_path: Path) -> None:
    missing = {"MPI4PY_LIBMPI": "/no/such/libmpi.so", "MPI4PY_MPIABI": "mpich"}
    with pytest.raises(LaunchError, match="good could not load an MPI library"):
        look(tmp_path, "good", environment=missing)


def test_records_are_brought_home_and_removed_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other machine is this one, with the folder elsewhere."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    for name in ("made-for-another-machine", "rank-0.began", "completed", "another"):
        (there / name).write_text(name)
    script = tmp_path / "probe.py"
    script.write_text(SCRIPT.read_text().replace('asked["folder"]', repr(str(there))))
    monkeypatch.setattr("distfit.launchers.survey.SCRIPT", script)
    assert bring_home(["good", "off"], here) == ["off"]
    assert {path.name: path.read_text() for path in here.iterdir()} == {
        "rank-0.began": "rank-0.began",
        "completed": "completed",
    }
    assert not there.exists()


def test_a_folder_that_was_there_before_stays(tmp_path: Path) -> None:
    (tmp_path / "rank-0.began").write_text("1 node\n")
    assert bring_home(["good"], tmp_path) == []
    assert (tmp_path / "rank-0.began").exists()


def test_who_does_not_answer_is_given_up() -> None:
    answers = on_each(["stuck", "off"], sys.executable, "def main(asked): pass", {}, patience_s=0.5)
    assert answers["stuck"] == Answer(None)
    assert answers["off"].status == 255
