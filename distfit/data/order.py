"""The order in which an epoch visits the rows: a pure function, equal on all ranks, that nobody has to hold."""

from dataclasses import dataclass

import numpy as np

_ROUNDS = 6
_MASK_64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Order:
    """A permutation of the rows for each epoch.

    A Feistel network over the bits of the row's number permutes the next power of two; a place that falls beyond the
    last row is permuted again until it does not ("cycle walking": Black and Rogaway, "Ciphers with arbitrary finite
    domains", 2002). So any slice of the order costs memory for that slice alone: a billion rows are no list.

    Attributes:
        length: how many rows there are.
        seed: of the permutation. Unused without shuffling.
        shuffle: False for ascending order.

    Ranks: local; a pure function of seed and epoch.

    Example:
        >>> from distfit.data import Order
        >>> sorted(Order(5, seed=1).rows(epoch=0, start=0, stop=5).tolist())
        [0, 1, 2, 3, 4]
        >>> Order(10**9, seed=1).rows(epoch=3, start=500, stop=503).size
        3
    """

    length: int
    seed: int = 0
    shuffle: bool = True

    def rows(self, epoch: int, start: int, stop: int) -> np.ndarray:
        """Return the numbers of the rows at places `start` to `stop` of an epoch's order, as int64."""
        places = np.arange(start, min(stop, self.length), dtype=np.int64)
        if not self.shuffle or self.length < 2:
            return places
        bits = (self.length - 1).bit_length()
        keys = _round_keys(self.seed, epoch)
        rows = _permute(places.astype(np.uint64), bits, keys)
        outside = np.flatnonzero(rows >= self.length)
        while outside.size:
            rows[outside] = _permute(rows[outside], bits, keys)
            outside = outside[rows[outside] >= self.length]
        return rows.astype(np.int64)


def _permute(values: np.ndarray, bits: int, keys: np.ndarray) -> np.ndarray:
    """Permute numbers of `bits` bits: each half is changed by a function of the other, which can be undone."""
    low_bits = np.uint64(bits // 2)
    low_mask = np.uint64((1 << (bits // 2)) - 1)
    high_mask = np.uint64((1 << (bits - bits // 2)) - 1)
    low: np.ndarray = values & low_mask
    high: np.ndarray = values >> low_bits
    hashed = np.empty_like(values)
    for for_low, for_high in keys:
        low ^= np.bitwise_and(_hash(high, for_low, hashed), low_mask, out=hashed)
        high ^= np.bitwise_and(_hash(low, for_high, hashed), high_mask, out=hashed)
    high <<= low_bits
    high |= low
    return high


def _hash(values: np.ndarray, key: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Hash numbers of up to 32 bits to 32 bits, of any two of them independently.

    That the lowest bits differ as those of a random function do matters where a half has one or two of them. This is
    multiply-shift with random factor and summand (Dietzfelbinger, "Universal hashing and k-wise independent random
    variables via integer arithmetic without primes", 1996).
    """
    factor, summand = key
    np.multiply(values, factor, out=out)
    out += summand
    out >>= np.uint64(32)
    return out


def _round_keys(seed: int, epoch: int) -> np.ndarray:
    state = np.random.SeedSequence([seed & _MASK_64, epoch]).generate_state(4 * _ROUNDS, np.uint64)
    return state.reshape(_ROUNDS, 2, 2)
