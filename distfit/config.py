"""The floating-point type in which layers compute: float32 unless the user says otherwise."""

_KNOWN = ("float32", "float64")
_floatx = "float32"


def floatx() -> str:
    """Return the type of new weights and of what layers compute, ``"float32"`` or ``"float64"``.

    Ranks: local.

    Example:
        >>> from distfit import config
        >>> config.floatx()
        'float32'
    """
    return _floatx


def set_floatx(value: str) -> None:
    """Set the floating-point type of everything that is made from here on.

    Args:
        value: ``"float32"`` or ``"float64"``.

    Raises:
        ValueError: for any other value.

    Ranks: local; every rank has to set the same, which the start of `fit` checks.
    """
    global _floatx
    if value not in _KNOWN:
        raise ValueError(f"floatx is one of {', '.join(_KNOWN)}. Received: {value!r}")
    _floatx = value
