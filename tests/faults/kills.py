"""The kill matrix: a training is killed at a random moment, and started again; it has to end as if nothing had been.

The moments are drawn from a seed, as the number of an event (a hook, a batch that is read, a file that is brought to
the disk), so that they are the same on each machine; half of them lie within the writing of a checkpoint.
"""

import json
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from faults import job
from faults.cases import IMPORT_S

from distfit.checkpoint import read_arrays

PROGRAM = Path(__file__).with_name("interrupted.py")
MOMENTS = 30
_SEED = 20
_QUICK = 8  # every so many of them are in `make test`
_LIMIT_S = 60.0
_ROUNDING = 1e-9
_SIZES = (1, 2, 3, 4)
_LAST_MOMENT = {"train": 1.0, "write": 0.5}
"""Where writing falls behind training, fewer checkpoints are written than in the training that was counted."""


@dataclass(frozen=True)
class Kill:
    """One training that is killed, and started again.

    Attributes:
        before: how many ranks it has.
        after: how many it is started again with.
        victims: which ranks are killed.
        watcher: the rank that counts events, and kills.
        kind: of the events: ``"train"`` or ``"write"``.
        moment: at which of them, as a part of all.
        engine: what computes the model: ``"numpy"`` or ``"torch"``.
    """

    before: int
    after: int
    victims: tuple[int, ...]
    watcher: int
    kind: str
    moment: float
    engine: str

    @property
    def name(self) -> str:
        """What tells it from the others."""
        who = "all" if len(self.victims) == self.before else f"rank {self.victims[0]}"
        where = "writing" if self.kind == "write" else "training"
        return f"{who} of {self.before} at {self.moment:.0%} of {where}, then {self.after} ranks"


def kills(engine: str, *, quick: bool) -> list[Kill]:
    """Draw all cases, or some of them."""
    return list(_draw(engine))[:: _QUICK if quick else 1]


def _draw(engine: str) -> Iterator[Kill]:
    draw = random.Random(_SEED)
    for number in range(MOMENTS):
        before = draw.choice((1, 2, 2, 3, 3, 4))
        # The same number, a smaller, a larger one; and all of them, or one.
        after = (
            before,
            draw.choice([n for n in _SIZES if n <= before]),
            draw.choice([n for n in _SIZES if n >= before]),
        )
        victims = tuple(range(before)) if number % 4 == 3 else (draw.randrange(before),)
        kind = ("train", "write")[number % 2]
        watcher = 0 if kind == "write" else draw.randrange(before)
        yield Kill(
            before, after[number % 3], victims, watcher, kind, draw.random() * _LAST_MOMENT[kind], engine
        )


@dataclass(frozen=True)
class Undisturbed:
    """A training that nobody killed.

    Attributes:
        folder: what it wrote.
        counts: how many events each rank had, by kind.
    """

    folder: Path
    counts: list[dict[str, int]]


def undisturbed(
    engine: str, sizes: Sequence[int], folder: Path, executor: Executor
) -> dict[int, Undisturbed]:
    """Train without a kill at each of some numbers of ranks."""
    trained = executor.map(lambda size: _start(engine, folder / f"{size}", size, 0, "train", -1, (0,)), sizes)
    return {
        size: Undisturbed(folder / f"{size}", json.loads(ended.output.splitlines()[-1]))
        for size, ended in zip(sizes, trained, strict=True)
    }


def _start(
    engine: str,
    folder: Path,
    size: int,
    watcher: int,
    kind: str,
    event: int,
    victims: tuple[int, ...],
) -> job.Ended:
    folder.mkdir(exist_ok=True)
    return job.run(
        [str(PROGRAM), engine, str(folder), str(watcher), kind, str(event), ",".join(map(str, victims))],
        size,
        limit_s=_LIMIT_S + IMPORT_S[engine],
    )


def faults_of(kill: Kill, expected: dict[int, Undisturbed]) -> list[str]:
    """Kill a training, start it again, and say in which ways it did not end as it has to; none if all is well."""
    folder = Path(tempfile.mkdtemp(prefix="kill-"))
    try:
        events = expected[kill.before].counts[kill.watcher][kill.kind]
        event = int(kill.moment * events)
        killed = _start(kill.engine, folder, kill.before, kill.watcher, kill.kind, event, kill.victims)
        if not killed.struck or killed.status in (0, None):
            return [f"it was not killed: status {killed.status}"]
        again = _start(kill.engine, folder, kill.after, 0, "train", -1, (0,))
        if again.status != 0:
            return [f"its second start ended with status {again.status}: {again.output[-2000:]}"]
        left = [f"it left {what}" for ended in (killed, again) for what in ended.left]
        is_same = partial(_is_same, exactly=kill.before == kill.after)
        return left + _differences(folder, expected[kill.after].folder, is_same)
    finally:
        shutil.rmtree(folder)


def _is_same(one: Path, other: Path, *, exactly: bool) -> bool:
    """Compare two files: bit by bit, or their numbers up to rounding."""
    if exactly or one.read_bytes() == other.read_bytes():
        return one.read_bytes() == other.read_bytes()
    if one.suffix == ".safetensors":
        (here, _), (there, _) = read_arrays(one), read_arrays(other)
        return here.keys() == there.keys() and all(
            np.allclose(here[name], there[name], rtol=_ROUNDING, atol=_ROUNDING) for name in here
        )
    numbers = [np.array(_numbers(path)) for path in (one, other)]
    return numbers[0].shape == numbers[1].shape and np.allclose(*numbers, rtol=_ROUNDING, atol=_ROUNDING)


def _numbers(path: Path) -> list[float]:
    """Return all numbers of a text, with the words between them as numbers, too."""
    words = path.read_text().translate(str.maketrans(",[]{}:\n", " " * 7)).split()
    return [float(word) if word[-1].isdigit() else float(sum(word.encode())) for word in words]


def _differences(folder: Path, expected: Path, is_same: "partial[bool]") -> list[str]:
    here, there = ({str(path.relative_to(top)) for path in top.rglob("*")} for top in (folder, expected))
    found = [f"{name} is left over" for name in sorted(here - there)]
    found += [f"{name} is missing" for name in sorted(there - here)]
    both = sorted(name for name in here & there if (folder / name).is_file())
    return found + [f"{name} differs" for name in both if not is_same(folder / name, expected / name)]
