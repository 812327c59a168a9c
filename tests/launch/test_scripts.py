"""The scripts in launch/ start what they are given; golden/ has the command of each, as --dry-run prints it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import run_mpi
import yaml

HERE = Path(__file__).resolve().parent
LAUNCH = HERE.parents[1] / "launch"
PROGRAM = """
import os, sys
from mpi4py import MPI
if MPI.COMM_WORLD.rank == 0:
    print(MPI.COMM_WORLD.size, os.environ["OMP_NUM_THREADS"], sys.argv[1:])
"""
# In the place of programs that are not there, the last of which runs what it would run in a container.
SHIMS = {
    "srun": 'echo "OMP_NUM_THREADS=$OMP_NUM_THREADS srun $@"',
    "scontrol": 'echo "scontrol $@"',
    "apptainer": 'echo "apptainer $1 $2"; shift 2; exec "$@"',
}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def start(script: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its end."""
    return subprocess.run(
        ["bash", str(LAUNCH / script), *map(str, arguments)],
        env=run_mpi.environment() | {"PYTHON": sys.executable} | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_local(program: Path) -> None:
    done = start("local.sh", program, "--epochs", "3", RANKS="3", OMP_NUM_THREADS="2")
    assert done.stdout == "3 2 ['--epochs', '3']\n", done.stderr


def test_hosts(program: Path) -> None:
    done = start("hosts.sh", program, "a name", HOSTS="localhost:2")
    assert done.stdout == "2 1 ['a name']\n", done.stderr


def test_pbs_on_one_node(program: Path, tmp_path: Path) -> None:
    nodes = tmp_path / "nodes"
    nodes.write_text("localhost\n" * 2)
    done = start("pbs.sh", PROGRAM=f"{program} --epochs 3", PBS_NODEFILE=str(nodes), PBS_JOBID="7")
    assert done.stdout == "2 1 ['--epochs', '3']\n", done.stderr


@pytest.mark.parametrize("hosts", ["node1:two", "node1:2,", "node1 4"])
def test_hosts_says_how_they_are_written(program: Path, hosts: str) -> None:
    done = start("hosts.sh", program, HOSTS=hosts)
    assert done.returncode == 2
    assert f"--hosts is name:ranks,name:ranks. Received: {hosts!r}" in done.stderr


def golden(name: str, output: str, program: Path) -> None:
    """Compare what was printed with the file of that name, in which paths have names."""
    paths = {
        str(run_mpi.mpiexec()): "{mpiexec}",
        sys.executable: "{python}",
        str(HERE.parents[1] / "distfit"): "{distfit}",
        str(program): "{program}",
    }
    for path, stands_for in paths.items():
        output = output.replace(path, stands_for)
    assert output == (HERE / "golden" / name).read_text()


@pytest.mark.parametrize(
    ("script", "variables"),
    [
        ("local.sh", {"RANKS": "4"}),
        ("hosts.sh", {"HOSTS": "node1:4,node2:4"}),
        ("pbs.sh", {"PBS_NODEFILE": "{nodes}", "PBS_JOBID": "7.server"}),
        ("lsf.sh", {"LSB_DJOB_HOSTFILE": "{nodes}", "LSB_JOBID": "7"}),
        ("apptainer.sh", {"IMAGE": "train.sif", "RANKS": "4"}),
    ],
)
def test_the_command_of_each(program: Path, tmp_path: Path, script: str, variables: dict[str, str]) -> None:
    nodes = tmp_path / "nodes"
    nodes.write_text("node1\n" * 4 + "node2\n" * 4)
    values = {name: value.format(nodes=nodes) for name, value in variables.items()}
    arguments = ["--dry-run", str(program), "--epochs", "3"]
    done = start(script, *arguments, **values, **shims(tmp_path), PROGRAM=" ".join(arguments))
    golden(script.replace(".sh", ".txt"), done.stdout + done.stderr, program)


def test_the_command_on_slurm(program: Path, tmp_path: Path) -> None:
    """Srun has no --dry-run. What follows the end of a job is tried on a real Slurm."""
    done = start("slurm.sbatch", program, "--epochs", "3", SLURM_CPUS_PER_TASK="5", **shims(tmp_path))
    golden("slurm.txt", done.stdout + done.stderr, program)


def test_the_command_on_kubernetes(tmp_path: Path) -> None:
    """As the launcher's pod of mpijob.yaml runs it, with what the MPI Operator gives it."""
    job = yaml.safe_load((LAUNCH / "mpijob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v2beta1", "MPIJob")
    launcher, worker = (job["spec"]["mpiReplicaSpecs"][role] for role in ("Launcher", "Worker"))
    hosts = tmp_path / "hostfile"
    slots = job["spec"]["slotsPerWorker"]
    hosts.write_text(
        "".join(f"distfit-worker-{i}.distfit.default.svc:{slots}\n" for i in range(worker["replicas"]))
    )
    (container,) = launcher["template"]["spec"]["containers"]
    program = tmp_path / "fashion_mnist.py"
    program.touch()
    names = {"/opt/distfit/bin/python": sys.executable, "/opt/examples/fashion_mnist.py": str(program)}
    command = [names.get(word, word) for word in container["command"]]
    command.insert(command.index("run") + 1, "--dry-run")
    done = subprocess.run(
        command,
        env=run_mpi.environment() | {"K_MPI_JOB_ROLE": "launcher", "HYDRA_HOST_FILE": str(hosts)},
        capture_output=True,
        text=True,
        check=False,
    )
    golden("mpijob.txt", done.stdout + done.stderr, program)


def test_mpijob_has_the_fields_that_the_operator_knows() -> None:
    job = yaml.safe_load((LAUNCH / "mpijob.yaml").read_text())
    schema = json.loads(Path(__file__).with_name("mpijob.schema.json").read_text())
    jsonschema.validate(job, schema)
    worker = job["spec"]["mpiReplicaSpecs"]["Worker"]["template"]["spec"]
    assert {one["name"] for one in worker["volumes"]} == {
        mount["name"] for container in worker["containers"] for mount in container["volumeMounts"]
    }
    del job["spec"]["slotsPerWorker"]
    job["spec"]["slotPerWorker"] = 2
    with pytest.raises(jsonschema.ValidationError, match="slotPerWorker"):
        jsonschema.validate(job, schema)


def shims(folder: Path) -> dict[str, str]:
    """Return a PATH on which the programs are that a test replaces."""
    for name, script in SHIMS.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}
