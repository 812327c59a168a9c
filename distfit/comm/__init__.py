"""How ranks talk: a communicator, and the agreement that keeps any of them from waiting in vain."""

from distfit.comm import signals
from distfit.comm.agreement import CAPACITY, Agreed
from distfit.comm.communicator import Communicator
from distfit.comm.packing import pack, unpack
from distfit.comm.phase import Phase, key_of

__all__ = ["CAPACITY", "Agreed", "Communicator", "Phase", "key_of", "pack", "signals", "unpack"]
