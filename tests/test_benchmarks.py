"""The benchmarks: they run, and the loop that distfit is measured against does the same arithmetic."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.alternate import alternate
from benchmarks.bare_loop import BareLoop, cross_entropy, shuffled
from benchmarks.figure import Figure, table
from benchmarks.workload import network
from distfit.comm import Communicator

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def pictures():
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (50, 28, 28), np.uint8), generator.integers(0, 10, 50).astype(np.uint8)


def test_the_bare_loop_trains_to_the_weights_and_scores_of_fit(pictures):
    x, y = pictures
    model = network(Communicator.alone(), hidden=(16, 8))
    bare = BareLoop(model.get_weights())

    history = model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0).history
    scores = bare.fit(x, y, 16, 3, order=lambda epoch: np.arange(50))

    for weight, other in zip(model.get_weights(), bare.weights, strict=True):
        np.testing.assert_allclose(other, weight, rtol=0, atol=1e-6)
    assert scores.loss == pytest.approx(history["loss"][-1], rel=1e-6)
    assert scores.accuracy == history["accuracy"][-1]


def test_the_bare_loop_evaluates_as_evaluate_does(pictures):
    model = network(Communicator.alone(), hidden=(16,))
    expected = model.evaluate(*pictures, batch_size=16, verbose=0, return_dict=True)
    scores = BareLoop(model.get_weights()).evaluate(*pictures, batch_size=16)
    assert scores._asdict() == pytest.approx(expected, rel=1e-6)


def test_two_ranks_of_the_bare_loop_share_a_batch(pictures):
    x, y = pictures
    weights = network(Communicator.alone(), hidden=(8,)).get_weights()
    whole = BareLoop(weights)
    parts = [BareLoop(weights, rank, size=2) for rank in (0, 1)]
    for loop in (whole, *parts):
        loop.fit(x[:5], y[:5], batch_size=5, epochs=1, order=lambda epoch: np.arange(5))
    # The first update's momentum is a tenth of the gradient's mean.
    np.testing.assert_allclose(parts[0].momentum + parts[1].momentum, whole.momentum, rtol=1e-4, atol=1e-8)


def test_cross_entropy_of_two_equal_logits_is_log_2():
    gradient, (loss, right, rows) = cross_entropy(np.array([[3.0, 3.0]], np.float32), np.array([1]))
    assert gradient.tolist() == [[0.5, -0.5]]
    assert (loss, right, rows) == (pytest.approx(np.log(2)), 0, 1)


def test_an_order_visits_each_row_once_and_differs_from_epoch_to_epoch():
    order = shuffled(20)
    assert sorted(order(0)) == list(range(20))
    assert order(0).tolist() == order(0).tolist() != order(1).tolist()


def test_alternation_takes_turns_after_one_unmeasured_round():
    calls = []

    def timed(name, taken):
        calls.append(name)
        return taken

    compared = alternate(lambda: timed("a", 3.0), lambda: timed("b", 2.0), alternations=3)
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"
    assert compared.ratio == 1.5
    assert compared.spread == (1.5, 1.5)


def test_the_table_says_which_targets_were_missed():
    figures = [Figure(f"fit {value}", 1, value, "x", 15, at_most=1.05) for value in (1.05, 1.06)]
    *_, kept, missed = table(figures).splitlines()
    assert kept.split()[-1] == "met"
    assert missed.split()[-1] == "MISSED"


def test_a_prediction_may_miss_its_target_at_both_ends():
    figures = [
        Figure("predicted / measured", 2, value, "x", 5, at_most=1.25, at_least=0.75)
        for value in (0.7, 1.2, 1.3)
    ]
    *_, low, near, high = table(figures).splitlines()
    assert [line.split()[-1] for line in (low, near, high)] == ["MISSED", "met", "MISSED"]
    assert "0.75 - 1.25" in near


def test_every_benchmark_runs(tmp_path):
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", str(out)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    content = json.loads(out.read_text())
    assert {"processor", "mpi", "numpy"} <= set(content["machine"])
    measured = {(figure["name"], figure["ranks"]) for figure in content["figures"]}
    assert {("fit / bare loop", 1), ("fit / bare loop", 2), ("evaluate / evaluate on 1 rank", 2)} <= measured
    assert all(figure["name"] in ran.stdout for figure in content["figures"])
