"""Writes the course of training for TensorBoard."""

from __future__ import annotations

import os
import textwrap
import time
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np

from distfit.callbacks.batch_count import CountsBatches, batches_between
from distfit.callbacks.callback import Callback, Logs, Ranks
from distfit.callbacks.event_file import EventFile
from distfit.callbacks.weight_image import weight_image


class TensorBoard(CountsBatches, Callback):
    """Writes logs, and weights if asked to, to files that ``tensorboard --logdir logs`` shows.

    Args:
        log_dir: the folder of this training. Training writes to ``train`` within it, and validation to ``validation``.
        histogram_freq: after each so many epochs, the first one included, weights are written as histograms; 0 is
            never.
        write_graph: whether the table of the layers is written, as text. (TensorBoard's graphs are TensorFlow's.)
        write_images: whether weights are written as images, too, where histograms of them are.
        write_steps_per_second: whether the steps of a second are written, for each epoch, and where `update_freq` has
            batches, for these.
        update_freq: ``"epoch"`` writes after epochs alone, and costs no message in a step. ``"batch"``, or a number,
            writes the logs after each batch, or after so many, too.
        profile_batch: 0; a profile is that of TensorFlow's or JAX's kernels.
        embeddings_freq: 0; the projector reads TensorFlow's checkpoints.
        embeddings_metadata: None.

    The names are Keras's: ``epoch_loss`` over epochs, in both folders, with ``epoch_learning_rate`` and
    ``epoch_steps_per_second``; ``batch_loss`` and ``batch_steps_per_second`` over the batches since the start of `fit`;
    ``evaluation_loss_vs_iterations`` over the optimizer's updates, of each evaluation; ``dense/kernel/histogram`` and
    ``dense/kernel/image``. Unlike Keras's, `update_freq` has no say in what is written after epochs, and with
    ``steps_per_execution`` batches are counted, not calls.

    It needs the package tensorboardX: ``pip install 'distfit-mpi[tensorboard]'``.

    Raises:
        ImportError: when it is to write, without that package. On all ranks.
        ValueError: for a profile or embeddings, or another `update_freq`.

    Example:
        >>> from distfit import callbacks
        >>> board = callbacks.TensorBoard("logs/first", histogram_freq=1)
        >>> board.update_freq
        'epoch'

    Ranks: root. An error in writing is an error on all ranks.
    """

    ranks: Ranks = "root"
    state_names = ("_batches", "_last_batch")

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Literal["epoch", "batch"] | int = "epoch",
        profile_batch: int = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: None = None,
    ) -> None:
        if profile_batch:
            raise ValueError(
                "profile_batch is 0: distfit runs no kernels of TensorFlow or JAX that a profile could show."
                f" Received: {profile_batch!r}"
            )
        if embeddings_freq or embeddings_metadata is not None:
            raise ValueError(
                "embeddings_freq is 0 and embeddings_metadata None: TensorBoard's projector reads checkpoints of"
                f" TensorFlow. Received: {embeddings_freq!r} and {embeddings_metadata!r}"
            )
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = update_freq
        self._batches_between = batches_between("update_freq", update_freq, {"epoch": 0, "batch": 1})
        self._files: dict[str, EventFile] = {}
        self._has_graph = False
        self._epoch_start = self._last_write = (0, 0.0)
        if self._batches_between:
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self._files = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._begin_count()
        self._has_graph = False
        self._file("train")  # what cannot be written is better known now than after the first epoch

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:  # noqa: ARG002
        self._begin_epoch()
        now = time.perf_counter()
        self._epoch_start, self._last_write = (self.model.progress.step, now), (self._batches, now)

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        if not self._count(batch, self._batches_between):
            return
        values = _numbers(logs)
        if self.write_steps_per_second:
            values["steps_per_second"] = _per_second(self._batches, self._last_write)
            self._last_write = self._batches, time.perf_counter()
        self._write("train", "batch_{}", values, self._batches)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._write(
            "validation", "evaluation_{}_vs_iterations", _numbers(logs), self.model.optimizer.iterations
        )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        values = _numbers(logs)
        validated = {key: values.pop(key) for key in list(values) if key.startswith("val_")}
        values["learning_rate"] = self.model.optimizer.learning_rate
        if self.write_steps_per_second:
            values["steps_per_second"] = _per_second(self.model.progress.step, self._epoch_start)
        self._write("train", "epoch_{}", values, epoch)
        self._write(
            "validation",
            "epoch_{}",
            {key.removeprefix("val_"): value for key, value in validated.items()},
            epoch,
        )
        if self.write_graph and not self._has_graph:
            self._write_layers()
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)

    def _file(self, folder: Literal["train", "validation"]) -> EventFile:
        if folder not in self._files:
            self._files[folder] = EventFile(Path(self.log_dir) / folder)
        return self._files[folder]

    def _write(
        self, folder: Literal["train", "validation"], tag: str, values: dict[str, float], step: int
    ) -> None:
        if values:
            self._file(folder).scalars({tag.format(name): value for name, value in values.items()}, step)

    def _write_layers(self) -> None:
        self._has_graph = True
        lines: list[str] = []
        self.model.summary(print_fn=lines.append)
        self._file("train").text("model", textwrap.indent("\n".join(lines), "    "), 0)

    def _write_weights(self, epoch: int) -> None:
        file = self._file("train")
        for variable in self.model.engine.variables:
            finite = variable.value[np.isfinite(variable.value)]
            if finite.size:
                file.histogram(f"{variable.name}/histogram", finite, epoch)
            image = weight_image(variable.value) if self.write_images else None
            if image is not None:
                file.image(f"{variable.name}/image", image, epoch)


def _numbers(logs: Logs | None) -> dict[str, float]:
    return {key: float(value) for key, value in (logs or {}).items() if isinstance(value, Real)}


def _per_second(count: int, before: tuple[int, float]) -> float:
    """Return by how much a count has grown in a second, on average since a count and a time before."""
    count_before, time_before = before
    return (count - count_before) / max(time.perf_counter() - time_before, 1e-9)
