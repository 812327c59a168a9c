"""Fashion-MNIST in small, and the real one where this machine has it."""

import gzip
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distfit.datasets import fashion_mnist


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_which_file_is_which(tmp_path: Path, monkeypatch) -> None:
    pictures = np.arange(3 * 4, dtype=np.uint8).reshape(3, 2, 2)
    classes = np.array([9, 0, 3], np.uint8)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", pictures)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", classes)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", pictures[:1])
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", classes[:1])
    monkeypatch.setattr(fashion_mnist, "SOURCE", replace(fashion_mnist.SOURCE, system_folder=tmp_path))
    (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()
    assert np.array_equal(x_train, pictures)
    assert np.array_equal(y_train, classes)
    assert x_test.shape == (1, 2, 2)
    assert y_test.tolist() == [9]


@pytest.mark.skipif(
    not fashion_mnist.SOURCE.system_folder.is_dir(),
    reason="the package dataset-fashion-mnist is not installed",
)
def test_the_real_one() -> None:
    (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()
    assert x_train.shape == (60000, 28, 28)
    assert x_test.shape == (10000, 28, 28)
    assert x_train.dtype == y_train.dtype == np.uint8
    assert np.bincount(y_train).tolist() == [6000] * 10
    assert np.bincount(y_test).tolist() == [1000] * 10
    # The mean and deviation that are quoted for its normalization.
    assert x_train.mean() / 255 == pytest.approx(0.2860, abs=1e-4)
    assert x_train.std() / 255 == pytest.approx(0.3530, abs=1e-4)
