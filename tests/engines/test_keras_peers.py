"""KerasModel beside Keras: what its own fit gives in one process, any number of ranks gives."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from distfit import KerasModel, Model, callbacks
from distfit.comm import Communicator

# Keras's own, of its variables under NumPy 2.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

FEATURES, CLASSES, ROWS = 5, 3, 103
OPTIONS: dict[str, Any] = {"batch_size": 32, "epochs": 4, "shuffle": False, "verbose": 0}


@pytest.fixture(autouse=True)
def in_single_precision() -> None:
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def folder(comm: Communicator | None, tmp_path: Path) -> Path | None:
    """One folder for all ranks: root's."""
    return None if comm is None else comm.broadcast_object(tmp_path)


def rows() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    classes = generator.integers(0, CLASSES, ROWS)
    x = generator.normal(size=(ROWS, FEATURES)).astype(np.float32)
    x[np.arange(ROWS), classes] += 1
    return x, np.eye(CLASSES, dtype=np.float32)[classes]


def network(**compiled: Any) -> keras.Model:
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.Dense(16, activation="relu", kernel_regularizer="l2"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    metrics = ["accuracy", keras.metrics.AUC(name="auc"), keras.metrics.F1Score(name="f1", average="macro")]
    options = {
        "loss": "categorical_crossentropy",
        "metrics": metrics,
        "optimizer": keras.optimizers.Adam(0.02),
    }
    model.compile(**{**options, **compiled})
    return model


def assert_close(history: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(history) >= set(expected)
    for key, values in expected.items():
        np.testing.assert_allclose(history[key], values, rtol=1e-5, atol=1e-6, err_msg=key)


@pytest.mark.ranks(1, 2, 3)
def test_history_with_metrics_and_callbacks_of_keras(
    comm: Communicator, folder: Path, tmp_path: Path
) -> None:
    def callbacks_in(where: Path) -> list[Any]:
        plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=0, min_delta=0.2)
        best = keras.callbacks.ModelCheckpoint(
            where / "best.keras", monitor="val_auc", mode="max", save_best_only=True
        )
        each = keras.callbacks.ModelCheckpoint(where / "{epoch}.weights.h5", save_weights_only=True)
        return [plateau, best, each]

    x, y = rows()
    validation = {"validation_data": (x[:50], y[:50])}
    alone = network()
    expected = alone.fit(x, y, callbacks=callbacks_in(tmp_path), **OPTIONS, **validation).history
    model = KerasModel(network(), comm=comm)
    there = folder / "distfit"
    history = model.fit(x, y, callbacks=callbacks_in(there), **OPTIONS, **validation).history
    assert_close(history, expected)
    assert len(set(expected["learning_rate"])) > 1
    for weight, other in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(weight, other, rtol=1e-4, atol=1e-5)
    for weight, other in zip(model.engine.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)  # the user's own model has learned it
    if comm.is_root:
        assert sorted(path.name for path in there.iterdir()) == sorted(
            path.name for path in tmp_path.iterdir() if path != there
        )
        ours, keras_own = (keras.models.load_model(where / "best.keras") for where in (there, tmp_path))
        np.testing.assert_allclose(
            ours.predict(x, verbose=0), keras_own.predict(x, verbose=0), rtol=1e-4, atol=1e-5
        )


@pytest.mark.ranks(1, 3)
@pytest.mark.parametrize(
    "compiled",
    [
        {
            "optimizer": keras.optimizers.SGD(
                keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5), momentum=0.9
            )
        },
        {"optimizer": keras.optimizers.AdamW(0.01, global_clipnorm=0.1, weight_decay=0.1)},
        {"optimizer": keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)},
        {"optimizer": keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)},
        {"loss": keras.losses.CategoricalCrossentropy(label_smoothing=0.1)},
        {"loss": keras.losses.CategoricalCrossentropy(reduction="mean_with_sample_weight")},
    ],
    ids=["schedule", "clipped and decayed", "ema", "accumulation", "smoothing", "by weight"],
)
def test_what_it_was_compiled_with(comm: Communicator, compiled: dict[str, Any]) -> None:
    def fresh() -> dict[str, Any]:
        return {name: type(one).from_config(one.get_config()) for name, one in compiled.items()}

    x, y = rows()
    weights = np.random.default_rng(0).uniform(0.5, 2, ROWS).astype(np.float32)
    alone, model = network(**fresh()), KerasModel(network(**fresh()), comm=comm)
    expected = alone.fit(x, y, sample_weight=weights, **OPTIONS).history
    history = model.fit(x, y, sample_weight=weights, **OPTIONS).history
    if getattr(compiled.get("loss"), "reduction", "") == "mean_with_sample_weight":
        del expected["loss"]  # Keras's is a mean of batches by rows, though each is one by weights
    assert_close(history, expected)
    for weight, other in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(weight, other, rtol=1e-4, atol=1e-5)


@pytest.mark.ranks(2)
def test_files_go_both_ways(comm: Communicator, folder: Path) -> None:
    x, y = rows()
    model = KerasModel(network(), comm=comm)
    model.fit(x, y, **OPTIONS)
    for name in ("whole.keras", "m.weights.h5", "m.safetensors"):
        model.save_weights(folder / name) if "weights" in name or "safe" in name else model.save(
            folder / name
        )
        other = KerasModel(network(), comm=comm)
        other.load_weights(folder / name)
        for weight, expected in zip(other.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, expected)
    with pytest.raises(OSError, match="there already"):
        model.save(folder / "whole.keras", overwrite=False)


@pytest.mark.ranks(1, 2)
def test_callbacks_of_both_kinds_side_by_side(comm: Communicator, folder: Path) -> None:
    x, y = rows()
    stop = keras.callbacks.EarlyStopping(monitor="loss", patience=0, min_delta=10.0)
    log = callbacks.CSVLogger(folder / "log.csv")
    history = KerasModel(network(), comm=comm).fit(x, y, callbacks=[stop, log], **OPTIONS)
    assert len(history.history["loss"]) == 2
    assert len((folder / "log.csv").read_text().splitlines()) == 3


@pytest.mark.ranks(1, 3)
def test_dropout_draws_by_row(comm: Communicator) -> None:
    def trained(group: Communicator) -> list[np.ndarray]:
        keras.utils.set_random_seed(7)
        layers = [keras.Input((FEATURES, 2)), keras.layers.SpatialDropout1D(0.4), keras.layers.Flatten()]
        network = keras.Sequential([*layers, keras.layers.Dropout(0.4), keras.layers.Dense(CLASSES)])
        network.compile("sgd", "mse")
        model = KerasModel(network, comm=group)
        model.progress.seed = 5
        x, y = rows()
        model.fit(np.stack([x, x], axis=-1), y, **OPTIONS)
        weights: list[np.ndarray] = model.get_weights()
        return weights

    for weight, expected in zip(trained(comm), trained(Communicator.alone()), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-6)


def functional(layer: Any) -> keras.Model:
    x = keras.Input((4,))
    return keras.Model(x, keras.layers.Dense(2)(layer(x)))


class OwnStep(keras.Model):
    def train_step(self, *args: Any) -> Any:
        return super().train_step(*args)


def own_step() -> keras.Model:
    x = keras.Input((4,))
    return OwnStep(x, keras.layers.Dense(2)(x))


@pytest.mark.ranks(1)
@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: keras.Sequential([keras.layers.Dense(2)]), ValueError, "has no weights yet"),
        (lambda: "a name", TypeError, "is made of a keras.Model. Received: str"),
        (
            lambda: functional(keras.layers.Dense(3, activity_regularizer="l2")),
            ValueError,
            "adds to the loss",
        ),
        (lambda: functional(keras.layers.Embedding(9, 3, mask_zero=True)), ValueError, "passes a mask on"),
        (own_step, ValueError, "OwnStep.train_step would not be called"),
        (lambda: network(loss=keras.losses.MeanSquaredError(reduction="sum")), ValueError, "'sum'"),
        (lambda: network(metrics=[["accuracy"]]), ValueError, "metrics are a list, for one output"),
    ],
)
def test_what_cannot_be_is_said(comm: Communicator, make: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        KerasModel(make(), comm=comm)


@pytest.mark.ranks(1)
def test_a_scheduled_learning_rate_cannot_be_set(comm: Communicator) -> None:
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10))
    model: Model = KerasModel(network(optimizer=optimizer), comm=comm)
    with pytest.raises(TypeError, match="CosineDecay gives the learning rate"):
        model.optimizer.learning_rate = 0.1


@pytest.mark.ranks(1, 2)
def test_several_inputs_and_outputs(comm: Communicator) -> None:
    def several() -> keras.Model:
        keras.utils.set_random_seed(2)
        left, right = keras.Input((2,), name="left"), keras.Input((3,), name="right")
        both = keras.layers.Concatenate()([left, right])
        model = keras.Model(
            [left, right], [keras.layers.Dense(1, name="a")(both), keras.layers.Dense(2, name="b")(both)]
        )
        model.compile("sgd", loss=["mse", "mae"], loss_weights=[1.0, 0.5])
        return model

    x, y = rows()
    inputs, targets = (x[:, :2], x[:, 2:]), (y[:, :1], y[:, 1:])
    expected = several().fit(inputs, targets, **OPTIONS).history
    history = KerasModel(several(), comm=comm).fit(inputs, targets, **OPTIONS).history
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)


@pytest.mark.ranks(1, 2)
def test_callbacks_of_distfits_know_which_of_keras_metrics_should_rise(comm: Communicator) -> None:
    module = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(CLASSES, "softmax")])
    module.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    stopping = [callbacks.EarlyStopping(monitor) for monitor in ("loss", "accuracy")]
    found = KerasModel(module, comm=comm).fit(*rows(), **OPTIONS, callbacks=stopping).history
    assert [one.best for one in stopping] == [min(found["loss"]), max(found["accuracy"])]
