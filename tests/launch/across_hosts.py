"""Jobs across three hosts: python -m pytest tests/launch/across_hosts.py, or make test-launch.

The hosts are namespaces of this machine: see `cluster.py` for what is theirs. They share its cores, which they do not
know: so no rank waits without rest. OPEN_MPI names a Python that has distfit and the wheel of Open MPI; without it
Open MPI's part is skipped. INTEL_MPI names one with Intel's, and SITE_MPI one with no wheel of an MPI, for Debian's
packages openmpi-bin and mpich: they are not tried otherwise. make test-site-mpi does.
"""

import contextlib
import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from launch.cluster import ABSENT, Cluster, finish, why_not
from safetensors.numpy import load_file

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
HOSTS = "node1:2,node2:2,node3:1"
LIMIT_S = 100.0


class Mpi(NamedTuple):
    """Ranks of one make: a Python that loads it, and a library that stands in for the one that it would find."""

    python: str
    library: str = ""


MPIS = {"MPICH": Mpi(sys.executable), "Open MPI": Mpi(os.environ.get("OPEN_MPI", ""))}
if "INTEL_MPI" in os.environ:
    MPIS["Intel MPI"] = Mpi(os.environ["INTEL_MPI"])
if "SITE_MPI" in os.environ:
    MPIS["Debian's Open MPI"] = Mpi(os.environ["SITE_MPI"])
    # Under the name that MPICH gives it, and Debian does not: mpi4py's wheel looks for that one.
    MPIS["Debian's MPICH"] = Mpi(os.environ["SITE_MPI"], "/usr/lib/x86_64-linux-gnu/libmpich.so.12")

WHY_NOT = why_not()

pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no hosts can be made: {WHY_NOT}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")).running() as cluster:
        yield cluster


@pytest.fixture(params=MPIS)
def mpi(request: pytest.FixtureRequest) -> Mpi:
    mpi = MPIS[request.param]
    if not mpi.python:
        pytest.skip("OPEN_MPI names no Python")
    return mpi


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what one rank finds."""
    done = subprocess.run(
        [sys.executable, str(HERE / "train.py")],
        cwd=tmp_path_factory.mktemp("alone"),
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    return result(done.stdout)


def result(output: str) -> dict[str, Any]:
    """Return what root found."""
    lines = [line.removeprefix("result ") for line in output.splitlines() if line.startswith("result ")]
    assert len(lines) == 1, output
    found: dict[str, Any] = json.loads(lines[0])
    return found


def agrees(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Say whether both are the same training, to rounding."""
    return np.allclose(found["weights"], expected["weights"], rtol=1e-4, atol=1e-6) and np.isclose(
        found["loss"], expected["loss"], rtol=1e-5
    )


HERES = Mpi(sys.executable)
"""Of this Python."""


def start(
    cluster: Cluster, folder: Path, mpi: Mpi, *arguments: str, **variables: str
) -> subprocess.Popen[str]:
    """Start `distfit run` on the first host."""
    python = str(Path(mpi.python).absolute())
    return run(cluster, folder, mpi, python, "-m", "distfit", "run", *arguments, **variables)


def script(cluster: Cluster, folder: Path, mpi: Mpi, hosts: str, *arguments: str) -> subprocess.Popen[str]:
    """Start `launch/hosts.sh` there."""
    hosts_sh = str(REPOSITORY / "launch" / "hosts.sh")
    python = str(Path(mpi.python).absolute())
    return run(cluster, folder, mpi, "bash", hosts_sh, *arguments, HOSTS=hosts, PYTHON=python)


def run(cluster: Cluster, folder: Path, mpi: Mpi, *command: str, **variables: str) -> subprocess.Popen[str]:
    """Start a command there, with the variables that the module of a site's MPI would have set."""
    if mpi.library:
        module = folder / "module"
        module.mkdir()
        (module / "libmpi.so.12").symlink_to(mpi.library)
        # UCX knows a machine by its kernel, and would take the hosts for one: MPICH then waits for ever at its end.
        variables |= {"LD_LIBRARY_PATH": str(module), "UCX_TLS": "tcp,self"}
    # A host does not know that others run on its cores.
    variables |= {"PYTHONPATH": str(REPOSITORY), "OMPI_MCA_mpi_yield_when_idle": "1"}
    return cluster.on(1, *command, cwd=folder, **variables)


def until(process: subprocess.Popen[str], words: str) -> str:
    """Read what it prints until it has printed some words, and return it."""
    assert process.stdout
    read = ""
    while words not in read:
        line = process.stdout.readline()
        assert line, f"it ended before: {read}"
        read += line
    return read


def test_ranks_on_three_hosts_find_what_one_finds(
    cluster: Cluster, mpi: Mpi, alone: dict[str, Any], tmp_path: Path
) -> None:
    status, output = finish(start(cluster, tmp_path, mpi, "--hosts", HOSTS, str(HERE / "train.py")), LIMIT_S)
    assert status == 0, output
    found = result(output)
    assert found["hosts"] == ["node1", "node1", "node2", "node2", "node3"]
    assert agrees(found, alone)


def test_sums_during_backward_cross_hosts_and_a_failure_in_it_leaves_nobody_waiting(
    cluster: Cluster, mpi: Mpi, tmp_path: Path
) -> None:
    """2.4 million weights in ten pieces, as float32 and as bfloat16."""
    hosts = "node1:1,node2:1,node3:1"
    status, output = finish(
        start(cluster, tmp_path, mpi, "--hosts", hosts, str(HERE / "overlap.py")), LIMIT_S
    )
    assert status == 0, output
    found = result(output)
    assert found["updates"] == ["Overlapped", "Overlapped"]
    assert found["of_all"] == [[2, found["weights"]]] * 3
    exact, rounded = found["losses"]
    assert exact[-1] < exact[0]
    np.testing.assert_allclose(rounded, exact, rtol=0.05)


def test_the_script_for_hosts_starts_them_too(
    cluster: Cluster, mpi: Mpi, alone: dict[str, Any], tmp_path: Path
) -> None:
    """From a machine that has no rank itself: root's records come home from another."""
    process = script(cluster, tmp_path, mpi, "node3:1,node2:1", str(HERE / "train.py"))
    status, output = finish(process, LIMIT_S)
    assert status == 0, output
    found = result(output)
    assert found["hosts"] == ["node3", "node2"]
    assert agrees(found, alone)


class Example(NamedTuple):
    """What the example's user sees at its end, and the checkpoint that it leaves."""

    said: str
    weights: dict[str, np.ndarray]

    @classmethod
    def of(cls, output: str, folder: Path) -> "Example":
        said = [line for line in output.splitlines() if line.startswith("test accuracy")]
        assert len(said) == 1, output
        return cls(said[0], load_file(folder / "out" / "best.safetensors"))


EXAMPLE = [str(REPOSITORY / "examples" / "fashion_mnist.py"), "--epochs", "1"]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """Return how it ends on one rank."""
    folder = tmp_path_factory.mktemp("example")
    done = subprocess.run(
        [sys.executable, *EXAMPLE],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    return Example.of(done.stdout, folder)


@pytest.mark.parametrize("by_script", [False, True], ids=["distfit run", "launch/hosts.sh"])
def test_the_example_ends_on_three_hosts_as_on_one_rank(
    cluster: Cluster, mpi: Mpi, example: Example, tmp_path: Path, by_script: bool
) -> None:
    if by_script:
        process = script(cluster, tmp_path, mpi, HOSTS, *EXAMPLE)
    else:
        process = start(cluster, tmp_path, mpi, "--hosts", HOSTS, *EXAMPLE)
    status, output = finish(process, LIMIT_S)
    assert status == 0, output
    assert "5 rank(s)" in output
    found = Example.of(output, tmp_path)
    assert found.said == example.said
    assert found.weights.keys() == example.weights.keys()
    for name, weight in example.weights.items():
        np.testing.assert_allclose(found.weights[name], weight, rtol=1e-3, atol=1e-5)


def test_a_rank_that_is_killed_is_named(
    cluster: Cluster, mpi: Mpi, alone: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    arguments = ["--hosts", "node1:1,node2:1", "--max-restarts", "1", str(HERE / "train.py"), "--kill", "1"]
    status, output = finish(start(cluster, tmp_path, mpi, *arguments), LIMIT_S)
    assert status == 0, output
    told = [
        "rank 1 was killed by signal 9, SIGKILL",
        "rank 1 ended without leaving MPI",  # Open MPI's rank 0 may end before mpiexec has heard how rank 1 did
        "a rank ended with status 255",  # Intel's kills the others in the same way, and does not say which was first
    ]
    assert any(words in output for words in told[: None if "Intel" in request.node.name else 2]), output
    assert agrees(result(output), alone)


def test_a_host_that_is_lost_is_done_without(
    cluster: Cluster, mpi: Mpi, alone: dict[str, Any], tmp_path: Path
) -> None:
    options = ["--hosts", "node1:1,node2:1,node3:1", "--max-restarts", "1", "--min-ranks", "2"]
    process = start(cluster, tmp_path, mpi, *options, str(HERE / "train.py"), "--pause", "0.05")
    before = until(process, "step 12\n")
    cluster.kill(3)
    try:
        status, after = finish(process, LIMIT_S)
    finally:
        cluster.start(3)
    output = before + after
    assert status == 0, output
    assert "failed after" in output
    assert "node3 can no longer be reached" in output
    assert "going on with 2 ranks: node3: no sshd listens there" in output
    assert "training goes on from backup" in output
    found = result(output)
    assert found["hosts"] == ["node1", "node2"]
    assert agrees(found, alone)


def test_a_cut_link_ends_the_job_with_the_hosts_name(cluster: Cluster, tmp_path: Path) -> None:
    """Neither MPI notices by itself. Both lose the same link, at once: it takes half a minute until they have ended."""
    jobs = {}
    for make, mpi in MPIS.items():
        if mpi.python:
            folder = tmp_path / make.replace(" ", "-")
            folder.mkdir()
            jobs[make] = start(
                cluster, folder, mpi, "--hosts", "node1:1,node2:1,node3:1",
                str(HERE / "train.py"), "--pause", "0.5", DISTFIT_WARN_AFTER="1", DISTFIT_TIMEOUT="3",
            )  # fmt: skip
    before = {make: until(job, "step 7\n") for make, job in jobs.items()}
    cluster.cut(3)
    try:
        ended = {make: finish(job, LIMIT_S) for make, job in jobs.items()}
    finally:
        cluster.mend(3)
    for make, (status, after) in ended.items():
        assert status != 0
        told = r"rank 2 on node3 gives no sign of life for \d+ s: stopped, dead or cut off"
        assert re.search(told, after), f"{make}: {before[make]}{after}"
        assert "gives up after 3 s (DISTFIT_TIMEOUT)" in after
        assert "node3 can no longer be reached" in after


def test_nothing_outlives_the_supervisor_on_any_host(cluster: Cluster, mpi: Mpi, tmp_path: Path) -> None:
    program = tmp_path / "train.py"
    program.write_text((HERE / "train.py").read_text())
    process = start(cluster, tmp_path, mpi, "--hosts", "node1:1,node2:1", str(program), "--pause", "0.5")
    until(process, "step 2\n")
    # This machine sees the processes of all hosts. A rank's command has the program's own path.
    ranks = [os.pidfd_open(number) for number in processes(f"mpi4py\0{program}\0")]
    assert len(ranks) == 2
    cluster.kill_command(process)
    finish(process, LIMIT_S)
    waiting = select.poll()
    for rank in ranks:
        waiting.register(rank, select.POLLIN)
    left = set(ranks)
    while left and (ended := waiting.poll(LIMIT_S * 1000)):
        for rank, _ in ended:
            waiting.unregister(rank)
            left.discard(rank)
    for rank in ranks:
        os.close(rank)
    assert not left


def processes(words: str) -> list[int]:
    """Return the processes in whose command some words are, each ended by a zero byte."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if words.encode() in command.read_bytes():
                found.append(int(command.parent.name))
    return found


def test_hosts_that_cannot_be_used_are_all_named_before_anything_starts(
    cluster: Cluster, tmp_path: Path
) -> None:
    hosts = ["node2", ABSENT, "unheard-of", "stranger", "locked", "deaf"]
    process = start(cluster, tmp_path, HERES, "--hosts", ",".join(hosts), str(HERE / "train.py"))
    status, output = finish(process, 15.0)
    assert status == 2
    for words in (
        "absent: no network leads to it. Is it switched on? ping absent",
        "unheard-of: no host has this name. Is it spelled right?",
        "stranger: its key is not known here, or is another one than before. Connect once by hand",
        "locked: it lets nobody in without a password. Put your key there: ssh-copy-id locked",
        "deaf: no sshd listens there. Start one",
    ):
        assert f"distfit: {words}" in output
    assert "distfit: node2" not in output


def test_another_python_on_one_host_is_named(cluster: Cluster, tmp_path: Path) -> None:
    """Its path leads nowhere there, as where machines have been set up by hand."""
    folder, empty = tmp_path / "here", tmp_path / "there"
    folder.mkdir()
    empty.mkdir()
    (folder / "venv").symlink_to(sys.prefix)
    home = folder / "venv" / "bin" / "python"
    cluster.replace(3, folder, empty)
    try:
        process = start(
            cluster, tmp_path, Mpi(str(home)), "--hosts", "node1:1,node3:1", str(HERE / "train.py")
        )
        status, output = finish(process, 15.0)
    finally:
        cluster.restore(3, folder)
    assert status == 2
    assert f"distfit: node3 has no Python at {home}. Each host needs the same environment" in output


def test_another_mpi_on_one_host_is_named(cluster: Cluster, tmp_path: Path) -> None:
    """Its environment is at the same path, and has the other make."""
    there = MPIS["Open MPI"].python
    if not there:
        pytest.skip("OPEN_MPI names no Python")
    cluster.replace(3, Path(sys.prefix), Path(there).absolute().parents[1])
    try:
        process = start(cluster, tmp_path, HERES, "--hosts", "node1:1,node3:1", str(HERE / "train.py"))
        status, output = finish(process, 15.0)
    finally:
        cluster.restore(3, Path(sys.prefix))
    assert status == 2
    assert re.search(r"distfit: node3 has another MPI library: Open MPI v5\S*, .*Here it is MPICH", output), (
        output
    )
    assert "Each host needs the same environment at the same path" in output


def test_doctor_finds_what_is_slow_and_what_differs(cluster: Cluster, tmp_path: Path) -> None:
    """Links of 1 Gbit/s, another NumPy on one host, and more BLAS threads than cores."""
    version = Path(np.__file__).with_name("version.py")
    other = tmp_path / "version.py"
    other.write_text(version.read_text().replace(np.__version__, "1.99.0"))
    arguments = ["--hosts", "node1:2,node2:1,node3:1", "--", "-m", "distfit", "doctor", "--json"]
    cores = len(os.sched_getaffinity(0))
    cluster.limit("1gbit")
    cluster.replace(3, version, other)
    try:
        process = start(
            cluster, tmp_path, HERES, *arguments, "--folder", str(tmp_path),
            OMP_NUM_THREADS=str(cores), PYTHONDONTWRITEBYTECODE="1",
        )  # fmt: skip
        status, output = finish(process, LIMIT_S)
    finally:
        cluster.restore(3, version)
        cluster.unlimit()
    assert status == 1, output
    diagnosis, _ = json.JSONDecoder().raw_decode(output[output.index("{") :])
    assert [one["host"] for one in diagnosis["ranks"]] == ["node1", "node1", "node2", "node3"]
    assert diagnosis["measures"]["blind"] == []
    for host in ("node2", "node3"):
        assert diagnosis["measures"]["links"][host] == pytest.approx(1e9 / 8, rel=0.2)  # bytes a second
    found = "\n".join(f"{one['severity']}: {one['text']}" for one in diagnosis["findings"])
    for words in (
        f"wrong: numpy is not the same on all machines: {np.__version__} on node1, node2; 1.99.0 on node3",
        "slow: the network is the bottleneck: node",  # the slower of two
        f"slow: node1 has {2 * cores} BLAS threads of 2 ranks on {cores} cores",
    ):
        assert words in found
