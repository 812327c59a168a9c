"""An optimizer over a flat arena: one pass, in chunks that fit the cache.

The parameters of a model lie side by side in one buffer, and so do their gradients and each of the
optimizer's slots. An update walks over them in chunks; all of a chunk's operations find its elements in the
cache, and work in place, with one scratch array of a chunk's length. Two kinds follow:
`ElementwiseOptimizer`, which need not know where a parameter ends, and `LayerwiseOptimizer`, which scales
each parameter's step by the norms of its weights and gradients.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from distfit.optimizers import arguments, clipping, moving_average, slots
from distfit.optimizers.arena import Chunk, Run, Step
from distfit.optimizers.parts import Arrays, Part, Segment, alone, check_inside, divide
from distfit.optimizers.schedules import LearningRateSchedule
from distfit.utils.configured import Configured


class Optimizer(Configured, ABC):
    """Base of all optimizers. A new one derives from `ElementwiseOptimizer` or `LayerwiseOptimizer`.

    An update is a pure function of parameters, gradients, slots, `iterations` and `learning_rate`, and its
    arithmetic has one order, so that ranks which make the same update each for itself keep equal weights.

    Args:
        learning_rate: a number, or a `schedules.LearningRateSchedule`.
        weight_decay: this one and all that follow are described at `OptimizerArguments`.

    Attributes:
        iterations: how many updates were made.
        built: whether there are slots yet.
        chunk_size: elements of a chunk. Five float32 arrays of 131,072 elements take 2.6 MB, about a core's
            cache; with smaller chunks the calls themselves begin to count.
        hyperparameters: attributes that a callback may change, which ranks then agree on.
        is_layerwise: whether the step at an element depends on others of its parameter.
        is_divided: whether machines hold parts of the state, so that what is written to it here might not count.
        is_in_parts: whether some of it is elsewhere now, so that `state` cannot be read here.
        restored: how many states were restored.

    Raises:
        ValueError: if more than one clip is set, or an argument is out of its range.

    Ranks: local, like all that an optimizer does.
    """

    chunk_size: ClassVar[int] = 131_072
    hyperparameters: ClassVar[tuple[str, ...]] = ("learning_rate", "weight_decay")
    is_layerwise: ClassVar[bool] = False

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:
        arguments.check_clips(clipnorm=clipnorm, clipvalue=clipvalue, global_clipnorm=global_clipnorm)
        arguments.check_average(ema_momentum, ema_overwrite_frequency)
        arguments.check_accumulation(gradient_accumulation_steps)
        self.name = name or type(self).__name__.lower()
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.iterations = 0
        self._learning_rate = arguments.check_learning_rate(learning_rate)
        self._undecayed: tuple[str, ...] = ()
        self._size = 0
        self._layout: tuple[Segment, ...] = ()
        self._whole = Part((), [])
        self._cuts: tuple[Arrays, Part, float | None, list[list[Chunk]]] | None = None
        self._slots: slots.Slots = {}
        self._scratch = np.empty(0)
        self._wide_scratch = np.empty(0)
        self.built = False
        self.is_divided = self.is_in_parts = False
        self.restored = 0

    @abstractmethod
    def slot_values(self) -> dict[str, float]:
        """Return the slots, arrays of the arena's size: their names, and what number each starts from."""

    @abstractmethod
    def arrange(self, runs: list[Run]) -> list[Run]:
        """Return the runs in which to update, given one for each parameter, in the arena's order."""

    @abstractmethod
    def update_run(self, chunks: list[Chunk], step: Step) -> None:
        """Update the weights and slots of one run, weight decay included, in place."""

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update. Where a schedule gives it, it cannot be set."""
        if isinstance(self._learning_rate, LearningRateSchedule):
            return float(self._learning_rate(self.iterations))
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule) -> None:
        checked = arguments.check_learning_rate(value)
        if self.scheduled and not isinstance(checked, LearningRateSchedule):
            raise TypeError(
                "This optimizer was created with a `LearningRateSchedule` object as its `learning_rate` "
                "argument, hence its learning rate is not settable. Make the optimizer with a float instead. "
                f"Received: {value!r}"
            )
        self._learning_rate = checked

    @property
    def is_new(self) -> bool:
        """Whether there was no update yet, and no state was restored."""
        return self.iterations == 0 and self.restored == 0

    @property
    def scheduled(self) -> bool:
        """Whether a schedule gives the learning rate."""
        return isinstance(self._learning_rate, LearningRateSchedule)

    def exclude_from_weight_decay(self, *, var_names: Sequence[str]) -> None:
        """Leave parameters out of weight decay.

        Args:
            var_names: parts of names: ``["bias"]`` stands for every parameter with ``bias`` in its name.

        Raises:
            ValueError: if the optimizer was built before.
        """
        if self.built:
            raise ValueError(
                "`exclude_from_weight_decay()` can only be configured before the optimizer is built: "
                f"call it before `compile`. Received: var_names={list(var_names)}"
            )
        self._undecayed = tuple(var_names)

    def build(self, size: int, dtype: np.dtype | type | str, segments: Sequence[Segment]) -> None:
        """Allocate the slots for an arena. Called again, for the same parameters or some of them, keep them.

        Args:
            size: of the arena, in elements.
            dtype: of the arena, float32 or float64.
            segments: the parameters to update. What lies in none of them, as a frozen parameter does, is left
                alone.

        Raises:
            ValueError: if segments overlap or leave the arena, or if slots of another arena are held already.
        """
        ordered = tuple(sorted(segments, key=lambda segment: segment.start))
        check_inside(ordered, size)
        if not self.built:
            self._allocate(size, np.dtype(dtype), ordered)
        elif (size, np.dtype(dtype)) != (self._size, self._scratch.dtype) or set(ordered) - set(self._layout):
            raise ValueError(
                f"{self.name} holds the state of {len(self._layout)} parameters in an arena of {self._size} "
                f"{self._scratch.dtype} elements. Received: {len(ordered)} parameters, not all of these, in "
                f"an arena of {size} {np.dtype(dtype)} elements. Make a new optimizer for another model"
            )
        self._cuts = None
        self._whole = self._part(ordered)

    def apply(
        self,
        parameters: np.ndarray,
        gradients: np.ndarray,
        divisor: float,
        *,
        gather: Callable[[slice], np.ndarray] | None = None,
    ) -> None:
        """Make one update, in place: clip the gradients, decay the weights, take the step, average.

        Args:
            parameters: the arena, ``(size,)``. Changed in the segments only.
            gradients: its gradients, ``(size,)``, summed over the global batch. Overwritten.
            divisor: what makes the sum a mean: the number of rows of the global batch.
            gather: as in `apply_part`.

        Raises:
            ValueError: if the optimizer is not built, or the arrays are not of the arena's size.
        """
        self._check_arena(parameters)
        self._check_arena(gradients)
        cuts = self._cuts  # a trainer brings the same arrays at every step
        known = cuts is not None and cuts[0].parameters is parameters and cuts[0].gradients is gradients
        arrays = cuts[0] if cuts is not None and known else Arrays(parameters, gradients, self._slots)
        self.apply_part(arrays, self._whole, divisor, gather=gather)

    def apply_part(
        self,
        arrays: Arrays,
        part: Part,
        divisor: float,
        *,
        gather: Callable[[slice], np.ndarray] | None = None,
        add_up: Callable[[float], float] = alone,
    ) -> None:
        """Make a rank's part of an update, of which all ranks that share the arrays make theirs.

        Args:
            arrays: that are changed.
            part: one of `divide`. Every rank counts the update, one without elements too.
            divisor: as in `apply`.
            gather: returns the gradients at a place, which are taken instead of those of `arrays`, and read before the
                next call; only where `is_one_pass`. The last places come first, as they do in a backward pass.
            add_up: returns the sum of the parts' numbers, for a norm that is taken over all of them.
        """
        scale = float(self._clip(arrays, part, 1.0 / float(divisor), add_up))
        step = Step(self.iterations + 1, self.learning_rate, scale)
        gradients_at = gather or arrays.gradients.__getitem__
        for chunks in reversed(self._cut(arrays, part)):
            for chunk in chunks:
                chunk.gradients = gradients_at(chunk.place)
            self.update_run(chunks, step)
            if self.use_ema:
                for chunk in chunks:
                    moving_average.accumulate(chunk, step, self.ema_momentum)
        self.iterations += 1
        if self.ema_overwrite_frequency and self.iterations % self.ema_overwrite_frequency == 0:
            moving_average.overwrite(arrays.parameters, arrays.slots, part.runs)

    @property
    def is_one_pass(self) -> bool:
        """Whether an update reads each gradient once, where it changes the weight: no clip, no norm comes before."""
        return not self.is_layerwise and self.clipvalue is self.clipnorm is self.global_clipnorm is None

    @property
    def takes_whole_parameters(self) -> bool:
        """Whether an update takes norms of whole parameters."""
        return self.is_layerwise or self.clipnorm is not None

    def divide(self, count: int) -> list[Part]:
        """Divide an update among ranks.

        Parameters are cut where the update allows it; where it takes norms of them, each is one rank's.

        Args:
            count: of the ranks.
        """
        parts = divide(self._whole.segments, count, whole=self.takes_whole_parameters)
        return [self._part(segments) for segments in parts]

    def take_slots(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the slots in other arrays from here on, which hold the same already.

        Args:
            arrays: one for each of `state`, of its shape and dtype.
        """
        self._slots = dict(arrays)
        self._cuts = None
        self.is_divided = False

    def swap_ema(self, parameters: np.ndarray) -> None:
        """Exchange the weights and their moving average. Before the first update it does nothing.

        Raises:
            ValueError: if the optimizer keeps no average.
        """
        if not self.use_ema:
            raise ValueError(f"{self.name} keeps no moving average of the weights. Make it with use_ema=True")
        if self.iterations:
            for run in self._whole.runs:
                part = slice(run.start, run.stop)
                moving_average.swap(parameters[part], self._slots[moving_average.SLOT][part])

    def finalize_ema(self, parameters: np.ndarray) -> None:
        """Put the moving average in the weights' place, if one is kept: at the end of training."""
        if self.use_ema and self.iterations:
            moving_average.overwrite(parameters, self._slots, self._whole.runs)

    def numbers(self) -> dict[str, float]:
        """Return the hyperparameters, by name. No weight decay is a weight decay of 0.0."""
        return {name: float(getattr(self, name) or 0.0) for name in self.hyperparameters}

    def set_numbers(self, numbers: Mapping[str, float]) -> None:
        """Set hyperparameters to what was agreed. A scheduled learning rate stays what it is."""
        present = self.numbers()
        for name, value in numbers.items():
            settable = not (name == "learning_rate" and self.scheduled)
            if settable and value != present[name]:
                setattr(self, name, float(value))

    @property
    def slot_arrays(self) -> Mapping[str, np.ndarray]:
        """The arrays of the state by name, for those who know which parts of them are held here."""
        return self._slots

    def state(self) -> dict[str, np.ndarray]:
        """Return the slots by name, to be read; `restore` replaces them. Arrays ``(size,)``; none before `build`.

        Raises:
            RuntimeError: if other machines have some of it.
        """
        if self.is_in_parts:
            raise RuntimeError(slots.IN_PARTS)
        return slots.read_only(self._slots) if self.is_divided else dict(self._slots)

    def scalars(self) -> dict[str, float]:
        """Return the numbers that belong to the state: `iterations` and the hyperparameters."""
        return {"iterations": float(self.iterations), **self.numbers()}

    def set_scalars(self, scalars: Mapping[str, float]) -> None:
        """Set what `scalars` returned."""
        numbers = dict(scalars)
        self.iterations = int(numbers.pop("iterations"))
        self.set_numbers(numbers)

    def settings(self) -> dict[str, Any]:
        """Return the present values of all other arguments, such as a momentum; and a schedule, where there is one."""
        values = vars(self)
        names = arguments.names_of(type(self), Optimizer)
        settings = {
            name: values[name] for name in names if name in values and name not in self.hyperparameters
        }
        return {**settings, "learning_rate": self._learning_rate} if self.scheduled else settings

    def set_settings(self, settings: Mapping[str, Any]) -> None:
        """Set what `settings` returned."""
        for name, value in settings.items():
            setattr(self, "_learning_rate" if name == "learning_rate" else name, value)

    def restore(self, arrays: Mapping[str, np.ndarray], scalars: Mapping[str, float]) -> None:
        """Take over a saved state.

        Args:
            arrays: what `state` returned.
            scalars: what `scalars` returned.

        Raises:
            ValueError: if slots are missing, unknown, or of another shape. Nothing is changed then.
        """
        slots.restore(self._slots, arrays)
        self.restored += 1
        self.is_in_parts = False
        self.set_scalars({name: scalars[name] for name in ("iterations", *self.hyperparameters)})

    def _allocate(self, size: int, dtype: np.dtype, ordered: tuple[Segment, ...]) -> None:
        values = self.slot_values() | ({moving_average.SLOT: 0.0} if self.use_ema else {})
        length = min(self.chunk_size, max(size, 1))
        self._slots = slots.allocate(values, size, dtype)
        self._scratch = np.empty(length, dtype)
        self._wide_scratch = np.empty(length, np.float64)
        self._layout, self._size = ordered, size
        self.built = True

    def _part(self, segments: Sequence[Segment]) -> Part:
        decay = [not any(part in segment.name for part in self._undecayed) for segment in segments]
        runs = [Run(s.start, s.stop, decays) for s, decays in zip(segments, decay, strict=True)]
        return Part(tuple(segments), self.arrange(runs))

    def _clip(self, arrays: Arrays, part: Part, scale: float, add_up: Callable[[float], float]) -> float:
        if self.clipvalue is self.clipnorm is self.global_clipnorm is None:
            return scale
        gradients = [arrays.gradients[segment.start : segment.stop] for segment in part.segments]
        limits = self.clipvalue, self.clipnorm, self.global_clipnorm
        return clipping.clip(gradients, scale, limits, self._wide_scratch, add_up)

    def _cut(self, arrays: Arrays, part: Part) -> list[list[Chunk]]:
        """Return what `update_run` gets, one after the other: it is cut once."""
        cuts = self._cuts
        if cuts is None or cuts[0] is not arrays or cuts[1] is not part or cuts[2] != self.weight_decay:
            runs = [self._chunks(run, arrays) for run in part.runs]
            # What needs nothing of its neighbours is finished while it is in the cache, its average included.
            chunks = runs if self.is_layerwise else [[chunk] for run in runs for chunk in run]
            self._cuts = cuts = (arrays, part, self.weight_decay, chunks)
        return cuts[3]

    def _chunks(self, run: Run, arrays: Arrays) -> list[Chunk]:
        decay = (self.weight_decay or 0.0) if run.decays else 0.0
        return [
            Chunk(
                arrays.parameters[place],
                arrays.gradients[place],
                {name: slot[place] for name, slot in arrays.slots.items()},
                self._scratch[: place.stop - place.start],
                decay,
                place,
            )
            for place in run.slices(self._scratch.size)
        ]

    def _check_arena(self, array: np.ndarray) -> None:
        if not self.built:
            raise ValueError(f"{self.name} has no slots yet. Call `build` first, as `compile` does")
        if array.shape != (self._size,):
            raise ValueError(
                f"{self.name} was built for an arena of shape ({self._size},). Received: shape {array.shape}"
            )
