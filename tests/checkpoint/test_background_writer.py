"""One write at a time goes on beside the training, and its error is heard of once."""

import threading

import pytest

from distfit.checkpoint import BackgroundWriter


def test_a_write_goes_on_while_the_caller_does() -> None:
    writer, may_end, names = BackgroundWriter(), threading.Event(), []

    def write() -> None:
        may_end.wait()
        names.append(threading.current_thread().name)

    assert not writer.busy
    writer.start(write)
    assert writer.busy
    writer.check()  # does not wait
    with pytest.raises(RuntimeError, match="one at a time"):
        writer.start(write)
    may_end.set()
    writer.finish()
    assert not writer.busy
    assert names == ["distfit checkpoint writer"]


def fail() -> None:
    raise OSError(28, "No space left on device")


def test_an_error_is_raised_once_where_the_end_is_waited_for() -> None:
    writer = BackgroundWriter()
    writer.start(fail)
    with pytest.raises(OSError, match="No space left"):
        writer.finish()
    writer.finish()
    writer.start(lambda: None)
    writer.finish()


def test_an_error_is_raised_before_the_next_write_begins() -> None:
    writer, has_begun = BackgroundWriter(), []
    writer.start(fail)
    while writer.busy:
        pass
    with pytest.raises(OSError, match="No space left"):
        writer.start(lambda: has_begun.append(True))
    writer.check()
    assert not has_begun


def test_an_error_that_was_not_asked_for_waits() -> None:
    writer, may_end = BackgroundWriter(), threading.Event()

    def fail_later() -> None:
        may_end.wait()
        fail()

    writer.start(fail_later)
    writer.check()
    may_end.set()
    while writer.busy:
        pass
    with pytest.raises(OSError, match="No space left"):
        writer.check()


def test_without_a_write_there_is_nothing_to_wait_for() -> None:
    writer = BackgroundWriter()
    writer.check()
    writer.finish()
