"""Python objects as bytes, on their way between the ranks of one job.

An object is packed before the agreement that announces it: one that cannot be packed is an error like any other there,
while behind it the other ranks would already wait for the bytes. Nothing that was packed comes from a file, or from
outside the job.
"""

import pickle  # noqa: TID251 - the other ranks are this very program
from typing import Any


def pack(value: Any) -> bytes:
    """Return an object as bytes.

    Raises:
        TypeError: if it cannot be sent, naming its type.

    Ranks: local.
    """
    try:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise TypeError(f"a {type(value).__name__} cannot be sent to other ranks: {error}") from error


def unpack(packed: bytes) -> Any:
    """Return the object that `pack` got."""
    return pickle.loads(packed)  # noqa: S301
