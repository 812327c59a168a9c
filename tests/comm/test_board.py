"""The board: what one process writes another one reads, and nothing is left of it."""

import subprocess
import sys

from distfit.comm.board import TEXT_BYTES, Board
from distfit.comm.memory_file import Place

WRITE = """
import sys
from distfit.comm.board import Board
from distfit.comm.memory_file import Place
board = Board.open(Place(sys.argv[1], sys.argv[2]), size=3)
board.write(2, beat=4, calls=5, finished=6, step=7, text="reads a batch")
"""


def test_another_process_writes_its_row() -> None:
    board = Board.make(3)
    assert board.place is not None
    subprocess.run([sys.executable, "-c", WRITE, board.place.path, board.place.name], check=True)
    assert board.rows[2].tolist() == (4, 5, 6, 7, b"reads a batch")
    assert not board.rows["beat"][:2].any()
    assert board.text(2) == "reads a batch"


def test_a_board_that_cannot_be_reached_is_ones_own() -> None:
    board = Board.make(2)
    assert board.place is not None
    board.write(0, beat=1, calls=1, finished=1, step=1, text="")
    another = Place(board.place.path, "distfit-of-another-container")
    for place in (None, Place("/proc/1/fd/9999", "distfit-gone"), another):
        own = Board.open(place, 2)
        assert own.place is None
        assert not own.rows["beat"].any()


def test_a_long_text_is_cut_where_it_has_to_be() -> None:
    board = Board(1)
    board.write(0, beat=1, calls=1, finished=1, step=1, text="ä" * 300)
    assert board.text(0) == "ä" * (TEXT_BYTES // 2)


def test_rows_outlive_their_board() -> None:
    board = Board.make(1)
    rows = board.rows
    del board
    assert rows["beat"].tolist() == [0]
