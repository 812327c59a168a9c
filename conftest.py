"""Runs the Python blocks of README.md and docs/, one after the other within a file."""

import os
import tempfile
from typing import Any

import numpy as np
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

import distfit

# `make test-engines` names them: they need PyTorch, JAX and Keras.
collect_ignore_glob = [f"distfit/engines/{library}*.py" for library in ("torch", "jax", "keras")]


def in_a_folder_of_its_own(namespace: dict[str, Any]) -> None:
    """Let a document write its files where nobody minds, and train on few pictures."""
    namespace["_before"] = os.getcwd(), distfit.datasets.fashion_mnist.load_data
    os.chdir(tempfile.mkdtemp())
    distfit.datasets.fashion_mnist.load_data = few_pictures


def back(namespace: dict[str, Any]) -> None:
    """Undo that."""
    folder, distfit.datasets.fashion_mnist.load_data = namespace["_before"]
    os.chdir(folder)


def few_pictures() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return what Fashion-MNIST looks like, in a hundredth of the time."""
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (600, 28, 28), np.uint8)
    labels = generator.integers(0, 10, 600).astype(np.uint8)
    return (pictures[:500], labels[:500]), (pictures[500:], labels[500:])


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md"],
    setup=in_a_folder_of_its_own,
    teardown=back,
).pytest()
