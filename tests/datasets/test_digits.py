"""The digits that come with distfit are scikit-learn's."""

import numpy as np
from sklearn.datasets import load_digits

from distfit.datasets import digits


def test_digits() -> None:
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert x_train.shape == (1500, 8, 8)
    assert x_test.shape == (297, 8, 8)
    assert x_train.dtype == y_train.dtype == np.uint8
    expected = load_digits()
    assert np.array_equal(np.concatenate([x_train, x_test]), expected.images)
    assert np.array_equal(np.concatenate([y_train, y_test]), expected.target)
