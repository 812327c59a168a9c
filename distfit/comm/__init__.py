"""How ranks talk: a communicator, and the agreement that keeps any of them from waiting in vain."""

from distfit.comm import signals
from distfit.comm.agreement import CAPACITY, RIDERS, Agreed
from distfit.comm.communicator import Communicator
from distfit.comm.fingerprint import FINGERPRINT, all_equal, digest_fingerprint, digests_equal, fingerprint
from distfit.comm.packing import pack, unpack
from distfit.comm.patience import EXIT_STALLED, set_patience
from distfit.comm.phase import Phase, key_of

__all__ = [
    "CAPACITY", "EXIT_STALLED", "FINGERPRINT", "RIDERS", "Agreed", "Communicator", "Phase", "all_equal",
    "digest_fingerprint", "digests_equal", "fingerprint", "key_of", "pack", "set_patience", "signals", "unpack",
]  # fmt: skip
