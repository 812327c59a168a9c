"""The start of an operation: all ranks hold the same model and fitting data, and continue from root's weights."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distfit.comm import Communicator
from distfit.data import Feed, Inputs
from distfit.errors import DataMismatch, ModelTorn
from distfit.training.feeds import Batching, check_local, make_feed
from distfit.utils.heap import keep_freed_memory

if TYPE_CHECKING:
    from distfit.training.model import Model


@dataclass(frozen=True, slots=True)
class Start:
    """What an operation begins with.

    Attributes:
        feeds: the global batches of each data set, by its name.
        verbose: how much is shown, on all ranks what root was told: 0, 1 or 2.
        data: describes the first data set and its batches, as text by name.
    """

    feeds: dict[str, Feed]
    verbose: int
    data: dict[str, str]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let the feeds read for the block. Behind it no thread reads, whether it ended well or with an error."""
        with ExitStack() as stack:
            for feed in self.feeds.values():
                stack.enter_context(feed)
            yield


@dataclass(frozen=True, slots=True)
class Description:
    """What a rank brings to an operation, as text that is compared.

    Attributes:
        same: by name, what has to be equal on all ranks.
        arrays: the same of each data set's arrays, by its name and theirs.
        rows: how many rows this rank's data have, by name of the data set.
        stale: whether this rank's weights may differ from root's.
        is_new: whether this rank's optimizer is new.
        torn: whether an update failed half-way here.
        verbose: what this rank was told to show: 0, 1 or 2.
    """

    same: dict[str, str]
    arrays: dict[str, dict[str, str]]
    rows: dict[str, int]
    stale: bool
    is_new: bool
    torn: bool
    verbose: int

    def texts(self) -> dict[str, str]:
        """Return all that has to be equal."""
        arrays = {
            f"{name}{array}": text for name, texts in self.arrays.items() for array, text in texts.items()
        }
        return {**self.same, **arrays}


TORN = (
    "an update of the weights failed half-way, so that they are neither old nor new: restore them with load_weights or"
    " set_weights"
)


def begin(
    model: Model,
    data: dict[str, tuple[Inputs | None, Batching]],
    settings: dict[str, object],
    verbose: Any = 0,
) -> Start:
    """Begin an operation: check what can be checked alone, agree with the others, and cut the data into batches.

    Args:
        model: the model.
        data: data sets and how they are cut, by name; the first one tells the shape of the model's input.
        settings: arguments that have to be equal on all ranks, by name.
        verbose: as in `fit`; root's holds for all ranks.

    Raises:
        DataMismatch, ValueError: on all ranks.

    Ranks: every rank of `model.comm.current`, within an operation.
    """
    keep_freed_memory()
    model.update.unsettle()  # between two operations anybody may have written weights
    comm = model.comm.current
    present = {
        name: (inputs, batching.suited_to(inputs))
        for name, (inputs, batching) in data.items()
        if inputs is not None
    }
    for inputs, batching in present.values():
        batching.check()
        check_local(inputs, comm, model.comm)
        if inputs.source is not None:
            model.prepare(inputs.source.row_shapes())
    settings = {
        **settings,
        "what compile was given": model.describe_compiled(),
        **{f"{name}batch_size and steps": batching for name, (_, batching) in present.items()},
    }
    shown = 1 if verbose == "auto" else int(verbose)
    if shown == 1 and not sys.stdout.isatty():
        shown = 2  # a bar would be seen by nobody, but its batch hook costs a message a step
    described = agree_on_start(
        model, comm, describe(model, {name: inputs for name, (inputs, _) in present.items()}, settings, shown)
    )
    feeds = {
        name: make_feed(inputs, [one.rows.get(name, 0) for one in described], batching, comm)
        for name, (inputs, batching) in present.items()
    }
    name, (inputs, batching) = next(iter(present.items()))
    return Start(feeds, described[0].verbose, _describe_data(name, inputs, batching, described))


def _describe_data(
    name: str, inputs: Inputs, batching: Batching, described: list[Description]
) -> dict[str, str]:
    """Return what a training depends on besides the model, by which a later one knows whether it may go on with it."""
    text = {"batch_size and steps": repr(batching), "class_weight": repr(inputs.class_weight)}
    if inputs.source is None:
        return {
            **text,
            "iterable": f"one of each of {len(described)} ranks" if inputs.local else "one for all ranks",
        }
    rows = [one.rows[name] for one in described]
    return {**text, "rows": str(sum(rows) if inputs.local else rows[0]), **described[0].arrays[name]}


def describe(model: Model, data: dict[str, Inputs], settings: dict[str, object], verbose: int) -> Description:
    """Describe what this rank brings.

    Args:
        model: the model.
        data: data sets by name, such as ``""`` and ``"validation "``.
        settings: arguments that have to be equal.
        verbose: how much is to be shown.

    Ranks: local; reads a few rows of each array.
    """
    model.shared_state.check()
    same = {"the model": model.engine.describe()}
    same.update({name: repr(value) for name, value in settings.items()})
    rows, arrays = {}, {}
    for name, inputs in data.items():
        if inputs.source is None:
            continue
        rows[name] = len(inputs.source)
        arrays[name] = inputs.source.describe(sample=not inputs.local)
    shared = model.shared_state
    return Description(same, arrays, rows, shared.stale, shared.is_new, model.progress.torn, verbose)


def agree_on_start(model: Model, comm: Communicator, mine: Description) -> list[Description]:
    """Compare what the ranks bring, and share root's weights and seed where they may differ.

    Returns:
        What each rank brings, in rank order.

    Raises:
        DataMismatch: on all ranks, naming rank and array.
        ModelTorn: on all ranks, after an update that failed half-way, until weights are written.

    Ranks: every rank of `comm`; two small messages and a few hundred bytes a rank, and root's weights if need be.
    """
    described = comm.all_gather_object(mine)
    for rank, other in enumerate(described):
        _compare(described[0], other, rank)
    # Weights that a user wrote on root are whole, and replace what is torn elsewhere.
    if described[0].torn or (any(one.torn for one in described) and not described[0].stale):
        raise ModelTorn(TORN)
    if any(one.stale for one in described):
        model.shared_state.broadcast(comm, is_new=all(one.is_new for one in described))
    return described


def _compare(root: Description, other: Description, rank: int) -> None:
    """Raise if another rank brings something else than root. Every rank compares all, and so raises the same."""
    of_root, of_other = root.texts(), other.texts()
    for name in {**of_root, **of_other}:
        here, there = of_root.get(name, "missing"), of_other.get(name, "missing")
        if here != there:
            raise DataMismatch(
                f"ranks differ in {name}:\n    rank 0 has {_short(here)}\n    rank {rank} has {_short(there)}\nAll"
                " ranks have to be given the same. Data of which each rank holds its own part go into data.LocalPart"
            )


def _short(text: str) -> str:
    return text if len(text) < 400 else f"{text[:400]} …"
