"""Targets brought into the form of the predictions, as losses and metrics need them."""

import numpy as np


def floating(array: np.ndarray) -> np.ndarray:
    """Return the array itself if it holds floating-point numbers, else a float64 copy."""
    return array if array.dtype.kind == "f" else np.asarray(array, np.float64)


def same_rank(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return the targets with a last axis of length 1 added or dropped, where the predictions have it so.

    Without this, ``(rows,)`` and ``(rows, 1)`` would broadcast to ``(rows, rows)``. Keras does the same.
    """
    if y_true.ndim + 1 == y_pred.ndim and y_pred.shape[-1] == 1:
        return y_true[..., np.newaxis]
    if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        return y_true[..., 0]
    return y_true


def like_predictions(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return the targets in the predictions' shape and dtype.

    Args:
        y_true: targets, in the shape of `y_pred`, or with a last axis of length 1 more or less.
        y_pred: predictions, floating point.

    Raises:
        ValueError: if the shapes differ in another way.
    """
    aligned = y_true if y_true.shape == y_pred.shape else same_rank(y_true, y_pred)
    if aligned.shape != y_pred.shape:
        raise ValueError(
            "targets and predictions have to be of one shape, but for a last axis of length 1: make the last"
            f" layer as wide as the targets. Received: y_true of shape {y_true.shape},"
            f" y_pred of shape {y_pred.shape}"
        )
    return np.asarray(aligned, y_pred.dtype)


def class_labels(y_true: np.ndarray, shape: tuple[int, ...], num_classes: int) -> np.ndarray:
    """Return class numbers as one line of indices.

    Args:
        y_true: class numbers in that shape, or with a last axis of length 1 more; of any integer dtype, or
            floats that hold integers.
        shape: of what has a class: the predictions' without their last axis.
        num_classes: how many classes there are.

    Returns:
        An array of shape ``(prod(shape),)`` intp, each in [0, num_classes).

    Raises:
        ValueError: if the shape is another, or a label is no integer or out of range; the text names label
        and row.
    """
    if y_true.shape not in (shape, (*shape, 1)):
        raise ValueError(
            f"class labels have to be of shape {shape}, one for each row of predictions over {num_classes}"
            " classes; one-hot targets need the categorical form without 'sparse'."
            f" Received: y_true of shape {y_true.shape}"
        )
    labels = y_true.reshape(-1)
    if labels.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # NaN and infinities become some integer, which differs from them
            indices = labels.astype(np.intp)
        wrong = indices != labels
    else:
        indices = labels.astype(np.intp)
        wrong = None
    # Read as unsigned, a negative label is a very large one: one comparison finds both.
    out_of_range = indices.view(np.uintp) >= num_classes
    bad = out_of_range if wrong is None else out_of_range | wrong
    if bad.any():
        first = int(bad.argmax())
        row = np.unravel_index(first, shape)[0]
        raise ValueError(
            f"class labels have to be integers from 0 to {num_classes - 1}, as the predictions have"
            f" {num_classes} classes: give the last layer more units, or check the labels."
            f" Received: {labels[first]} in row {row}"
        )
    return indices
