"""A TorchModel against plain PyTorch: what torch's own loop gives on the same batches is what is expected."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from support.machines import machines
from torch import nn
from torch.utils.checkpoint import checkpoint

import distfit
from distfit import callbacks
from distfit.comm import Communicator
from distfit.training import sums_in_pieces
from distfit.utils.nested import map_leaves

ROWS, BATCH, EPOCHS = 103, 32, 2
X = np.random.default_rng(0).normal(size=(ROWS, 4))
CLASSES = np.random.default_rng(1).integers(0, 3, ROWS)
TARGETS = np.random.default_rng(2).uniform(0.1, 0.9, (ROWS, 3))


def network() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def in_order() -> Iterator[slice]:
    return (slice(start, start + BATCH) for _ in range(EPOCHS) for start in range(0, ROWS, BATCH))


def plain(
    module: nn.Module, optimizer: Any, loss: Callable[..., Any], y: np.ndarray, scheduler: Any = None
) -> list[np.ndarray]:
    """Train as torch's tutorials do, and return the weights."""
    for rows in in_order():
        optimizer.zero_grad()
        loss(module(torch.from_numpy(X[rows])), torch.from_numpy(y[rows])).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return [tensor.detach().numpy() for tensor in module.state_dict().values()]


def fitted(
    comm: Communicator, module: nn.Module, optimizer: Any, loss: Any, y: Any, **options: Any
) -> list[np.ndarray]:
    model = distfit.TorchModel(module, comm=comm)
    model.compile(optimizer=optimizer, loss=loss, **options)
    model.fit(X, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
    return model.get_weights()


def assert_close(here: list[np.ndarray], expected: list[np.ndarray], tolerance: float = 1e-10) -> None:
    for weight, other in zip(here, expected, strict=True):
        np.testing.assert_allclose(weight, other, rtol=0, atol=tolerance * np.abs(other).max())


WEIGHTS = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
LOSSES: dict[str, tuple[Callable[[], Any], np.ndarray]] = {
    "mse": (nn.MSELoss, TARGETS),
    "huber": (nn.HuberLoss, TARGETS),
    "bce": (nn.BCEWithLogitsLoss, TARGETS),
    "kl": (partial(nn.KLDivLoss, reduction="batchmean"), TARGETS),
    "cross-entropy": (nn.CrossEntropyLoss, CLASSES),
    "class weights": (partial(nn.CrossEntropyLoss, weight=WEIGHTS), CLASSES),
    "smoothed": (partial(nn.CrossEntropyLoss, weight=WEIGHTS, label_smoothing=0.1), CLASSES),
    "ignored class": (partial(nn.CrossEntropyLoss, weight=WEIGHTS, ignore_index=1), CLASSES),
    "of distributions": (nn.CrossEntropyLoss, TARGETS / TARGETS.sum(1, keepdims=True)),
    "a function": (lambda: nn.functional.cross_entropy, CLASSES),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_of_a_loss_is_that_of_the_global_batch(comm: Communicator, name: str) -> None:
    make, y = LOSSES[name]
    module = network()
    expected = plain(module, torch.optim.SGD(module.parameters(), 0.1), make(), y)
    assert_close(fitted(comm, network(), partial(torch.optim.SGD, lr=0.1), make(), y), expected)


def groups(module: Any) -> list[dict[str, Any]]:
    return [{"params": module[0].parameters(), "lr": 0.05}, {"params": module[2].parameters()}]


OPTIMIZERS: dict[str, Callable[[nn.Module], Any]] = {
    "momentum": lambda m: torch.optim.SGD(
        m.parameters(), lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.01
    ),
    "adam": lambda m: torch.optim.AdamW(m.parameters(), lr=0.01, eps=1e-3, amsgrad=True),
    "rmsprop": lambda m: torch.optim.RMSprop(m.parameters(), lr=0.01, eps=1e-3, momentum=0.5),
    "adagrad": lambda m: torch.optim.Adagrad(m.parameters(), lr=0.05, initial_accumulator_value=0.1),
    "two groups": lambda m: torch.optim.SGD(groups(m), lr=0.1, momentum=0.9),
    "foreach": lambda m: torch.optim.Adam(m.parameters(), lr=0.01, eps=1e-3, foreach=True),
    "fused": lambda m: torch.optim.Adam(m.parameters(), lr=0.01, eps=1e-3, fused=True),
}


@pytest.mark.ranks(1, 3)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_of_torch_makes_its_own_updates(comm: Communicator, name: str) -> None:
    module, other = network(), network()
    expected = plain(module, OPTIMIZERS[name](module), nn.CrossEntropyLoss(), CLASSES)
    assert_close(fitted(comm, other, OPTIMIZERS[name](other), nn.CrossEntropyLoss(), CLASSES), expected)


@pytest.mark.ranks(1, 2)
@pytest.mark.parametrize(
    "schedule",
    [
        partial(torch.optim.lr_scheduler.StepLR, step_size=3),
        partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.2, total_steps=20),
    ],
    ids=lambda schedule: schedule.func.__name__,
)
def test_a_scheduler_is_stepped_after_each_update(comm: Communicator, schedule: Callable[..., Any]) -> None:
    module, other = network(), network()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    expected = plain(module, optimizer, nn.CrossEntropyLoss(), CLASSES, schedule(optimizer))
    scheduler = schedule(torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9))
    assert_close(fitted(comm, other, scheduler, nn.CrossEntropyLoss(), CLASSES), expected)


@pytest.mark.ranks(1, 2)
def test_a_schedule_goes_on_where_the_training_went_on(comm: Communicator, tmp_path: Any) -> None:
    class PowerCut(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model.progress.step == 5:
                raise OSError("power cut")

    folder = comm.broadcast_object(tmp_path)

    def run(*extra: callbacks.Callback) -> list[np.ndarray]:
        module = network()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
        model = distfit.TorchModel(module, comm=comm)
        model.compile(torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 8), nn.CrossEntropyLoss())
        model.fit(X, CLASSES, batch_size=BATCH, epochs=2, shuffle=False, verbose=0, callbacks=list(extra))
        return model.get_weights()

    with pytest.raises(OSError, match="power cut"):
        run(callbacks.BackupAndRestore(folder, save_freq=1), PowerCut())
    went_on = run(callbacks.BackupAndRestore(folder, save_freq=1))
    for weight, expected in zip(went_on, run(), strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.ranks(1, 2)
def test_callbacks_set_the_learning_rate_of_all_groups(comm: Communicator) -> None:
    module = network()
    model = distfit.TorchModel(module, comm=comm)
    model.compile(torch.optim.SGD(groups(module), lr=0.1), nn.CrossEntropyLoss())
    halved = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    history = model.fit(X, CLASSES, epochs=3, verbose=0, callbacks=[halved]).history
    np.testing.assert_allclose(history["learning_rate"], [0.05, 0.025, 0.0125])
    assert [group["lr"] for group in model.optimizer.optimizer.param_groups] == [0.0125, 0.025]


@pytest.mark.ranks(2, 4)
@pytest.mark.parametrize(
    ("optimizer", "invariant", "messages"),
    [("sgd", True, 2 + 2), ("sgd", False, 2 + 1), (partial(torch.optim.SGD, lr=0.1), True, 3 + 2)],
)
def test_what_a_step_of_batch_normalization_sends(
    comm: Communicator, optimizer: Any, invariant: bool, messages: int
) -> None:
    counts = []
    for steps in (1, 1, 3):  # at the first fit of all, ranks tell what they need to know only once
        module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)).double()
        model = distfit.TorchModel(module, comm=comm, invariant=invariant)
        model.compile(optimizer, nn.CrossEntropyLoss())
        before = comm.agreement.messages
        model.fit(X[: steps * BATCH], CLASSES[: steps * BATCH], batch_size=BATCH, verbose=0)
        counts.append(comm.agreement.messages - before)
    assert counts[2] - counts[1] == 2 * messages


class Two(nn.Module):
    """Two inputs by name, two outputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 3), nn.Linear(2, 3)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"sum": self.left(left) + self.right(right), "left": self.left(left)}


def both(y_pred: dict[str, torch.Tensor], y: dict[str, torch.Tensor]) -> torch.Tensor:
    of_sum = nn.functional.cross_entropy(y_pred["sum"], y["sum"], reduction="none")
    return of_sum + (y_pred["left"] - y["left"]).square().mean(1)


@pytest.mark.ranks(1, 3)
@pytest.mark.parametrize("named", [True, False])
def test_several_inputs_and_outputs(comm: Communicator, named: bool) -> None:
    torch.manual_seed(1)
    module = Two().double()
    twin = Two().double()
    twin.load_state_dict(module.state_dict())
    y = {"sum": CLASSES, "left": TARGETS}
    x = {"left": X, "right": X[:, :2]} if named else (X, X[:, :2])
    model = distfit.TorchModel(module, comm=comm)
    model.compile(partial(torch.optim.SGD, lr=0.1), both)
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    for rows in in_order():
        given = [torch.from_numpy(part[rows]) for part in (X, X[:, :2])]
        targets = {name: torch.from_numpy(part[rows]) for name, part in y.items()}
        optimizer.zero_grad()
        both(twin(*given), targets).mean().backward()
        optimizer.step()
    assert_close(model.get_weights(), [tensor.numpy() for tensor in twin.state_dict().values()])
    predicted = model.predict(x, verbose=0)
    expected = twin(torch.from_numpy(X), torch.from_numpy(X[:, :2]))
    assert list(predicted) == list(expected)
    for name, there in expected.items():
        np.testing.assert_allclose(predicted[name], there.detach().numpy(), rtol=1e-9)
    one_row = model.predict(map_leaves(lambda part: part[:1], x), verbose=0)  # which not all ranks have
    assert {name: array.shape for name, array in one_row.items()} == {"sum": (1, 3), "left": (1, 3)}


@pytest.mark.ranks(1, 2)
def test_a_compiled_module_has_the_names_of_its_own(comm: Communicator) -> None:
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    twin = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    twin.load_state_dict(module.state_dict())
    distfit.utils.set_random_seed(1)
    here = fitted(comm, torch.compile(module, backend="eager"), "sgd", nn.CrossEntropyLoss(), CLASSES)
    distfit.utils.set_random_seed(1)
    assert_close(here, fitted(comm, twin, "sgd", nn.CrossEntropyLoss(), CLASSES))


class Teacher(nn.Module):
    """Clamps a weight, and moves another one that is not trained, in its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.learns, self.follows = nn.Linear(4, 3), nn.Linear(4, 3)
        self.follows.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            self.learns.weight.clamp_(-0.3, 0.3)
            if self.training:
                self.follows.weight.lerp_(self.learns.weight, 0.1)
        return self.learns(x) + self.follows(x)


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("optimizer", ["sgd", partial(torch.optim.SGD, lr=0.01)])
def test_weights_that_the_module_writes_itself(comm: Communicator, optimizer: Any) -> None:
    def module() -> nn.Module:
        torch.manual_seed(3)
        return Teacher().double()

    expected, found = (
        fitted(comm, module(), optimizer, nn.CrossEntropyLoss(), CLASSES)
        for comm in (Communicator.alone(), comm)
    )
    assert_close(found, expected)


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("per_machine", [1, 2, 3])
@pytest.mark.parametrize("optimizer", ["sgd", partial(torch.optim.SGD, lr=0.01)])
def test_ranks_of_several_machines(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, optimizer: Any, per_machine: int
) -> None:
    """With torch's optimizer and three ranks on two machines, one of them has no counterpart, and sums nothing."""

    def module() -> nn.Module:
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)).double()

    machines(comm, monkeypatch, per_machine)
    expected, found = (
        fitted(comm, module(), optimizer, nn.CrossEntropyLoss(), CLASSES)
        for comm in (Communicator.alone(), comm)
    )
    assert_close(found, expected)


class Winding(nn.Module):
    """Uses a layer twice, another one not at all, has a frozen one between them, and one that comes out of order."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.late, self.first, self.unused = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.frozen, self.last = nn.Linear(4, 4).requires_grad_(False), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.first(torch.tanh(self.first(x))))
        return self.last(self.late(self.frozen(x)))


@pytest.mark.ranks(2, 3, 4)
@pytest.mark.parametrize("optimizer", ["adam", partial(torch.optim.Adam, lr=0.01)])
@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 2}])
def test_gradients_that_are_sent_while_others_are_computed(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, optimizer: Any, options: dict[str, Any]
) -> None:
    machines(comm, monkeypatch, 1)
    monkeypatch.setattr(sums_in_pieces, "PIECE", 7)
    expected, found = (
        fitted(comm, Winding().double(), optimizer, nn.CrossEntropyLoss(), CLASSES, **options)
        for comm in (Communicator.alone(), comm)
    )
    assert_close(found, expected)


class Checkpointed(nn.Module):
    """Uses a layer twice, of which torch's backward gives the gradients one by one then."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for _ in range(2):
            x = checkpoint(self.twice, x, use_reentrant=True)
        return x


@pytest.mark.ranks(2)
def test_a_gradient_that_comes_again_when_it_was_sent_is_an_error_with_a_remedy(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines(comm, monkeypatch, 1)
    monkeypatch.setattr(sums_in_pieces, "PIECE", 7)
    x = np.random.default_rng(0).normal(size=(8, 4))

    def model(**options: Any) -> distfit.Model:
        torch.manual_seed(3)
        made = distfit.TorchModel(Checkpointed().double(), comm=comm)
        made.compile("sgd", "mse", **options)
        return made

    with pytest.raises(RuntimeError, match=r"a second time.*compile\(overlap=False\)"):
        model().fit(x, x, batch_size=8, verbose=0)
    assert np.isfinite(model(overlap=False).fit(x, x, batch_size=8, verbose=0).history["loss"]).all()


@pytest.mark.ranks(2, 3)
def test_backward_passes_of_the_users_own(comm: Communicator, monkeypatch: pytest.MonkeyPatch) -> None:
    """On root between steps, through the module that is trained."""
    machines(comm, monkeypatch, 1)
    monkeypatch.setattr(sums_in_pieces, "PIECE", 7)
    module = network()

    def probe(*_: Any) -> None:
        inputs = torch.ones(1, 4, dtype=torch.float64, requires_grad=True)
        module(inputs).sum().backward()
        assert inputs.grad is not None

    model = distfit.TorchModel(module, comm=comm)
    model.compile("sgd", nn.CrossEntropyLoss())
    hook = callbacks.LambdaCallback(ranks="root", on_train_batch_end=probe)
    model.fit(X, CLASSES, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[hook])
    expected = fitted(Communicator.alone(), network(), "sgd", nn.CrossEntropyLoss(), CLASSES)
    assert_close(model.get_weights(), expected)


@pytest.mark.ranks(1, 2, 3)
@pytest.mark.parametrize("per_machine", [1, 3])
def test_from_an_optimizer_of_distfits_to_one_of_torchs_and_back(
    comm: Communicator, monkeypatch: pytest.MonkeyPatch, per_machine: int
) -> None:
    """Weights that are set in between are shared before the next training has placed what it trains."""
    machines(comm, monkeypatch, per_machine)

    def trained(comm: Communicator) -> list[np.ndarray]:
        model = distfit.TorchModel(network(), comm=comm)
        for optimizer, options in (
            (distfit.optimizers.SGD(0.01, momentum=0.9), {}),
            (partial(torch.optim.SGD, lr=0.01, momentum=0.9), {}),
            (distfit.optimizers.Adam(0.01), {"shard_optimizer": True}),
        ):
            model.compile(optimizer, nn.CrossEntropyLoss(), **options)
            model.set_weights([weight / 2 for weight in model.get_weights()])
            model.fit(X, CLASSES, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
        return model.get_weights()

    assert_close(trained(comm), trained(Communicator.alone()), tolerance=1e-8)


NORMALIZED = (
    (nn.BatchNorm1d, (ROWS, 5)),
    (nn.BatchNorm1d, (ROWS, 5, 6)),
    (nn.BatchNorm2d, (ROWS, 5, 3, 2)),
    (partial(nn.BatchNorm2d, momentum=None), (ROWS, 5, 3, 2)),
    (partial(nn.BatchNorm2d, affine=False), (ROWS, 5, 3, 2)),
)


class Normalized(nn.Module):
    def __init__(self, norm: Callable[..., nn.Module], features: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scale = nn.Parameter(torch.full((5,), 1.5))
        self.norm, self.last = norm(5), nn.Linear(features, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x * self.scale.view(1, 5, *[1] * (x.ndim - 2))).flatten(1)
        return self.last(torch.relu(x))


@pytest.mark.parametrize(("norm", "shape"), NORMALIZED)
def test_batch_normalization_is_that_of_the_whole_batch(
    comm: Communicator, norm: Callable[..., nn.Module], shape: tuple[int, ...]
) -> None:
    x = np.random.default_rng(6).normal(1.0, 2.0, shape)
    module, twin = (Normalized(norm, int(np.prod(shape[1:]))).double() for _ in range(2))
    model = distfit.TorchModel(module, comm=comm)
    model.compile(partial(torch.optim.SGD, lr=0.1), nn.CrossEntropyLoss())
    model.fit(x, CLASSES, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    for rows in in_order():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(twin(torch.from_numpy(x[rows])), torch.from_numpy(CLASSES[rows]))
        loss.backward()
        optimizer.step()
    assert list(module.state_dict()) == list(twin.state_dict())
    assert_close(model.get_weights(), [tensor.numpy() for tensor in twin.state_dict().values()], 1e-9)
    twin.eval()
    with torch.no_grad():
        expected = twin(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-8, atol=1e-10)


DROPS = (nn.Dropout(0.4), nn.Dropout2d(0.4))


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("drop", DROPS, ids=lambda drop: type(drop).__name__)
def test_what_is_dropped_belongs_to_the_row(comm: Communicator, drop: nn.Module) -> None:
    def run(group: Communicator) -> list[np.ndarray]:
        distfit.utils.set_random_seed(2)
        torch.manual_seed(7)
        module = nn.Sequential(
            nn.Unflatten(1, (2, 2, 1)), type(drop)(drop.p), nn.Flatten(), nn.Linear(4, 3)
        ).double()
        return fitted(group, module, "sgd", nn.CrossEntropyLoss(), CLASSES)

    assert_close(run(comm), run(Communicator.alone()))


@pytest.mark.ranks(1, 2, 3)
def test_buffers_of_torch_s_own_layers_are_equal_on_all_ranks(comm: Communicator) -> None:
    def run() -> list[np.ndarray]:
        distfit.utils.set_random_seed(2)
        torch.manual_seed(7)
        module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).double()
        model = distfit.TorchModel(module, comm=comm, invariant=False)
        model.compile("sgd", nn.CrossEntropyLoss())
        model.fit(X[:96], CLASSES[:96], batch_size=BATCH, epochs=EPOCHS, verbose=0)
        return model.get_weights()

    here, again = run(), run()
    for weight, repeated, of_root in zip(here, again, comm.broadcast_object(here), strict=True):
        np.testing.assert_array_equal(weight, repeated)
        np.testing.assert_array_equal(weight, of_root)
    assert here[6] == 6  # num_batches_tracked, an integer


class Centred(nn.Module):
    """Subtracts what it has seen on average, in a buffer that it exchanges for another tensor in each pass."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
            self.passes += 1
        return x - self.mean


def test_a_rank_without_rows_gets_the_buffers_of_the_others(comm: Communicator) -> None:
    module = nn.Sequential(Centred(), nn.Linear(4, 3)).double()
    model = distfit.TorchModel(module, comm=comm)
    model.compile("sgd", nn.CrossEntropyLoss())
    model.fit(X[:65], CLASSES[:65], batch_size=BATCH, shuffle=False, verbose=0)  # the third batch is one row
    mean = np.zeros(4)
    for rows in (slice(0, 32), slice(32, 64), slice(64, 65)):
        mean = 0.9 * mean + 0.1 * X[rows].mean(0)
    np.testing.assert_allclose(module[0].mean.numpy(), mean, rtol=1e-10)
    assert int(module[0].passes) == 3
    assert not model.shared_state.stale  # which would be a write of the user's, and a message to share it
    for weight, of_root in zip(model.get_weights(), comm.broadcast_object(model.get_weights()), strict=True):
        np.testing.assert_array_equal(weight, of_root)


def test_a_user_s_own_loss_sees_tensors(comm: Communicator) -> None:
    from distfit.engines.torch import TorchEngine, loss_value

    class Mine(distfit.Model):
        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            total = nn.functional.cross_entropy(y_pred, y, reduction="sum") + y_pred.square().sum()
            return loss_value(total, len(x), y_pred)

    module, twin = network(), network()
    model = Mine(engine=TorchEngine(module), comm=comm)
    model.compile(partial(torch.optim.SGD, lr=0.1))
    model.fit(X, CLASSES, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
    loss = lambda p, y: nn.functional.cross_entropy(p, y) + p.square().sum() / len(p)  # noqa: E731
    assert_close(model.get_weights(), plain(twin, torch.optim.SGD(twin.parameters(), 0.1), loss, CLASSES))
    with torch.no_grad():
        expected = float(loss(twin(torch.from_numpy(X)), torch.from_numpy(CLASSES)))
    assert model.evaluate(X, CLASSES, verbose=0) == pytest.approx(expected)


@pytest.mark.ranks(1, 2)
def test_an_unfrozen_layer_trains_after_compile(comm: Communicator) -> None:
    module: Any = network()
    module[0].requires_grad_(False)
    model = distfit.TorchModel(module, comm=comm)
    model.compile("sgd", nn.CrossEntropyLoss())
    before = model.get_weights()
    model.fit(X, CLASSES, verbose=0)
    assert np.array_equal(model.get_weights()[0], before[0])
    module[0].requires_grad_(True)
    model.compile("sgd", nn.CrossEntropyLoss())
    model.fit(X, CLASSES, verbose=0)
    assert not np.array_equal(model.get_weights()[0], before[0])


@pytest.mark.ranks(2)
def test_weights_that_root_loads_into_the_module_are_shared(comm: Communicator) -> None:
    module = network()
    model = distfit.TorchModel(module, comm=comm)
    model.compile("sgd", nn.CrossEntropyLoss())
    model.fit(X, CLASSES, verbose=0)
    if comm.is_root:
        module.load_state_dict({k: torch.ones_like(v) for k, v in module.state_dict().items()})
    model.evaluate(X, CLASSES, verbose=0)
    assert all((weight == 1).all() for weight in model.get_weights())


@pytest.mark.ranks(2)
def test_a_module_that_goes_to_another_model_leaves_the_first(comm: Communicator) -> None:
    def module() -> nn.Module:
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).double()

    twice = module()
    first = distfit.TorchModel(twice, comm=comm)
    first.compile("sgd", nn.CrossEntropyLoss())
    distfit.utils.set_random_seed(1)
    here = fitted(comm, twice, "sgd", nn.CrossEntropyLoss(), CLASSES)
    with pytest.raises(RuntimeError, match="another TorchModel"):
        first.fit(X, CLASSES, verbose=0)
    distfit.utils.set_random_seed(1)
    assert_close(here, fitted(Communicator.alone(), module(), "sgd", nn.CrossEntropyLoss(), CLASSES))


def test_exchanged_layers_do_what_torch_s_do_where_they_run_alone() -> None:
    torch.manual_seed(3)
    module, plain = (nn.Sequential(nn.BatchNorm1d(4), nn.Dropout2d(0.5)).double() for _ in range(2))
    distfit.TorchModel(module, comm=Communicator.alone())
    x = torch.from_numpy(X).unsqueeze(2).repeat(1, 1, 3)
    np.testing.assert_allclose(module[0](x).detach(), plain[0](x).detach())
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], tensor)
    dropped = module[1](torch.ones(50, 4, 3, 2, dtype=torch.float64))
    assert set(dropped.sum((2, 3)).unique().tolist()) == {0.0, 12.0}  # whole channels
