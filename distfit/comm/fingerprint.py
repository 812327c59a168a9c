"""Whether all ranks hold the same, told by a sum: what a small message can carry of something long."""

from collections.abc import Sequence

from distfit.comm.phase import key_of

FINGERPRINT = 3
"""How many numbers a fingerprint takes."""


def fingerprint(text: str) -> list[float]:
    """Return numbers whose sums over ranks tell `all_equal` whether the ranks had the same text."""
    key = key_of(text)
    return [1.0, float(key), float(key * key)]


DIGEST_FINGERPRINT = 2 * FINGERPRINT
"""How many numbers the fingerprint of a digest takes."""


def digest_fingerprint(digest: int) -> list[float]:
    """Return numbers whose sums over ranks tell `digests_equal` whether the ranks had the same digest of 32 bits.

    All its bits are in it, in two halves whose squares' sums are exact; nothing is added to what the digest misses.
    """
    return [
        number
        for half in (digest >> 16, digest & 0xFFFF)
        for number in (1.0, float(half), float(half * half))
    ]


def digests_equal(sums: Sequence[float]) -> bool:
    """Say whether the ranks whose digests' fingerprints were summed had the same digest."""
    return all_equal(sums[:FINGERPRINT]) and all_equal(sums[FINGERPRINT:])


def all_equal(sums: Sequence[float]) -> bool:
    """Say whether the ranks whose fingerprints were summed had the same text; true of none.

    ``n * sum(k * k) == sum(k) ** 2`` holds if and only if all `k` are equal: the equality case of Cauchy and Schwarz.
    Two texts have equal keys once in a million.
    """
    count, total, squares = sums
    return count * squares == total * total
