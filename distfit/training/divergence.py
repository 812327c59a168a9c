"""Whether all ranks still hold the same model, and what is done where they do not.

Ranks start from root's weights and make equal updates, each machine for itself, or each rank: so they stay equal to the
last bit, unless something changes them on one rank alone, or one processor rounds otherwise than another. Neither is
seen in the logs.
So the ranks compare a digest of 32 bits now and then, in one small message. Only where it differs do they send root's
copy, look how far they are apart, and continue from root's, or raise.
"""

from __future__ import annotations

import math
import warnings
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from distfit.comm import Phase, digest_fingerprint, digests_equal, key_of
from distfit.errors import RankDivergence

if TYPE_CHECKING:
    from distfit.training.model import Model

ROUNDING = {"float32": 1e-6, "float64": 1e-13}
"""How far apart ranks may be for it to be rounding, relative to the largest value of a weight, by dtype."""

_MOST_LINES = 5
_POINT = "the comparison of the ranks' weights"


@dataclass(frozen=True, slots=True)
class Drift:
    """How far something of this rank's is from root's.

    Attributes:
        what: such as ``"dense/kernel"``, ``"momentum of dense/kernel"`` or ``"learning_rate"``.
        size: the largest difference, relative to the largest value.
        rounding: the size up to which it is taken for rounding.
    """

    what: str
    size: float
    rounding: float


class Divergence:
    """Compares what every rank holds an equal copy of, and does what `compile` was told where copies differ.

    Args:
        model: what is trained.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._has_warned = False

    def check_step(self) -> None:
        """Compare, if it is the turn of this step.

        Ranks: as `check`.
        """
        every = self._model.compiled.divergence_every
        if every is not None and self._model.progress.step % every == 0:
            self.check()

    def check(self) -> None:
        """Compare digests, and see to it that all ranks hold the same.

        Raises:
            RankDivergence: on all ranks, if they differ by more than rounding, and are not to be healed.

        Ranks: every rank; one small message. Where ranks differ, root's copy and a few hundred bytes.
        """
        comm = self._model.comm
        if comm.is_alone or self._model.compiled.on_divergence == "ignore":
            return
        digest = self._digest()
        payload = np.array(digest_fingerprint(digest))
        agreed = comm.agreement.agree(Phase.POINT, payload, key=key_of(_POINT), name=_POINT)
        if not digests_equal(agreed.sums.tolist()):
            self._resolve(digest)

    def _digest(self) -> int:
        shared = self._model.shared_state
        digest = zlib.crc32(repr(shared.scalars()).encode())
        for array in shared.arrays().values():
            digest = zlib.crc32(array.data, digest)
        return digest

    def _resolve(self, digest: int) -> None:
        """Look how far the ranks are apart, and continue from root's copy, or raise.

        Each transfer below has an agreement of its own in front: code between them may fail like any other.

        Ranks: every rank, of which at least two differ.
        """
        comm, on_divergence = self._model.comm, self._model.compiled.on_divergence
        digests, drifts = zip(*comm.all_gather_object((digest, self._drifts())), strict=True)
        by_rank = [(drift, rank) for rank, found in enumerate(drifts) for drift in found]
        is_rounding = all(drift.size <= drift.rounding for drift, _ in by_rank)
        text = self._describe(odd_ranks(list(digests)), by_rank)
        if not is_rounding and on_divergence == "raise":
            raise RankDivergence(
                f"{text}\nRanks make equal updates, so something was changed on one of them alone: weights that were"
                " written there, a learning rate that was set there, or memory that failed. What one rank decides for"
                " all belongs to a callback with ranks = 'root'. compile(on_divergence='heal') continues from root's."
            )
        comm.reach("the healing of ranks that drifted apart")
        self._model.shared_state.broadcast(comm)
        if comm.is_root and not (is_rounding and self._has_warned):
            self._has_warned = True
            cause = " That is rounding, as by processors of two kinds in one job." if is_rounding else ""
            warnings.warn(f"{text}\nAll ranks continue from root's.{cause}", stacklevel=2)

    def _drifts(self) -> list[Drift]:
        """Compare what this rank holds with root's copy.

        Ranks: every rank; root's copy of everything.
        """
        shared, comm = self._model.shared_state, self._model.comm
        engine = self._model.engine
        by_weight, whole = engine.places, {"": slice(None)}
        found = []
        for slot, array in shared.arrays().items():
            of_root = array.copy()
            comm.broadcast(of_root)
            rounding = ROUNDING.get(array.dtype.name, 0.0)
            for name, place in (by_weight if array.size == engine.parameters.size else whole).items():
                size = relative_difference(array[place], of_root[place])
                found.append(Drift(" of ".join(filter(None, (slot, name))), size, rounding))
        numbers = shared.scalars()
        for name, of_root in comm.broadcast_object(numbers).items():
            size = relative_difference(np.float64(numbers[name]), np.float64(of_root))
            found.append(Drift(name, size, ROUNDING["float64"]))
        return [drift for drift in found if drift.size > 0]

    def _describe(self, odd: list[int], by_rank: list[tuple[Drift, int]]) -> str:
        largest: dict[str, tuple[Drift, int]] = {}
        for drift, rank in by_rank:
            if drift.what not in largest or drift.size > largest[drift.what][0].size:
                largest[drift.what] = drift, rank
        ordered = sorted(largest.values(), key=lambda pair: pair[0].size, reverse=True)
        lines = [
            f"    {drift.what}: relative difference {drift.size:.2g}, of rank {rank} to root"
            for drift, rank in ordered[:_MOST_LINES]
        ]
        if len(ordered) > _MOST_LINES:
            lines.append(f"    and {len(ordered) - _MOST_LINES} more")
        who = f"rank {odd[0]} does" if len(odd) == 1 else f"ranks {', '.join(map(str, odd))} do"
        step = self._model.progress.step
        return "\n".join(
            [f"the ranks have drifted apart: after step {step}, {who} not hold what the others hold:", *lines]
        )


def odd_ranks(digests: list[int]) -> list[int]:
    """Return the ranks that differ from most; where there are no most, those that differ from root.

    Example:
        >>> from distfit.training.divergence import odd_ranks
        >>> odd_ranks([7, 5, 5]), odd_ranks([7, 5])
        ([0], [1])
    """
    counts = Counter(digests)
    usual = max(counts, key=lambda digest: (counts[digest], digest == digests[0]))
    return [rank for rank, digest in enumerate(digests) if digest != usual]


def relative_difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference of two arrays, relative to the largest finite value in them.

    Two NaN at one place are equal. A number that is not finite in one of the arrays alone is infinitely far off.

    Example:
        >>> import numpy as np
        >>> from distfit.training.divergence import relative_difference
        >>> relative_difference(np.array([4.0, np.nan]), np.array([3.0, np.nan]))
        0.25
    """
    differ = (one != other) & ~(np.isnan(one) & np.isnan(other))
    if not differ.any():
        return 0.0
    pair = np.stack([one[differ], other[differ]]).astype(np.float64)
    if not np.isfinite(pair).all():
        return math.inf
    scale = max(float(np.abs(part[np.isfinite(part)]).max()) for part in (one, other))
    # Halves, since the difference of the two largest float64 is none.
    return float(2 * (np.abs(pair[0] / 2 - pair[1] / 2) / scale).max())
