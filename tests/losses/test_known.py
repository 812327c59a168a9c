"""Losses by name."""

import inspect

import pytest

from distfit import losses


@pytest.mark.parametrize("name", losses.KNOWN)
def test_every_name_makes_a_loss_that_can_be_made_again(name):
    loss = losses.get(name)
    assert isinstance(loss, losses.Loss)
    again = type(loss).from_config(loss.get_config())
    assert vars(again) == vars(loss)


def test_arguments_are_remembered():
    loss = losses.CategoricalCrossentropy(True, label_smoothing=0.1)
    assert loss.get_config() == {"from_logits": True, "label_smoothing": 0.1}
    assert losses.CategoricalCrossentropy.from_config(loss.get_config()).from_logits is True


def test_every_public_loss_has_a_name():
    public = {c for c in vars(losses).values() if inspect.isclass(c) and issubclass(c, losses.Loss)}
    assert public - set(losses.KNOWN.values()) == {losses.Loss, losses.FunctionLoss}


def test_aliases_are_keras_names():
    assert losses.get("mse").name == "mean_squared_error"
    assert losses.get("MAE").name == "mean_absolute_error"
    assert losses.get("huber").name == "huber_loss"


def test_objects_classes_and_functions():
    loss = losses.Huber(2.0)
    assert losses.get(loss) is loss
    assert losses.get(losses.Huber).delta == 1.0
    assert isinstance(losses.get(lambda y_true, y_pred: y_pred), losses.FunctionLoss)


def test_a_typo_is_answered_with_the_near_name():
    with pytest.raises(ValueError, match="Did you mean 'mean_squared_error'"):
        losses.get("mean_square_error")


def test_anything_else_is_refused():
    with pytest.raises(ValueError, match="Received: 3 of type int"):
        losses.get(3)
