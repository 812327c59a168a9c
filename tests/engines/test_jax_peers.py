"""A JaxModel against plain JAX: what a loop by hand gives on the same batches is what is expected."""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import distfit
from distfit import callbacks
from distfit.comm import Communicator
from distfit.engines.jax import JaxEngine, dropout, loss_value, mean_over_batch

ROWS, BATCH, EPOCHS = 103, 32, 2
X = np.random.default_rng(0).normal(size=(ROWS, 4)).astype("float32")
CLASSES = np.random.default_rng(1).integers(0, 3, ROWS)
TARGETS = np.random.default_rng(2).uniform(0.1, 0.9, (ROWS, 3)).astype("float32")
WEIGHTS = np.random.default_rng(3).uniform(0.5, 2.0, ROWS).astype("float32")

cross_entropy = optax.losses.softmax_cross_entropy_with_integer_labels


def network() -> dict[str, Any]:
    generator = np.random.default_rng(5)
    return {
        "first": {"b": np.zeros(8, "float32"), "w": generator.normal(size=(4, 8)).astype("float32")},
        "last": {"b": np.zeros(3, "float32"), "w": generator.normal(size=(8, 3)).astype("float32")},
    }


def apply(params: Any, x: Any) -> Any:
    hidden = jnp.tanh(x @ params["first"]["w"] + params["first"]["b"])
    return hidden @ params["last"]["w"] + params["last"]["b"]


def in_order() -> Iterator[slice]:
    return (slice(start, min(start + BATCH, ROWS)) for _ in range(EPOCHS) for start in range(0, ROWS, BATCH))


def plain(
    params: Any,
    loss: Callable[..., Any],
    data: tuple[Any, ...],
    optimizer: Any,
    rate: Callable[[int], float] | None = None,
) -> Any:
    """Train as optax's tutorials do: the loss is that of a batch."""

    @jax.jit
    def update(params: Any, state: Any, batch: tuple[Any, ...]) -> Any:
        updates, state = optimizer.update(jax.grad(loss)(params, *batch), state, params)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for step, rows in enumerate(in_order()):
        if rate is not None:
            state.hyperparams["learning_rate"] = np.float32(rate(step))
        params, state = update(params, state, jax.tree.map(lambda array: array[rows], data))  # noqa: B023
    return params


def fitted(model: distfit.Model, y: Any, x: Any = X, **options: Any) -> distfit.Model:
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0, **options)
    return model


def assert_close(params: Any, expected: Any, tolerance: float = 1e-5) -> None:
    assert jax.tree.structure(params) == jax.tree.structure(expected)
    for weight, other in zip(jax.tree.leaves(params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(weight, other, rtol=0, atol=tolerance * max(1, np.abs(other).max()))


def of_classes(params: Any, x: Any, y: Any) -> Any:
    return cross_entropy(apply(params, x), y).mean()


DATA = X, CLASSES


@pytest.mark.ranks(1, 2, 3)
def test_momentum_is_that_of_a_loop_by_hand(comm: Communicator) -> None:
    expected, gradient = network(), jax.jit(jax.grad(of_classes))
    velocity = jax.tree.map(np.zeros_like, expected)
    for rows in in_order():
        gradients = gradient(expected, X[rows], CLASSES[rows])
        velocity = jax.tree.map(lambda v, g: 0.9 * v - 0.1 * np.asarray(g), velocity, gradients)
        expected = jax.tree.map(np.add, expected, velocity)
    model = distfit.JaxModel(apply, network(), comm=comm)
    model.compile(distfit.optimizers.SGD(0.1, momentum=0.9), cross_entropy)
    assert_close(fitted(model, CLASSES).engine.params, expected)


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "adam": lambda: optax.adam(0.01, eps=1e-3),
    "a chain": lambda: optax.chain(optax.clip_by_global_norm(0.3), optax.adamw(0.01, eps=1e-3)),
    "a schedule": lambda: optax.sgd(optax.cosine_decay_schedule(0.2, 8)),
}


@pytest.mark.ranks(1, 3)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_of_optax_makes_its_own_updates(comm: Communicator, name: str) -> None:
    model = distfit.JaxModel(apply, network(), comm=comm)
    model.compile(OPTIMIZERS[name](), cross_entropy)
    assert_close(
        fitted(model, CLASSES).engine.params, plain(network(), of_classes, DATA, OPTIMIZERS[name]()), 3e-5
    )


@pytest.mark.ranks(1, 2)
def test_callbacks_set_a_learning_rate_that_was_injected(comm: Communicator) -> None:
    model = distfit.JaxModel(apply, network(), comm=comm)
    model.compile(optax.inject_hyperparams(optax.sgd)(learning_rate=0.1), cross_entropy)
    halved = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    assert_close(
        fitted(model, CLASSES, callbacks=[halved]).engine.params,
        plain(
            network(),
            of_classes,
            DATA,
            optax.inject_hyperparams(optax.sgd)(learning_rate=0.1),
            lambda step: 0.1 if step < 4 else 0.05,
        ),
    )
    assert model.optimizer.learning_rate == pytest.approx(0.05)


LOSSES: dict[str, tuple[Any, Any, Callable[[Any, Any], Any]]] = {
    "huber of optax, several values a row": (
        optax.losses.huber_loss,
        TARGETS,
        lambda y_pred, y: optax.losses.huber_loss(y_pred, y).mean(),
    ),
    "mse of distfit": (
        "mse",
        TARGETS,
        lambda y_pred, y: ((y_pred - y) ** 2).mean(),
    ),
    "cross-entropy of distfit": (
        distfit.losses.SparseCategoricalCrossentropy(from_logits=True),
        CLASSES,
        lambda y_pred, y: cross_entropy(y_pred, y).mean(),
    ),
}


@pytest.mark.ranks(1, 3)
@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_of_a_loss_is_that_of_the_global_batch(comm: Communicator, name: str) -> None:
    loss, y, by_hand = LOSSES[name]
    model = distfit.JaxModel(apply, network(), comm=comm)
    model.compile(optax.sgd(0.1), loss)
    expected = plain(network(), lambda params, x, y: by_hand(apply(params, x), y), (X, y), optax.sgd(0.1))
    assert_close(fitted(model, y).engine.params, expected)


@pytest.mark.ranks(1, 3)
def test_weights_of_rows(comm: Communicator) -> None:
    model = distfit.JaxModel(apply, network(), comm=comm)
    model.compile(optax.sgd(0.1), cross_entropy)

    def weighted(params: Any, x: Any, y: Any, weights: Any) -> Any:
        return (weights * cross_entropy(apply(params, x), y)).mean()

    fitted(model, CLASSES, sample_weight=WEIGHTS)
    assert_close(model.engine.params, plain(network(), weighted, (X, CLASSES, WEIGHTS), optax.sgd(0.1)))


@pytest.mark.ranks(1, 2)
@pytest.mark.parametrize("optimizer", ["sgd", optax.sgd(0.01), optax.adamw(0.01, weight_decay=0.5)])
def test_frozen_parameters_stay(comm: Communicator, optimizer: Any) -> None:
    model = distfit.JaxModel(apply, network(), trainable=lambda name: not name.startswith("first"), comm=comm)
    model.compile(optimizer, cross_entropy)
    params = fitted(model, CLASSES).engine.params
    np.testing.assert_array_equal(params["first"]["w"], network()["first"]["w"])
    assert not np.array_equal(params["last"]["w"], network()["last"]["w"])


def two(params: Any, x: Any) -> dict[str, Any]:
    left, right = (x["left"], x["right"]) if isinstance(x, dict) else x
    left = left @ params["left"]
    return {"sum": left + right @ params["right"], "left": left}


def both(y_pred: Any, y: Any) -> Any:
    return cross_entropy(y_pred["sum"], y["sum"]) + ((y_pred["left"] - y["left"]) ** 2).mean(1)


@pytest.mark.ranks(1, 3)
@pytest.mark.parametrize("named", [True, False])
def test_several_inputs_and_outputs(comm: Communicator, named: bool) -> None:
    generator = np.random.default_rng(6)
    params = {
        "left": generator.normal(size=(4, 3)).astype("float32"),
        "right": generator.normal(size=(2, 3)).astype("float32"),
    }
    x = {"left": X, "right": X[:, :2]} if named else (X, X[:, :2])
    model = distfit.JaxModel(two, params, comm=comm)
    model.compile(optax.sgd(0.1), both)
    y = {"sum": CLASSES, "left": TARGETS}
    fitted(model, y, x)
    expected = plain(params, lambda params, x, y: both(two(params, x), y).mean(), (x, y), optax.sgd(0.1))
    assert_close(model.engine.params, expected)
    predicted = model.predict(x, verbose=0)
    outputs = two(expected, (X, X[:, :2]))
    assert set(predicted) == set(outputs)
    for name, output in outputs.items():
        np.testing.assert_allclose(predicted[name], output, atol=1e-4)


class Sparse(distfit.Model):
    def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return loss_value(
            lambda y_pred: cross_entropy(y_pred, y).sum() + 0.01 * jnp.abs(y_pred).sum(), len(x), y_pred
        )


@pytest.mark.ranks(1, 2, 3)
def test_a_loss_of_one_s_own(comm: Communicator) -> None:
    model = Sparse(engine=JaxEngine(apply, network()), comm=comm)
    model.compile(optax.sgd(0.1))

    def loss(params: Any, x: Any, y: Any) -> Any:
        y_pred = apply(params, x)
        return cross_entropy(y_pred, y).mean() + 0.01 * jnp.abs(y_pred).sum(1).mean()

    assert_close(fitted(model, CLASSES).engine.params, plain(network(), loss, DATA, optax.sgd(0.1)))


@pytest.mark.ranks(1, 2, 3)
def test_a_training_compiles_two_shapes_at_most(comm: Communicator) -> None:
    traced = []

    def counted(params: Any, x: Any) -> Any:
        traced.append(x.shape)
        return apply(params, x)

    model = distfit.JaxModel(counted, network(), comm=comm)
    model.compile(optax.sgd(0.1), cross_entropy)
    fitted(model, CLASSES)
    assert 1 <= len(traced) <= 2
    fitted(model, CLASSES)
    assert len(traced) <= 2


# -- modules of other libraries ---------------------------------------------------------------------------------------


def installed(library: str) -> Any:
    return pytest.mark.skipif(importlib.util.find_spec(library) is None, reason=f"{library} is not installed")


@installed("flax")
@pytest.mark.ranks(1, 2)
def test_a_module_of_flax_linen_with_state_and_dropout(comm: Communicator) -> None:
    from flax import linen

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x: Any, training: bool, rng: Any) -> Any:
            x = linen.Dense(8)(x)
            x = linen.BatchNorm(use_running_average=not training)(x)
            return linen.Dense(3)(dropout(rng, 0.2, linen.relu(x)))

    net = Net()
    variables = net.init(jax.random.key(0), X[:1], False, None)

    def function(params: Any, x: Any, *, state: Any, training: bool, rng: Any) -> Any:
        y, new = net.apply({"params": params, **state}, x, training, rng, mutable=["batch_stats"])
        return y, new

    distfit.utils.set_random_seed(1)
    model = distfit.JaxModel(
        function, variables["params"], state={"batch_stats": variables["batch_stats"]}, comm=comm
    )
    model.compile(optax.adam(0.01), cross_entropy, metrics=["accuracy"])
    history = fitted(model, CLASSES).history.history
    assert history["loss"][1] < history["loss"][0]
    mean = model.engine.state["batch_stats"]["BatchNorm_0"]["mean"]
    assert np.abs(mean).max() > 0
    np.testing.assert_array_equal(mean, comm.broadcast_object(mean))


@installed("flax")
@pytest.mark.ranks(1, 2)
def test_a_module_of_flax_nnx(comm: Communicator) -> None:
    from flax import nnx

    module = nnx.Sequential(nnx.Linear(4, 8, rngs=nnx.Rngs(0)), nnx.tanh, nnx.Linear(8, 3, rngs=nnx.Rngs(1)))
    definition, params = nnx.split(module, nnx.Param)
    model = distfit.JaxModel(lambda params, x: nnx.merge(definition, params)(x), params, comm=comm)
    model.compile(optax.sgd(0.1), cross_entropy)
    fitted(model, CLASSES)

    def loss(params: Any, x: Any, y: Any) -> Any:
        return cross_entropy(nnx.merge(definition, params)(x), y).mean()

    assert_close(model.engine.params, plain(params, loss, DATA, optax.sgd(0.1)))


@installed("equinox")
@pytest.mark.ranks(1, 2)
def test_a_module_of_equinox(comm: Communicator) -> None:
    import equinox

    module = equinox.nn.MLP(4, 3, width_size=8, depth=1, key=jax.random.key(0))
    params, rest = equinox.partition(module, equinox.is_inexact_array)

    def function(params: Any, x: Any) -> Any:
        return jax.vmap(equinox.combine(params, rest))(x)

    model = distfit.JaxModel(function, params, comm=comm)
    model.compile(optax.sgd(0.1), cross_entropy)
    fitted(model, CLASSES)

    def loss(params: Any, x: Any, y: Any) -> Any:
        return cross_entropy(function(params, x), y).mean()

    assert_close(model.engine.params, plain(params, loss, DATA, optax.sgd(0.1)))
    assert equinox.combine(model.engine.params, rest)(X[0]).shape == (3,)


# -- rows that know of each other -------------------------------------------------------------------------------------


def normalized(params: Any, x: Any) -> Any:
    hidden = x @ params["first"]["w"] + params["first"]["b"]
    mean = mean_over_batch(hidden)
    hidden = (hidden - mean) / jnp.sqrt(mean_over_batch((hidden - mean) ** 2) + 1e-3)
    return jnp.tanh(hidden) @ params["last"]["w"] + params["last"]["b"]


@pytest.mark.ranks(1, 2, 3)
def test_sums_are_over_the_global_batch(comm: Communicator) -> None:
    def loss(params: Any, x: Any, y: Any) -> Any:
        return cross_entropy(
            normalized(params, x), y
        ).mean()  # outside of a JaxModel, by the rows that are given

    model = distfit.JaxModel(normalized, network(), comm=comm)
    model.compile(optax.sgd(0.1), cross_entropy)
    assert_close(fitted(model, CLASSES).engine.params, plain(network(), loss, DATA, optax.sgd(0.1)), 3e-5)


class FailsOnce(distfit.Model):
    """Fails on the last rank, behind the forward pass: the others are in the sums of the backward pass by then."""

    fails = True

    def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if self.fails and self.comm.rank == self.comm.size - 1:
            raise ZeroDivisionError("no loss here")
        return super().compute_loss(x, y, y_pred, sample_weight)


@pytest.mark.ranks(1, 2, 3)
@pytest.mark.parametrize("loss", [cross_entropy, "mse"], ids=["of JAX", "of distfit"])
def test_an_error_meets_the_others_within_a_sum(comm: Communicator, loss: Any) -> None:
    model = FailsOnce(engine=JaxEngine(normalized, network()), comm=comm)
    model.compile(optax.sgd(0.1), loss)
    y = TARGETS if loss == "mse" else CLASSES
    with pytest.raises(ZeroDivisionError, match="no loss here"):
        fitted(model, y)
    model.fails = False
    twin = distfit.JaxModel(normalized, network(), comm=Communicator.alone())
    twin.compile(optax.sgd(0.1), loss)
    assert_close(fitted(model, y).engine.params, fitted(twin, y).engine.params, 3e-5)


@pytest.mark.ranks(2, 3)
def test_an_error_in_the_function_meets_the_others_within_a_sum(comm: Communicator) -> None:
    def fails(params: Any, x: Any) -> Any:
        if comm.rank == 0:
            raise ZeroDivisionError("no output here")
        return normalized(params, x)

    model = distfit.JaxModel(fails, network(), comm=comm)
    model.compile(optax.sgd(0.1), cross_entropy)
    with pytest.raises(ZeroDivisionError, match="no output here"):
        fitted(model, CLASSES)


@pytest.mark.ranks(2, 3)
def test_what_is_dropped_belongs_to_the_row(comm: Communicator) -> None:
    def drops(params: Any, x: Any, rng: Any) -> Any:
        return dropout(rng, 0.4, apply(params, x))

    def run(group: Communicator) -> Any:
        distfit.utils.set_random_seed(2)
        model = distfit.JaxModel(drops, network(), comm=group)
        model.compile(optax.sgd(0.1), cross_entropy)
        return fitted(model, CLASSES).engine.params

    assert_close(run(comm), run(Communicator.alone()))


# -- errors on purpose ------------------------------------------------------------------------------------------------


def test_parameters_of_two_dtypes() -> None:
    params = {"a": np.zeros(2, "float32"), "b": np.zeros(2, "float16")}
    with pytest.raises(TypeError, match=r"all float32, or all float64.*belongs to state.*float16 \(b\)"):
        distfit.JaxModel(apply, params)


def test_float64_without_x64() -> None:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(TypeError, match=r"would compute in float32.*jax_enable_x64"):
            distfit.JaxModel(apply, {"a": np.zeros(2)})
    finally:
        jax.config.update("jax_enable_x64", before)


def test_parameters_with_a_function_in_them() -> None:
    with pytest.raises(
        TypeError, match=r"the parameter activation is a .*pytree of numbers.*equinox.partition"
    ):
        distfit.JaxModel(apply, {"activation": jnp.tanh, "w": np.zeros(2, "float32")})


def test_state_and_a_function_that_does_not_take_it() -> None:
    with pytest.raises(ValueError, match=r"takes it as `state=`.*function of \(params, x\), and a state"):
        distfit.JaxModel(apply, network(), state={"mean": np.zeros(2)})
    with pytest.raises(ValueError, match=r"needs state=, a pytree.*no state"):
        distfit.JaxModel(lambda params, x, state: (x, state), network())


@pytest.mark.ranks(1, 2)
def test_new_state_of_another_structure(comm: Communicator) -> None:
    model = distfit.JaxModel(
        lambda params, x, state: (apply(params, x), {"average": state["mean"]}),
        network(),
        state={"mean": np.zeros(2, "float32")},
        comm=comm,
    )
    model.compile("sgd", cross_entropy)
    with pytest.raises(
        ValueError, match=r"the state that the function returns has to have the structure.*mean"
    ):
        fitted(model, CLASSES)


@pytest.mark.ranks(1, 2)
def test_a_loss_that_is_one_number(comm: Communicator) -> None:
    model = distfit.JaxModel(apply, network(), comm=comm)
    model.compile("sgd", lambda y_pred, y: cross_entropy(y_pred, y).mean())
    with pytest.raises(ValueError, match=r"a value for each row.*without its own mean\(\).*shape \(\)"):
        fitted(model, CLASSES)


@pytest.mark.ranks(1, 2)
def test_the_learning_rate_within_a_function_of_optax(comm: Communicator) -> None:
    model = distfit.JaxModel(apply, network(), comm=comm)
    model.compile(optax.adam(0.1), cross_entropy)
    with pytest.raises(TypeError, match=r"not settable.*inject_hyperparams.*Received: 0.5"):
        fitted(model, CLASSES, callbacks=[callbacks.LearningRateScheduler(lambda epoch, rate: 0.5)])
