"""Signals as flags: nothing is raised where they arrive."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from distfit.comm import signals
from distfit.comm.signals import deferred, heed_stop, stop_requested, take_interrupt


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Have handlers that raise, so that nothing ends the tests."""

    class Stopped(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGUSR1, stop), signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGUSR1, before[0])
    signal.signal(signal.SIGINT, before[1])


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def test_an_interrupt_is_kept_and_taken_once() -> None:
    with deferred():
        assert not take_interrupt()
        send(signal.SIGINT)
        assert take_interrupt()
        assert not take_interrupt()


def test_an_interrupt_that_nobody_took_is_raised_at_the_end() -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt), deferred():
        send(signal.SIGINT)
        reached = True
    assert reached
    assert not take_interrupt()


def test_a_stop_is_wished_until_a_training_heeds_it() -> None:
    with deferred():
        assert not stop_requested()
        send(signal.SIGUSR1)
    with deferred():  # the evaluation in which it came is over
        assert stop_requested()
        heed_stop()
        assert not stop_requested()


def test_a_wish_to_end_that_nobody_heeded_is_delivered_at_the_end() -> None:
    ended = []
    before = signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    try:
        with deferred():
            send(signal.SIGTERM)
            assert stop_requested()
            assert not ended
        assert ended == [True]
        with deferred():
            send(signal.SIGTERM)
            heed_stop()  # a training ends in order because of it
        assert ended == [True]
        assert not stop_requested()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_handlers_are_put_back_and_inner_blocks_change_nothing() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGUSR1)
    with deferred():
        inside = signal.getsignal(signal.SIGINT)
        with deferred():
            send(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is inside
        assert signal.getsignal(signal.SIGINT) is inside
        assert take_interrupt()  # the inner block did not end it
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGUSR1)) == before


def test_handlers_are_put_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="inside"), deferred():
        raise ValueError("inside")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_leaves_signals_alone() -> None:
    seen = []

    def work() -> None:
        with deferred():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_a_second_interrupt_ends_the_process() -> None:
    """In a child, which it really ends."""
    child = os.fork()
    if child == 0:
        with signals.deferred():
            send(signal.SIGINT)
            send(signal.SIGINT)
        os._exit(7)  # not reached
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGINT
