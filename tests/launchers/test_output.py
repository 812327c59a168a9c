"""What ranks write reaches the terminal and the log, also when one of them is gone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from distfit.launchers.output import Output, tail


@pytest.fixture
def ends() -> Iterator[tuple[int, int, int, int]]:
    """Yield two pipes: from the ranks, and to whoever reads."""
    pipes = (*os.pipe(), *os.pipe())
    yield pipes
    for end in pipes:
        try:
            os.close(end)
        except OSError:
            continue


def test_what_comes_is_shown_logged_and_remembered(tmp_path: Path, ends: tuple[int, int, int, int]) -> None:
    source, ranks, reader, shown = ends
    with Output(tmp_path / "rank-0.log") as output:
        output.copy(source, shown)
        os.write(ranks, b"Epoch 1/2\0\n")  # as Open MPI does
        assert output.pump(10.0) == set()
        os.write(ranks, b"Epoch 2/2\n")
        os.close(ranks)
        output.drain()
        output.drain()  # nothing more can come
        assert output.text == "Epoch 1/2\nEpoch 2/2\n"
    assert os.read(reader, 100) == b"Epoch 1/2\nEpoch 2/2\n"
    assert (tmp_path / "rank-0.log").read_bytes() == b"Epoch 1/2\nEpoch 2/2\n"


def test_a_training_goes_on_where_nobody_reads_any_more(
    tmp_path: Path, ends: tuple[int, int, int, int]
) -> None:
    source, ranks, reader, shown = ends
    os.close(reader)
    with Output(tmp_path / "rank-0.log") as output:
        output.copy(source, shown)
        for word in (b"one ", b"two"):
            os.write(ranks, word)
            output.pump(10.0)
    assert (tmp_path / "rank-0.log").read_text() == "one two"


def test_a_bell_ends_the_wait(ends: tuple[int, int, int, int]) -> None:
    bell, rope, _, _ = ends
    with Output(None) as output:
        assert output.pump(0.0, [bell]) == set()
        os.write(rope, b"!")
        assert output.pump(100.0, [bell]) == {bell}


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "rank-1.log"
    assert tail(log) == ""
    log.write_bytes(b"x" * 100_000 + b"\xff the end")
    assert tail(log).endswith("x\N{REPLACEMENT CHARACTER} the end")
    assert len(tail(log)) == 1 << 16
