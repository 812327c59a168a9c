"""Signals wait until they are taken, and end no other wait."""

import os
import signal

from distfit.launchers.mailbox import Mailbox


def test_signals_are_taken_once_and_in_their_order() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Mailbox() as mailbox:
        assert mailbox.take() == []
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert mailbox.take() == [signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM]
        assert mailbox.take() == []
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_that_has_come_ends_the_wait() -> None:
    with Mailbox() as mailbox:
        os.kill(os.getpid(), signal.SIGINT)
        mailbox.wait(1000.0)
        mailbox.wait(1000.0)  # it was not taken yet
        assert mailbox.take() == [signal.SIGINT]
        mailbox.wait(0.0)
