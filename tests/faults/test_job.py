"""Whoever runs the fault matrix sees a job that hangs, and what a job leaves behind."""

from pathlib import Path

from faults import job

STRIKE = "import os, pathlib, subprocess, time\npathlib.Path(os.environ['FAULT_STAMP']).touch()\n"


def run(tmp_path: Path, body: str) -> job.Ended:
    script = tmp_path / "program.py"
    script.write_text(STRIKE + body)
    return job.run([str(script)], 2, limit_s=2.0, variables={"WORD": "given"})


def test_a_job_that_ends_in_order(tmp_path: Path) -> None:
    ended = run(tmp_path, "print(os.environ['WORD']); raise SystemExit(4)")
    assert (ended.status, ended.struck) == (4, True)
    assert ended.output.count("given") == 2  # the ranks' lines may come mixed
    assert [what for what in ended.left if not what.startswith("shared memory")] == []


def test_a_job_that_hangs_is_ended(tmp_path: Path) -> None:
    ended = run(tmp_path, "time.sleep(50)")
    assert ended.status is None
    assert ended.seconds < 30


def test_processes_and_files_that_are_left_are_found(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        "out = pathlib.Path(os.environ['FAULT_OUT'])\n"
        "(out / '.best.npz.7.unfinished').touch()\n"
        "pathlib.Path(os.environ['TMPDIR'], 'forgotten').touch()\n"
        "subprocess.Popen(['sleep', '50'], start_new_session=True, stdout=subprocess.DEVNULL)\n",
    )
    kinds = sorted(what.split()[0] for what in ended.left if not what.startswith("shared memory"))
    assert kinds == ["file", "file", "process", "process"]  # each rank has started one
    number = next(what.split()[1] for what in ended.left if what.startswith("process"))
    assert not Path("/proc", number, "exe").exists()  # it was ended
