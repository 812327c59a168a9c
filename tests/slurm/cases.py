"""What Slurm does to a job, and what is to come of it: the result of a job to which nothing was done."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from slurm.cluster import Slurm, until

ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = ROOT / "launch" / "slurm.sbatch"
_PROGRAM = Path(__file__).with_name("program.py")
_END_S = 240.0
_ENDS = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY")
_STEP = 20
"""When something is done to the job; it has a checkpoint then."""


@dataclass
class Result:
    """How a job ended.

    Attributes:
        seconds: from sbatch to the end.
        restarts: how often Slurm started it again.
        told: what it said, line by line.
        faults: in which ways this is not as it has to be.
    """

    seconds: float = 0.0
    restarts: int = 0
    told: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Job:
    """A job on two nodes, one rank on each, started by launch/slurm.sbatch as it is.

    Args:
        slurm: where it runs.
        name: of its folder.
        pause_s: how much longer than it has to a batch takes.
        options: of sbatch; they stand above what the script says.
    """

    def __init__(self, slurm: Slurm, name: str, pause_s: float, *options: str) -> None:
        self._slurm = slurm
        self.folder = slurm.folder / name
        self.folder.mkdir()
        command = [
            "sbatch",
            "--parsable",
            "--nodes=2",
            "--ntasks-per-node=1",
            f"--output={self.folder}/output",
        ]
        command += [*options, str(_SCRIPT), str(_PROGRAM), str(self.folder), str(pause_s)]
        self._began = time.monotonic()
        self.number = slurm(*command).strip()

    def __getitem__(self, name: str) -> str:
        """Return what Slurm tells of the job, as ``JobState``."""
        shown = self._slurm("scontrol", "--oneliner", "show", "job", self.number)
        found = re.search(rf"\b{name}=(\S*)", shown)
        assert found, f"{name} is not in {shown}"
        return found[1]

    def has_come_to(self, step: int) -> None:
        """Wait until training has."""
        file = self.folder / "step"
        until(lambda: file.exists() and int(file.read_text() or 0) >= step, f"{file} is {step}")

    def ended(self, state: str, told: list[str], expected: Path | None) -> Result:
        """Wait for the end, and compare.

        Args:
            state: Slurm's word for it.
            told: regular expressions of what the job has to say, in this order.
            expected: the folder of the job to whose result this one's is equal, bit by bit.
        """
        end = time.monotonic() + _END_S
        while self["JobState"] not in _ENDS and time.monotonic() < end:
            time.sleep(0.2)
        file = self.folder / "output"
        output = file.read_text() if file.exists() else ""
        seconds, restarts = time.monotonic() - self._began, int(self["Restarts"])
        result = Result(
            seconds, restarts, [line for line in output.splitlines() if re.search("step \\d", line)]
        )
        if self["JobState"] != state:
            result.faults.append(f"it is {self['JobState']} ({self['Reason']}), and not {state}:\n{output}")
        if not re.search(".*".join(told), output, re.DOTALL):
            result.faults.append(f"it does not say {told}:\n{output}")
        if expected and _outcome(self.folder) != _outcome(expected):
            result.faults.append(f"expected {_outcome(expected)}, found {_outcome(self.folder)}")
        return result


def _outcome(folder: Path) -> object:
    file = folder / "result.json"
    return json.loads(file.read_text()) if file.exists() else "no result"


def undisturbed(slurm: Slurm, expected: Path) -> Result:
    """Let it run."""
    return Job(slurm, expected.name, 0).ended("COMPLETED", ["restart 0 .* begins behind step 0"], None)


def out_of_time(slurm: Slurm, expected: Path) -> Result:
    """Let its time run out: it is signalled before, makes a checkpoint, and is queued again."""
    job = Job(slurm, "time", 0.5, "--time=1", "--signal=USR1@20")
    told = [r"asked to end behind step (\d+)\n", r"restart 1 .* begins behind step \1\n"]
    return job.ended("COMPLETED", told, expected)


def first_node_dies(slurm: Slurm, expected: Path) -> Result:
    """Kill the node on which the job's script runs: Slurm itself queues the job again, once it has noticed."""
    job, result = _node_dies(slurm, expected, 2)
    log = (slurm.folder / "slurmctld.log").read_text()
    if not re.search(rf"requeue job JobId={job.number} due to failure of node node2", log, re.IGNORECASE):
        result.faults.append(f"Slurm does not tell that the node's failure is why it is queued again:\n{log}")
    return result


def other_node_dies(slurm: Slurm, expected: Path) -> Result:
    """Kill the other one: the script sees that a rank died, before Slurm has noticed, and queues the job again."""
    return _node_dies(slurm, expected, 3)[1]


def _node_dies(slurm: Slurm, expected: Path, node: int) -> tuple[Job, Result]:
    slurm("scontrol", "update", "NodeName=node1", "State=DRAIN", "Reason=later")
    job = Job(slurm, f"node{node}", 0.2)
    job.has_come_to(_STEP)
    slurm("scontrol", "update", "NodeName=node1", "State=RESUME")
    slurm.kill(node)
    # At least the checkpoint behind step 15 is whole by then.
    told = [
        r"restart 0 on node\[2-3\] begins behind step 0\n",
        r"restart 1 on \S+ begins behind step (?!0)\d+",
    ]
    result = job.ended("COMPLETED", told, expected)
    slurm.start(node)
    slurm.wait_for_nodes()
    return job, result


def cancelled(slurm: Slurm, expected: Path) -> Result:
    """Cancel it: it is asked to end, as before, but is not queued again."""
    job = Job(slurm, "cancelled", 0.2)
    job.has_come_to(_STEP)
    slurm("scancel", job.number)
    return job.ended("CANCELLED", ["restart 0 .* begins behind step 0"], None)


CASES: dict[str, Callable[[Slurm, Path], Result]] = {
    "nothing": undisturbed,
    "its time runs out": out_of_time,
    "the node with its script dies": first_node_dies,
    "its other node dies": other_node_dies,
    "scancel": cancelled,
}
