"""What `import distfit` brings along, and what it does not."""

import subprocess
import sys

import pytest

import distfit
from distfit import _startup

HEAVY = (
    "mpi4py",
    "torch",
    "jax",
    "keras",
    "tensorflow",
    "matplotlib",
    "sklearn",
    "numpy",
    "safetensors",
    "pooch",
)


def test_the_import_starts_nothing_heavy() -> None:
    program = f"import distfit, sys; print([name for name in {HEAVY} if name in sys.modules])"
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "[]"


def test_the_model_starts_no_mpi_before_it_needs_the_other_ranks() -> None:
    program = (
        "import sys; from distfit import Sequential, layers;"
        "model = Sequential([layers.Dense(1, input_shape=(2,))]); model.compile(loss='mse');"
        "print('mpi4py' in sys.modules)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "False"


@pytest.mark.parametrize("name", distfit.__all__)
def test_public_names_are_there(name: str) -> None:
    assert getattr(distfit, name) is not None


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sequental'"):
        distfit.Sequental  # noqa: B018


def test_the_other_project_of_this_name_in_the_same_folder(tmp_path, monkeypatch) -> None:
    (tmp_path / "distfit.py").touch()
    monkeypatch.setattr(_startup, "__file__", str(tmp_path / "_startup.py"))
    with pytest.raises(ImportError, match="separate environments"):
        _startup.check_alone()
