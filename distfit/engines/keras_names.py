"""Names of a Keras model's variables that are the same in every process."""

import re
from collections.abc import Iterable, Mapping


def named(paths: Iterable[str]) -> list[str]:
    """Return names for variables by their paths in Keras.

    Keras numbers what has no name of the user's through the whole process, so that the same model is ``sequential_3``
    on one rank and ``sequential_5`` on another that has made more models before. Here each part of a path is numbered
    among those beside it, in the order of the variables; and the first part, the model's own, is left out where all
    share it.

    Args:
        paths: all different.

    Example:
        >>> named(["net_4/dense_8/kernel", "net_4/dense_8/bias", "net_4/dense_9/kernel"])
        ['dense/kernel', 'dense/bias', 'dense_1/kernel']
    """
    split = [path.split("/") for path in paths]
    if len({parts[0] for parts in split if len(parts) > 1}) == 1:
        split = [parts[1:] if len(parts) > 1 else parts for parts in split]
    known: dict[tuple[str, ...], str] = {}
    counts: dict[tuple[str, str], int] = {}
    names = []
    for parts in split:
        name = ""
        for depth, part in enumerate(parts, start=1):
            place = tuple(parts[:depth])
            if place not in known:
                kind = re.sub(r"_\d+$", "", part)
                number = counts.get((name, kind), 0)
                counts[name, kind] = number + 1
                known[place] = f"{name}/{kind}_{number}" if number else f"{name}/{kind}"
            name = known[place]
        names.append(name.removeprefix("/"))
    return names


def named_by_weight(paths: Iterable[str], weights: Mapping[str, str]) -> list[str]:
    """Return names for an optimizer's variables: what they are, and of which weight.

    Args:
        paths: in Keras.
        weights: the names of the model's weights, by their paths.

    Example:
        >>> weights = {"net_4/dense_8/kernel": "dense/kernel"}
        >>> named_by_weight(["adam_3/iteration", "adam_3/net_4_dense_8_kernel_momentum"], weights)
        ['iteration', 'momentum/dense/kernel']
    """
    names = []
    for path in paths:
        own = path.rpartition("/")[2]
        of = [weight for weight in weights if own.startswith(f"{weight.replace('/', '_')}_")]
        weight = max(of, key=len, default="")
        names.append(f"{own[len(weight) + 1 :]}/{weights[weight]}" if weight else own)
    return names
