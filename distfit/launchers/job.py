"""One attempt at a job: mpiexec from its start to its end, with the signals that come meanwhile."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from distfit.launchers.leftovers import NOTE, Leftovers
from distfit.launchers.mailbox import Mailbox
from distfit.launchers.output import STDERR, STDOUT, Output
from distfit.launchers.process import carriers, catches, die_with, runs
from distfit.launchers.records import Records
from distfit.launchers.runner import Runner
from distfit.launchers.steps import Steps

_LOOK_S = 0.2
_TIME_TO_END_S = 45.0  # behind a request to end; distfit's own ranks end within 30 s of it
_NEVER = float("inf")
_TIDY_S = 1.0  # for mpiexec to notice that all ranks have ended
_STUCK_S = 15.0  # and to end then: Open MPI's was seen to wait for ever after it had lost a host


class Job:
    """A job that runs.

    Nothing of it outlives the supervisor, however that ends: the kernel kills mpiexec with it, and the ranks with
    mpiexec. Nothing of it outlives its ranks either: what they started has the name of their record in its environment,
    and is killed. It would keep mpiexec waiting, too, which ends when nobody holds the ranks' output any more.

    Args:
        command: mpiexec's.
        environment: of it, and of the ranks.
        ranks: how many.
        here: how many of them are on this machine. Only these are looked after; what mpiexec started elsewhere ends
            when its connection with mpiexec does.
        runner: whose mpiexec it is.
        records: of the ranks.
        output: where what they write goes.

    Attributes:
        asked_by: the signal that asked it to end; None without one.

    Ranks: local; the supervisor's main thread.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        ranks: int,
        here: int,
        runner: Runner,
        records: Records,
        output: Output,
    ) -> None:
        self._here, self._runner, self._records, self._output = here, runner, records, output
        self._leftovers = Leftovers(records.folder / NOTE)
        self._held_back = False
        self._kill_at = _NEVER
        self._look_at = 0.0
        self._tidy_at = time.monotonic() + _TIDY_S
        self.steps = Steps(ranks)
        self.asked_by: signal.Signals | None = None
        supervisor = os.getpid()
        self._process = subprocess.Popen(  # noqa: S603 - the user's own command
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Of its own, so that keys that interrupt, and a terminal that goes, come to the supervisor alone.
            start_new_session=True,
            preexec_fn=lambda: die_with(supervisor),  # noqa: PLW1509 - no other thread runs Python here
        )
        for stream, target in ((self._process.stdout, STDOUT), (self._process.stderr, STDERR)):
            if stream is not None:  # never: both are pipes
                output.copy(stream.fileno(), target)

    def wait(self, mailbox: Mailbox) -> int:
        """Return the job's status when it has ended, and nothing of it is left.

        Args:
            mailbox: in which signals come.
        """
        end = os.pidfd_open(self._process.pid)
        try:
            while self._process.poll() is None:
                rung = self._output.pump(_LOOK_S, (mailbox.bell, self._leftovers.bell, end))
                if rung or time.monotonic() > self._look_at:  # and not for each line that ranks print
                    self._look()
                for number in mailbox.take():
                    self._receive(number)
                self._deliver()
        finally:
            os.close(end)
            self._clean()
        with self._process as process:
            status = process.wait()
        return status if status >= 0 else 128 - status

    def _receive(self, number: signal.Signals) -> None:
        if number == signal.SIGWINCH:
            self._output.resize()
            return
        self.asked_by = self.asked_by or number
        if number == signal.SIGUSR1:
            self._held_back = True
            return
        if number == signal.SIGHUP:  # to the ranks a terminal that goes is a reason to end like others
            number = signal.SIGTERM
        first, self._kill_at = self._kill_at == _NEVER, min(self._kill_at, time.monotonic() + _TIME_TO_END_S)
        gentle = self._runner.passed_on(number)
        # Whoever asks twice does not want to wait. And ranks without a handler for USR1 have nothing to save.
        self._process.send_signal(
            gentle if first and (gentle != signal.SIGUSR1 or self._all_catch(gentle)) else number
        )

    def _deliver(self) -> None:
        """Hand on a SIGUSR1 once all ranks have their handler for it: it would be lost, or end one of them, before."""
        if self._held_back and self._all_catch(signal.SIGUSR1):
            self._held_back = False
            self._process.send_signal(signal.SIGUSR1)

    def _all_catch(self, number: signal.Signals) -> bool:
        """Say whether all ranks of this machine have a handler for a signal. One that stops makes the others stop."""
        processes = self._records.processes()
        return len(processes) == self._here and all(catches(process, number) for process in processes)

    def _look(self) -> None:
        """See how far the job is, and help an end that does not come by itself."""
        now = time.monotonic()
        self._look_at = now + _LOOK_S
        processes = self._records.processes()
        self._leftovers.look(processes)
        self.steps.look(processes)
        if not self._here or len(processes) < self._here or any(map(runs, processes)):
            self._tidy_at = now + _TIDY_S
        elif now > self._tidy_at:
            self._kill_what_ranks_started()
        if now > min(self._kill_at, self._tidy_at + _STUCK_S):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _kill_what_ranks_started(self) -> None:
        for process in carriers(f"DISTFIT_RECORD={self._records.folder}/"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def _clean(self) -> None:
        """End what still runs, read what is still in the pipes, and remove what MPI left."""
        if self._process.poll() is None:  # an error of the supervisor's own
            os.killpg(self._process.pid, signal.SIGKILL)
        self._kill_what_ranks_started()
        self._output.drain()
        self._leftovers.remove()
        self._leftovers.close()
