"""Digests of 32 bits in a message: equal if and only if they are on all ranks."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distfit.comm import digest_fingerprint, digests_equal

DIGESTS = st.integers(0, 2**32 - 1)


def summed(digests):
    return np.sum([digest_fingerprint(digest) for digest in digests], axis=0).tolist()


@given(st.lists(DIGESTS, min_size=1, max_size=8))
def test_equal_digests_are_told_from_others(digests):
    assert digests_equal(summed(digests)) == (len(set(digests)) == 1)


@given(DIGESTS, st.integers(0, 31), st.integers(2, 64))
def test_one_bit_on_one_rank_is_seen(digest, bit, ranks):
    others = [digest] * (ranks - 1)
    assert digests_equal(summed([*others, digest]))
    assert not digests_equal(summed([*others, digest ^ (1 << bit)]))
