"""What a TorchModel is made of, on one rank: names, files, devices, errors."""

import copy
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import distfit
from distfit.comm import Communicator
from distfit.engines.torch_device import choose_device
from distfit.engines.torch_staged import Staged


def conv_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(144, 3)
    )


def model_of(module: nn.Module, **options: Any) -> distfit.Model:
    return distfit.TorchModel(module, comm=Communicator.alone(), **options)


IMAGES = np.random.default_rng(0).normal(size=(20, 1, 8, 8)).astype("float32")


def test_a_file_of_weights_loads_in_plain_torch(tmp_path: Path) -> None:
    model = model_of(conv_net())
    model.compile("sgd", nn.CrossEntropyLoss())
    model.fit(IMAGES, np.arange(20) % 3, verbose=0)
    model.save_weights(tmp_path / "w.safetensors")
    plain = conv_net()
    plain.load_state_dict(load_file(tmp_path / "w.safetensors"))
    plain.eval()
    with torch.no_grad():
        expected = plain(torch.from_numpy(IMAGES)).numpy()
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), expected, rtol=1e-4, atol=1e-6)


def test_a_file_of_plain_torch_loads_here(tmp_path: Path) -> None:
    plain = conv_net()
    save_file(plain.state_dict(), tmp_path / "w.safetensors")
    model = model_of(conv_net())
    model.load_weights(tmp_path / "w.safetensors")
    for weight, expected in zip(model.get_weights(), plain.state_dict().values(), strict=True):
        np.testing.assert_array_equal(weight, expected.numpy())


def test_tied_weights_are_one_and_have_both_names() -> None:
    module = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 4, bias=False))
    module[2].weight = module[0].weight
    model = model_of(module)
    model.compile(partial(torch.optim.SGD, lr=0.1), nn.MSELoss())
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    twin = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 4, bias=False))
    twin[2].weight = twin[0].weight
    twin.load_state_dict(module.state_dict())
    model.fit(x, x, batch_size=8, shuffle=False, verbose=0)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    nn.functional.mse_loss(twin(torch.from_numpy(x)), torch.from_numpy(x)).backward()
    optimizer.step()
    first, last = model.get_weights()
    np.testing.assert_array_equal(first, last)
    np.testing.assert_allclose(first, twin[0].weight.detach().numpy(), rtol=1e-5)


def test_a_module_keeps_what_was_learned_and_its_own_parameters() -> None:
    module = conv_net()
    parameters = list(module.parameters())
    model = model_of(module)
    model.compile("sgd", nn.CrossEntropyLoss())
    model.fit(IMAGES, np.arange(20) % 3, verbose=0)
    assert all(a is b for a, b in zip(parameters, module.parameters(), strict=True))
    twin = copy.deepcopy(module).eval()  # as users do to keep the best
    with torch.no_grad():
        expected = twin(torch.from_numpy(IMAGES)).numpy()
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(module[0].weight.detach().numpy(), model.get_weights()[0])


def test_a_part_that_was_set_to_evaluation_stays_so() -> None:
    module = conv_net()
    model = model_of(module)
    model.compile("sgd", nn.CrossEntropyLoss())
    module[1].eval()
    before = module[1].running_mean.clone()
    model.fit(IMAGES, np.arange(20) % 3, verbose=0, validation_split=0.2, epochs=2)
    assert torch.equal(module[1].running_mean, before)
    assert module.training
    assert not module[1].training


def test_integers_reach_the_module_as_they_are() -> None:
    module = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 2))
    model = model_of(module)
    model.compile("adam", "mse")
    words = np.random.default_rng(0).integers(0, 5, (16, 2))
    model.fit(words, np.ones((16, 2)), verbose=0)
    assert model.predict(words, verbose=0).shape == (16, 2)


def test_labels_of_any_integer_type_and_read_only_data() -> None:
    model = model_of(conv_net())
    model.compile("adam", nn.CrossEntropyLoss(), metrics=["accuracy"])
    labels, images = (np.arange(20) % 3).astype("uint8"), IMAGES.astype("float64")
    images.flags.writeable = labels.flags.writeable = False
    history = model.fit(images, labels, batch_size=20, shuffle=False, verbose=0, epochs=30).history
    assert history["accuracy"][-1] > history["accuracy"][0]


def test_a_metric_for_each_output_is_told_how_many() -> None:
    model = model_of(conv_net(), output_shape=(3,))
    model.compile("adam", nn.CrossEntropyLoss(), metrics=[distfit.metrics.F1Score(average="macro")])
    model.fit(IMAGES, np.eye(3)[np.arange(20) % 3], verbose=0)


def test_the_summary_names_what_state_dict_names(capsys: pytest.CaptureFixture[str]) -> None:
    model_of(conv_net()).summary()
    printed = capsys.readouterr().out
    assert "5.weight" in printed
    assert "492 weights, of which 483 are trained" in printed


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: model_of("net"), TypeError, "torch.nn.Module"),
        (
            lambda: model_of(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1).double())),
            TypeError,
            "module.float()",
        ),
        (lambda: model_of(nn.Linear(1, 1).bfloat16()), TypeError, "all float32, or all float64"),
        (lambda: model_of(nn.Linear(1, 1)).compile("adam", nn.MSELoss(reduction="sum")), ValueError, "mean"),
        (lambda: model_of(nn.Linear(1, 1)).compile("adamm", nn.MSELoss()), ValueError, "Did you mean 'adam'"),
        (lambda: model_of(nn.Linear(1, 1)).compile("adam", "msee"), ValueError, "Did you mean 'mse'"),
        (lambda: model_of(nn.Linear(1, 1)).compile(3, "mse"), TypeError, "an optimizer is"),
        (lambda: model_of(nn.Linear(1, 1)).compile(list, "mse"), TypeError, "makes a"),
        (lambda: model_of(nn.Linear(1, 1)).save("m.safetensors"), TypeError, "take save_weights"),
    ],
)
def test_errors_say_what_to_do(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


def test_optimizers_that_do_not_fit_are_refused() -> None:
    model, other = model_of(nn.Linear(1, 1)), nn.Linear(1, 1)
    with pytest.raises(ValueError, match="not the module's"):
        model.compile(torch.optim.SGD(other.parameters(), lr=0.1), "mse")
    with pytest.raises(TypeError, match="LBFGS"):
        model.compile(torch.optim.LBFGS, "mse")
    optimizer = torch.optim.SGD(model.engine.module.parameters(), lr=0.1)
    with pytest.raises(TypeError, match=r"callbacks\.ReduceLROnPlateau"):
        model.compile(torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer), "mse")
    model.compile(torch.optim.lr_scheduler.StepLR(optimizer, 2), "mse")
    with pytest.raises(TypeError, match="StepLR gives the learning rate"):
        model.optimizer.learning_rate = 0.5


def test_without_pytorch_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("distfit.engines.torch")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"distfit-mpi\[torch\]"):
        distfit.TorchModel(None)


def test_more_ranks_than_gpus_is_an_error() -> None:
    with pytest.raises(ValueError, match="one rank for each GPU"):
        choose_device("auto", gpus=2, environment={"SLURM_LOCALID": "2"})


def test_a_device_buffer_and_the_host_s_follow_each_other() -> None:
    staged = Staged([(2, 3), (4,)], torch.float32, torch.device("cpu"), is_shared=False)
    staged.host()[0] = 1
    assert staged.device()[0] == 1
    staged.views[1].fill_(7)
    assert staged.host()[16] == 7
    staged.host()[16] = 8
    staged.device()
    assert staged.views[1][0] == 8


@pytest.mark.parametrize("optimizer", ["adam", torch.optim.Adam])
def test_a_module_with_memory_of_its_own_trains_alike(
    monkeypatch: pytest.MonkeyPatch, optimizer: Any
) -> None:
    """The CPU stands in for a GPU: the module's tensors are copies of the host's buffers, as there."""

    def run() -> list[np.ndarray]:
        distfit.utils.set_random_seed(1)
        torch.manual_seed(1)
        model = model_of(conv_net())
        model.compile(optimizer, nn.CrossEntropyLoss())
        model.fit(IMAGES, np.arange(20) % 3, batch_size=8, epochs=2, validation_split=0.2, verbose=0)
        model.set_weights([weight * 2 for weight in model.get_weights()])
        model.fit(IMAGES, np.arange(20) % 3, batch_size=8, verbose=0)
        return [*model.get_weights(), model.predict(IMAGES, verbose=0)]

    expected = run()
    apart = partial(Staged.__init__, is_shared=False)
    monkeypatch.setattr(Staged, "__init__", lambda self, *args: apart(self, *args))
    for here, there in zip(run(), expected, strict=True):
        np.testing.assert_array_equal(here, there)
