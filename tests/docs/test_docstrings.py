"""The examples in docstrings do what they say."""

import doctest
import importlib
import pkgutil

import pytest

import distfit

MODULES = sorted(module.name for module in pkgutil.walk_packages(distfit.__path__, "distfit."))
OPTIONAL = {"autograd", "jax", "keras", "torch"}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        pytest.skip(f"{error.name} is not installed")
    outcome = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert outcome.failed == 0
