"""How ranks talk: a communicator, and the agreement that keeps any of them from waiting in vain."""

from distfit.comm import signals
from distfit.comm.agreement import CAPACITY, Agreed
from distfit.comm.communicator import Communicator
from distfit.comm.fingerprint import FINGERPRINT, all_equal, digest_fingerprint, digests_equal, fingerprint
from distfit.comm.packing import pack, unpack
from distfit.comm.phase import Phase, key_of

__all__ = [
    "CAPACITY", "FINGERPRINT", "Agreed", "Communicator", "Phase", "all_equal", "digest_fingerprint", "digests_equal",
    "fingerprint", "key_of", "pack", "signals", "unpack",
]  # fmt: skip
