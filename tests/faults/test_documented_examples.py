"""Programs as a user starts them: on the world of all ranks that mpiexec made, with no word about ranks."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from run_mpi import environment, mpiexec

ROOT = Path(__file__).resolve().parents[2]

KERAS_PAGE = """
import numpy as np
from distfit import Sequential, layers
from distfit.callbacks import Callback

training_finished = False
class MyCallback(Callback):
  def on_train_end(self, logs=None):
    global training_finished
    training_finished = True
model = Sequential([
    layers.Dense(1, input_shape=(1,))])
model.compile(loss='mean_squared_error')
model.fit(np.array([[1.0]]), np.array([[1.0]]),
          callbacks=[MyCallback()])
assert training_finished == True
"""


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_the_example_of_keras_page_on_callbacks(tmp_path: Path, ranks: int) -> None:
    """Word for word but for the import lines; one row, so that most ranks have none."""
    script = tmp_path / "example.py"
    script.write_text(KERAS_PAGE)
    ended = subprocess.run(
        [mpiexec(), "-n", str(ranks), sys.executable, str(script)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Epoch 1/1") == 1  # progress from root alone


@pytest.mark.parametrize("ranks", [2, 3])
def test_the_example_of_a_loop_of_ones_own_trains_as_on_one_rank(tmp_path: Path, ranks: int) -> None:
    def train(number: int) -> np.ndarray:
        out = tmp_path / str(number)
        ended = subprocess.run(
            [mpiexec(), "-n", str(number), sys.executable, str(ROOT / "examples" / "custom_loop.py")]
            + ["--epochs", "8", "--out", str(out)],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        assert ended.returncode == 0, ended.stderr
        assert [line.split(":")[0] for line in ended.stdout.splitlines()] == [f"epoch {n}" for n in range(8)]
        return np.genfromtxt(out / "custom_loop.csv", delimiter=",", names=True)

    alone, together = train(1), train(ranks)
    assert alone.dtype.names == ("epoch", "loss", "val_loss")
    assert alone["val_loss"][-1] < 0.5 < alone["val_loss"][0]
    for column in alone.dtype.names:
        np.testing.assert_allclose(together[column], alone[column], rtol=1e-9)
