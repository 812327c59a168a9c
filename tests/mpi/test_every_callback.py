"""What holds for each callback at several ranks, whatever it does."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.every_callback import CALLBACKS, UNHEARD, make, model_with_averages
from support.small import line

from distfit.callbacks import Callback
from distfit.comm import Communicator
from distfit.data import LocalPart

pytestmark = pytest.mark.filterwarnings(UNHEARD)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder that no other rank has: what is written there, this rank wrote."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def wild_part(comm: Communicator) -> list[LocalPart]:
    """Return rows of this rank's own: their number, and their size, grow with the rank, and one rank has none."""
    rows = 0 if comm.rank == 1 else 5 + 3 * comm.rank
    x, y = line(rows) if rows else (np.empty((0, 2)), np.empty((0, 1)))
    return [LocalPart(x * (1 + 10 * comm.rank)), LocalPart(y * (1 + comm.rank))]


@pytest.mark.parametrize("kind", CALLBACKS, ids=lambda kind: kind.__name__)
def test_ranks_whose_data_differ_wildly_stay_alike(
    comm: Communicator, own_folder: Path, kind: type[Callback], capsys: Any
) -> None:
    callback = make(kind)
    for _ in range(2):
        model = model_with_averages(comm)
        model.fit(
            *wild_part(comm), batch_size=6, epochs=5, verbose=0, callbacks=[callback],
            validation_data=tuple(wild_part(comm)),
        )  # fmt: skip
        alike = {
            "learning rate": model.optimizer.learning_rate,
            "stop": model.stop_training,
            "history": json.dumps(model.history.history),
            "epochs": model.history.epoch,
            "weights": [weight.tobytes() for weight in model.get_weights()],
            "updates": model.optimizer.iterations,
            "step": model.progress.step,
        }
        if callback.ranks == "all":
            alike["state"] = repr(callback.state_dict())
        for rank, others in enumerate(comm.all_gather_object(alike)):
            assert others == alike, f"rank {rank}"
        assert model.history.epoch
    written = comm.all_gather_object(sorted(os.listdir(own_folder)))
    assert written[1:] == [[]] * (comm.size - 1)  # root alone writes
    assert comm.size == 1 or capsys.readouterr().out == "" or comm.is_root


@pytest.mark.ranks(2, 3)
@pytest.mark.parametrize("kind", CALLBACKS, ids=lambda kind: kind.__name__)
@pytest.mark.usefixtures("own_folder")
def test_it_does_what_it_does_on_one_rank(comm: Communicator, kind: type[Callback]) -> None:
    x, y = line(23)
    histories = []
    for group in (comm, Communicator.alone()):
        model = model_with_averages(group)
        model.fit(x, y, batch_size=6, epochs=5, verbose=0, validation_split=0.2, callbacks=[make(kind)])
        histories.append(model.history.history)
    together, alone = histories
    assert list(together) == list(alone)
    for key, values in alone.items():
        np.testing.assert_allclose(together[key], values, rtol=1e-4, err_msg=key)


@pytest.mark.parametrize("kind", CALLBACKS, ids=lambda kind: kind.__name__)
@pytest.mark.usefixtures("own_folder")
def test_evaluate_and_predict_bear_it(comm: Communicator, kind: type[Callback]) -> None:
    callback, model, (x, y) = make(kind), model_with_averages(comm), line()
    model.evaluate(x, y, verbose=0, callbacks=[callback])
    model.predict(x, verbose=0, callbacks=[callback])
