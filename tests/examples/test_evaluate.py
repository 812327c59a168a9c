"""The example that evaluates files: the same scores and predictions as one process gives, on any number of ranks."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from run_mpi import environment, mpiexec
from support.small import line, regression

from distfit.comm import Communicator

ROOT = Path(__file__).resolve().parents[2]
X, Y = line(101)


@pytest.mark.parametrize("ranks", [1, 3])
def test_scores_and_predictions_are_those_of_one_process(tmp_path: Path, ranks: int) -> None:
    model = regression(Communicator.alone())
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.safetensors")
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    done = subprocess.run(
        [
            mpiexec(), "-n", str(ranks), sys.executable, str(ROOT / "examples" / "evaluate.py"),
            "model.safetensors", "x.npy", "y.npy", "--out", "predicted.npy", "--batch-size", "16",
        ],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    scores = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert f"101 rows: loss {scores['loss']:.4f}, mae {scores['mae']:.4f}" in done.stdout
    assert ": evaluated in " in done.stdout
    np.testing.assert_allclose(np.load(tmp_path / "predicted.npy"), model.predict(X, verbose=0), rtol=1e-5)
