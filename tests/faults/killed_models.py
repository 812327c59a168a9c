"""The model that the kill matrix trains, in distfit's own layers and in PyTorch's, in double precision."""

from collections.abc import Callable

from distfit import Model, Sequential, TorchModel, layers, losses, optimizers


def numpy_model() -> Model:
    """Return it in distfit's own layers."""
    model = Sequential(
        [
            layers.Dense(16, activation="tanh", input_shape=(6,)),
            layers.BatchNormalization(),
            layers.Dropout(0.25),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        optimizer=optimizers.Adam(optimizers.schedules.ExponentialDecay(0.02, 10, 0.9)),
        loss=losses.BinaryCrossentropy(),
        metrics=["accuracy", "auc"],
    )
    return model


def torch_model() -> Model:
    """Return it in PyTorch's, with an optimizer and a scheduler of PyTorch's, whose state is restored, too."""
    import torch
    from torch import nn

    torch.manual_seed(11)
    module = nn.Sequential(
        *(nn.Linear(6, 16), nn.Tanh(), nn.BatchNorm1d(16), nn.Dropout(0.25)),
        *(nn.Linear(16, 1), nn.Sigmoid()),
    ).double()
    adam = torch.optim.Adam(module.parameters(), lr=0.02)
    model = TorchModel(module)
    model.compile(
        optimizer=torch.optim.lr_scheduler.ExponentialLR(adam, 0.99),
        loss=nn.BCELoss(),
        metrics=["accuracy", "auc"],
    )
    return model


MODELS: dict[str, Callable[[], Model]] = {"numpy": numpy_model, "torch": torch_model}
