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


def aligned(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return the targets in the predictions' shape.

    Args:
        y_true: targets, in the shape of `y_pred`, or with a last axis of length 1 more or less.
        y_pred: predictions.

    Raises:
        ValueError: if the shapes differ in another way.
    """
    targets = y_true if y_true.shape == y_pred.shape else same_rank(y_true, y_pred)
    if targets.shape != y_pred.shape:
        raise ValueError(
            "targets and predictions have to be of one shape, but for a last axis of length 1: make the last"
            " layer as wide as the targets, or turn class labels into rows with utils.to_categorical."
            f" Received: y_true of shape {y_true.shape}, y_pred of shape {y_pred.shape}"
        )
    return targets


def like_predictions(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return the targets in the predictions' shape and dtype: see `aligned`."""
    return np.asarray(aligned(y_true, y_pred), y_pred.dtype)


def labels_of_shape(y_true: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return class labels in that shape, without the last axis of length 1 that they may have.

    Args:
        y_true: class labels.
        shape: of what has a class: the predictions' without their last axis.

    Raises:
        ValueError: if the shape is another.
    """
    if y_true.shape == shape:
        return y_true
    if y_true.shape == (*shape, 1):
        return y_true[..., 0]
    raise ValueError(
        f"class labels have to be of shape {shape}, one for each row of predictions; one-hot targets need the"
        f" categorical form without 'sparse'. Received: y_true of shape {y_true.shape}"
    )


def class_labels(y_true: np.ndarray, shape: tuple[int, ...], num_classes: int) -> np.ndarray:
    """Return class labels as one line of indices.

    Args:
        y_true: class labels in that shape, or with a last axis of length 1 more; of any integer dtype, or
            floats that hold integers.
        shape: of what has a class: the predictions' without their last axis.
        num_classes: how many classes there are.

    Returns:
        An array of shape ``(prod(shape),)`` intp, each in [0, num_classes).

    Raises:
        ValueError: if the shape is another, or a label is no integer or out of range; the text names the
            label and its row.
    """
    labels = labels_of_shape(y_true, shape).reshape(-1)
    if labels.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # NaN and infinities become some integer, which differs from them
            indices: np.ndarray = labels.astype(np.intp)
    else:
        indices = labels.astype(np.intp)
    # Read as unsigned, a negative label is a very large one: a look at the largest finds both.
    unsigned = indices.view(np.uintp)
    in_range = unsigned.max(initial=0) < num_classes
    if not in_range or (labels.dtype.kind == "f" and (indices != labels).any()):
        first = int(((unsigned >= num_classes) | (indices != labels)).argmax())
        raise ValueError(
            f"class labels have to be integers from 0 to {num_classes - 1}, for {num_classes} classes: make"
            " the last layer (or num_classes) as large as the labels need, or check the labels."
            f" Received: {labels[first]} in row {np.unravel_index(first, shape)[0]}"
        )
    return indices
