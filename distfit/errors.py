"""What distfit raises. Each error says what was given, what was expected, and the remedy."""


class DistfitError(Exception):
    """Base of distfit's own errors."""


class RemoteError(BaseException):
    """Another rank failed. Also an instance of what that rank raised: `except OSError` catches on all ranks or none.

    It is no `Exception` by itself, so that a SystemExit of another rank passes `except Exception` here as there.

    Attributes:
        ranks: the ranks that failed, in rank order.
        remote_traceback: the first one's traceback, as text.
    """

    ranks: tuple[int, ...] = ()
    remote_traceback: str = ""


class RanksDiverged(DistfitError, RuntimeError):
    """Ranks are in different places of the program, and would have waited for each other for ever."""


class RankLeft(RanksDiverged):
    """A rank left the program while the others still wanted to work with it."""


class LaunchError(DistfitError, RuntimeError):
    """The program was started in a way that would train N lonely models."""


class CollectiveInRootHook(DistfitError, RuntimeError):
    """Something that all ranks have to do together was called where only some of them are."""


class DataMismatch(DistfitError, ValueError):
    """Ranks hold different data, models or callbacks."""


class ModelTorn(DistfitError, RuntimeError):
    """An update failed half-way: the weights are neither those of before the step nor of after it."""


class RankDivergence(DistfitError, RuntimeError):
    """Ranks no longer hold equal weights, or another equal state of the training."""


class NonFiniteNumbers(DistfitError, FloatingPointError):
    """The loss or the gradients of a step are NaN or infinite."""


class NotCompiled(DistfitError, ValueError):
    """The model has no loss or optimizer yet."""


class WouldNotFit(DistfitError, MemoryError):
    """A result is larger than the memory of the node that would have to hold it."""
