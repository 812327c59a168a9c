"""Adam in one pass: the same bits as in NumPy's passes, and nothing but its speed tells whether Numba is there."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from distfit import optimizers
from distfit.optimizers import adam_loop

SIZE = 300
Make = Callable[..., optimizers.Optimizer]
_known: dict[np.dtype, Callable[..., None]] = {}


@pytest.fixture(autouse=True)
def in_passes_unless_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test has compiled, another one would compare with itself."""
    monkeypatch.setattr(adam_loop, "_compiled", {})


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    return np.dtype(request.param)


def updated(optimizer: optimizers.Optimizer, dtype: np.dtype, steps: int = 5) -> dict[str, bytes]:
    """Return all that some updates of two parameters leave behind, bit by bit."""
    draw = np.random.default_rng(0)
    parts = [optimizers.Segment("kernel", 0, SIZE - 7), optimizers.Segment("bias", SIZE - 7, SIZE)]
    weights = draw.normal(size=SIZE).astype(dtype)
    optimizer.build(SIZE, dtype, parts)
    for _ in range(steps):
        optimizer.apply(weights, draw.normal(size=SIZE).astype(dtype), divisor=3)
    return {
        "weights": weights.tobytes(),
        **{name: slot.tobytes() for name, slot in optimizer.state().items()},
    }


def use_the_loop(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have it compiled for any size, and return a list that grows by one for each time that it runs."""
    pytest.importorskip("numba")
    runs: list[int] = []
    run = adam_loop.run

    def counted(*args: Any) -> bool:
        has_run = run(*args)
        runs.extend([1] * has_run)
        return has_run

    monkeypatch.setattr(adam_loop, "_compiled", _known)  # once for all tests
    monkeypatch.setattr(adam_loop, "SMALLEST", 1)
    monkeypatch.setattr(adam_loop, "run", counted)
    return runs


@pytest.mark.parametrize(
    "make",
    [
        optimizers.Adam,
        lambda: optimizers.Adam(0.3, beta_1=0.5, beta_2=0.7, epsilon=1e-3),
        lambda: optimizers.Adam(0.01, use_ema=True, global_clipnorm=0.5),
        lambda: optimizers.AdamW(0.01, weight_decay=0.1),
        lambda: optimizers.Adam(
            np.float64(0.1), *np.array([0.9, 0.99, 1e-3]), global_clipnorm=np.float64(0.5)
        ),
        lambda: optimizers.Adam(optimizers.schedules.ExponentialDecay(0.1, 2, 0.9), weight_decay=0.01),
    ],
)
def test_weights_and_moments_have_the_same_bits(
    make: Make, dtype: np.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_passes = updated(make(), dtype)
    runs = use_the_loop(monkeypatch)
    assert updated(make(), dtype) == in_passes
    assert runs


@given(data=st.data())
def test_whatever_the_numbers_are(data: st.DataObject) -> None:
    pytest.importorskip("numba")
    dtype = np.dtype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adam_loop, "_compiled", _known)
        adam_loop.prepare(dtype)
    anything = st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True)
    weights, gradients = (data.draw(arrays(dtype, 9, elements=anything)) for _ in range(2))
    left = []
    for compiled in (_known, {}):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(adam_loop, "_compiled", compiled)
            optimizer, changed = optimizers.Adam(0.5), weights.copy()
            optimizer.build(9, dtype, [optimizers.Segment("kernel", 0, 9)])
            for _ in range(3):
                optimizer.apply(changed, gradients.copy(), divisor=7)
            left.append([changed, *optimizer.state().values()])
    for one, other in zip(*left, strict=True):
        np.testing.assert_array_equal(one, other)  # any NaN is a NaN: which one is the processor's affair


def test_what_has_no_loop_goes_as_before(dtype: np.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    in_passes = updated(optimizers.Adam(amsgrad=True), dtype)
    runs = use_the_loop(monkeypatch)
    assert updated(optimizers.Adam(amsgrad=True), dtype) == in_passes
    assert not runs


def test_a_subclass_with_a_step_of_its_own_keeps_it(dtype: np.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    class Still(optimizers.Adam):
        def update(self, chunk: Any, step: Any) -> None:
            chunk.slots["momentum"] += 1

    runs = use_the_loop(monkeypatch)
    left = updated(Still(), dtype, steps=2)
    assert left["momentum"] == np.full(SIZE, 2, dtype).tobytes()
    assert not runs


def test_a_small_model_does_not_load_numba() -> None:
    program = (
        "import sys, numpy as np; from distfit import optimizers as o\n"
        "small, large = (o.Adam() for _ in range(2))\n"
        "small.build(1000, 'float32', [o.Segment('kernel', 0, 1000)]); print('numba' in sys.modules)\n"
        "large.build(300_000, 'float32', [o.Segment('kernel', 0, 1000)]); print('numba' in sys.modules)\n"
    )
    pytest.importorskip("numba")
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("way", ["absent", "switched off"])
def test_without_numba(way: str, dtype: np.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    in_passes = updated(optimizers.Adam(), dtype)
    monkeypatch.setattr(adam_loop, "SMALLEST", 1)
    if way == "absent":
        monkeypatch.setattr(adam_loop.importlib.util, "find_spec", lambda _: None)
    else:
        numba = pytest.importorskip("numba")
        monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert updated(optimizers.Adam(), dtype) == in_passes
    assert not adam_loop._compiled


def test_a_numba_that_does_not_work_is_told_and_done_without(
    dtype: np.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    def njit(**_: Any) -> None:
        raise ImportError("Numba needs another NumPy")

    numba = pytest.importorskip("numba")
    in_passes = updated(optimizers.Adam(), dtype)
    monkeypatch.setattr(adam_loop, "SMALLEST", 1)
    monkeypatch.setattr(numba, "njit", njit)
    with pytest.warns(RuntimeWarning, match=r"without it \(Numba needs another NumPy\).* that fits NumPy"):
        assert updated(optimizers.Adam(), dtype) == in_passes
