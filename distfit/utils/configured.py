"""Objects that remember how they were made, so that a model can be written down and made again."""

import inspect
from typing import Any, TypeVar

T = TypeVar("T", bound="Configured")


class Configured:
    """Base of everything that a saved model names: layers, losses, metrics, optimizers, initializers.

    The arguments of the constructor are recorded as they were given, so that no subclass, a user's own included,
    has to write `get_config`.

    Example:
        >>> from distfit import optimizers
        >>> optimizers.SGD(0.1, momentum=0.9).get_config()["momentum"]
        0.9
    """

    _arguments: dict[str, Any]

    def __new__(cls: type[T], *args: Any, **kwargs: Any) -> T:
        instance = super().__new__(cls)
        try:
            bound = inspect.signature(cls.__init__).bind(instance, *args, **kwargs)
        except TypeError:
            instance._arguments = {}  # Python's own error follows from __init__, with the right names
            return instance
        arguments = dict(list(bound.arguments.items())[1:])
        for name, parameter in bound.signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                arguments.update(arguments.pop(name, {}))
            elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                arguments.pop(name, None)
        instance._arguments = arguments
        return instance

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal object: ``type(self)(**self.get_config())``."""
        return dict(self._arguments)

    @classmethod
    def from_config(cls: type[T], config: dict[str, Any]) -> T:
        """Make an object from what `get_config` returned."""
        return cls(**config)


def describe(value: Any) -> str:
    """Return a value as text without addresses: equal for equal values, in whichever process."""
    if isinstance(value, Configured):
        return f"{type(value).__name__}({describe(value.get_config())})"
    if isinstance(value, dict):
        return ", ".join(f"{name}={describe(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(describe, value))}]"
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    return str(getattr(value, "__qualname__", type(value).__qualname__))
