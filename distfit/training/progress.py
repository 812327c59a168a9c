"""How far the training of a model has come: what a checkpoint has to hold besides the weights."""

from dataclasses import dataclass

from distfit.data import Batch


@dataclass(slots=True)
class Progress:
    """How far training has come.

    Attributes:
        seed: of everything random. Root's, on all ranks, from the first operation on.
        step: global batches since the start of training; untouched by `evaluate` and `predict`.
        initial_epoch: the number of the first epoch of `fit`. A callback that restores an interrupted training sets it
            in `on_train_begin`, beside the weights, with which it reaches all ranks.
        accumulated: global batches since the last update of the weights.
        weight: loss values in them, over all ranks.
        has_next: ranks that see another batch of the epoch; -1 before a step has told.
        hooks_came_before: whether something of the user's runs before a step, and may have decided something on some
            ranks: it then rides in the step's message.
        logs_are_read: whether something of the user's reads the logs of a step.
        asks_to_save: on root, whether a checkpoint is due behind the next step.
        is_to_save: whether root has said so in a step, since the last checkpoint; on all ranks.
        fetched: the batch that `fit` has fetched for the step under way, or None.
        torn: True while the weights change, and after an error in that.
    """

    seed: int
    step: int = 0
    initial_epoch: int = 0
    accumulated: int = 0
    weight: float = 0.0
    has_next: int = 0
    hooks_came_before: bool = True
    logs_are_read: bool = True
    asks_to_save: bool = False
    is_to_save: bool = False
    fetched: Batch | None = None
    torn: bool = False

    def forget_gradients(self) -> None:
        """Start a new sum of gradients: what an interrupted training has accumulated belongs to no update."""
        self.accumulated, self.weight = 0, 0.0
