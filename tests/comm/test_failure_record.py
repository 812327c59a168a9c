"""What a rank notes of its end, for whoever supervises the job."""

import json
import subprocess
import sys
from pathlib import Path

START = """
import os
from distfit.comm import failure_record
from distfit.errors import RankLeft
from distfit.utils.activity import now
groups = {1: "of several ranks"}
now.step = 12
import sys
failure_record.keep(groups, lambda: getattr(sys, "last_value", None))
"""


def after(tmp_path: Path, body: str) -> tuple[bool, dict[str, object] | None]:
    """Run a rank's program, and return whether it has to leave with others, and what it noted of its error."""
    name = tmp_path / "rank-1"
    subprocess.run(
        [sys.executable, "-c", START + body],
        env={"DISTFIT_RECORD": str(name)},
        capture_output=True,
        check=False,
    )
    failed = Path(f"{name}.failed")
    return Path(f"{name}.joined").exists(), json.loads(failed.read_text()) if failed.exists() else None


def test_an_error_is_noted_with_its_step(tmp_path: Path) -> None:
    joined, failed = after(tmp_path, "raise ValueError('bad')")
    assert joined
    assert failed is not None
    assert (failed["error"], failed["step"], failed["follows"]) == ("ValueError: bad", 12, False)


def test_an_error_that_tells_of_another_ranks_end(tmp_path: Path) -> None:
    _, failed = after(tmp_path, "raise RankLeft('rank 0 left')")
    assert failed is not None
    assert failed["follows"]


def test_an_end_in_order_has_no_error(tmp_path: Path) -> None:
    assert after(tmp_path, "") == (True, None)


def test_who_has_parted_from_all_groups_has_nothing_to_leave(tmp_path: Path) -> None:
    assert after(tmp_path, "groups.clear()") == (False, None)


def test_a_forked_child_is_no_rank(tmp_path: Path) -> None:
    body = "child = os.fork()\nif child == 0:\n    raise ValueError('of the child')\nos.waitpid(child, 0)"
    assert after(tmp_path, body) == (True, None)


def test_an_error_before_the_others_were_met(tmp_path: Path) -> None:
    """It is told at the end of the process, when nothing can be registered for that any more."""
    program = START.replace("failure_record.keep(", "atexit.register(failure_record.keep, ").replace(
        "import os", "import atexit, os", 1
    )
    name = tmp_path / "rank-0"
    subprocess.run(
        [sys.executable, "-c", program + "raise OSError('no data')"],
        env={"DISTFIT_RECORD": str(name)},
        capture_output=True,
        check=False,
    )
    assert json.loads(Path(f"{name}.failed").read_text())["error"] == "OSError: no data"


def test_without_a_supervisor_nothing_is_noted(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", START], env={}, cwd=tmp_path, check=True)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []
