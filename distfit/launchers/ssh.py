"""A small program that runs on several hosts at once, by ssh, before or after a job."""

import json
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

# No password is asked for: nobody could type one into those that mpiexec starts either.
_SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "ConnectionAttempts=1")
_RUN = "import json, sys; source, asked = json.load(sys.stdin); names = {}; exec(source, names); names['main'](asked)"
_PATIENCE_S = 12.0
_AT_ONCE = 128


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of the program on one host.

    Attributes:
        status: of ssh: the program's own, or 255 where ssh itself failed; None if it took too long.
        output: what it printed.
        error: what it, or ssh, complained of.
    """

    status: int | None
    output: str = ""
    error: str = ""

    def value(self) -> Any:
        r"""Return the JSON of the last line that it printed: a shell's greeting may stand before it.

        Raises:
            ValueError: if there is none.

        Example:
            >>> Answer(0, "Welcome!\n[1, 2]\n").value()
            [1, 2]
        """
        return json.loads((self.output.strip().splitlines() or [""])[-1])


def on_each(
    hosts: Iterable[str], python: str, source: str, asked: Mapping[str, Any], patience_s: float = _PATIENCE_S
) -> dict[str, Answer]:
    """Run a program in each host's Python, all at once, and return what came of it.

    Args:
        hosts: their names.
        python: the path of the interpreter there.
        source: of the program, which defines a function ``main``.
        asked: its argument, of what JSON can hold. It travels like the source, as standard input: arguments can be
            read by everybody on the host.
        patience_s: seconds until a host is given up.

    Ranks: local; the supervisor's. It takes no longer than `patience_s` for each 128 silent hosts, and what
    was started here is gone then.
    """
    text = json.dumps([source, asked])

    def on(host: str) -> Answer:
        command = [*_SSH, host.strip("[]"), shlex.join([python, "-I", "-c", _RUN])]
        try:
            done = subprocess.run(  # noqa: S603 - the user's own ssh
                command, input=text, capture_output=True, text=True, errors="replace", timeout=patience_s, check=False
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Answer(None)
        except OSError as error:
            return Answer(255, error=str(error))
        return Answer(done.returncode, done.stdout, done.stderr)

    names = list(hosts)
    if not names:
        return {}
    with ThreadPoolExecutor(min(len(names), _AT_ONCE)) as pool:
        return dict(zip(names, pool.map(on, names), strict=True))
