"""What ranks leave behind, and what the supervisor makes of it."""

import json
import platform
from pathlib import Path

from distfit.launchers.records import Records


def note(folder: Path, rank: int, *, follows: bool, when: float) -> None:
    record = {"error": f"ValueError: {rank}", "step": 3, "follows": follows, "when": when}
    (folder / f"rank-{rank}.failed").write_text(json.dumps(record))


def test_nothing_is_there_at_first(tmp_path: Path) -> None:
    records = Records(tmp_path)
    assert (records.processes(), records.joined, records.completed, records.failure()) == (
        {},
        False,
        False,
        None,
    )


def test_the_first_error_that_follows_from_none(tmp_path: Path) -> None:
    note(tmp_path, 0, follows=True, when=1.0)
    note(tmp_path, 1, follows=False, when=3.0)
    note(tmp_path, 12, follows=False, when=2.0)
    failure = Records(tmp_path).failure()
    assert failure is not None
    assert (failure.rank, failure.error, failure.step) == (12, "ValueError: 12", 3)


def test_a_record_that_was_cut_off_is_none(tmp_path: Path) -> None:
    (tmp_path / "rank-0.failed").write_text('{"error": "Val')
    (tmp_path / "rank-0.began").write_text("12")
    (tmp_path / "rank-1.began").write_text(f"345 {platform.node()}\n")
    (tmp_path / "rank-2.began").write_text("345 another\n")
    records = Records(tmp_path)
    assert records.failure() is None
    assert records.processes() == {345: 1}  # of this machine
    assert records.everywhere() == {(platform.node(), 345): 1, ("another", 345): 2}
