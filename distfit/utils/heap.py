"""Memory that a process has freed, kept for its next arrays.

A step of training makes and frees the same arrays as the step before. glibc gives large ones back to the system, which
hands out zeroed pages again, one fault for each 4 kB: of a small convolutional network's step that was a quarter.
"""

import contextlib
import ctypes
import functools
import os

# Of mallopt(3): from which size on an array is mapped by itself, and how much free memory at the heap's end is kept.
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
_MOST, _MOST_BEFORE = 2**31 - 1, 2**25
_OWN_WAYS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process keep what it frees, and say whether that was possible.

    It keeps about as much as it once had in use at the same time. Whoever tells glibc otherwise by its own variables,
    or loads another allocator, is left alone.

    Ranks: local; the first call counts.
    """
    if any(name in os.environ for name in _OWN_WAYS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    # Older versions refuse so much. The other threshold alone would keep this one from growing by itself.
    accepted = mallopt(_M_MMAP_THRESHOLD, _MOST) or mallopt(_M_MMAP_THRESHOLD, _MOST_BEFORE)
    return bool(accepted) and bool(mallopt(_M_TRIM_THRESHOLD, _MOST))


def give_back_freed_memory() -> None:
    """Give what is free now back to the system, after something large was freed that will not be needed again.

    Ranks: local.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
