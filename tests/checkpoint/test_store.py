"""The series of a training's checkpoints."""

import math
import os
import shutil
from pathlib import Path

import pytest

from distfit.checkpoint import Checkpoint, NewerCheckpoint, Retention, Store, load, state_file


def epoch(number: int, **logs: float) -> Checkpoint:
    return Checkpoint(state={"epoch": number, "logs": logs})


def names(store: Store) -> list[str]:
    return [path.name.removeprefix("checkpoint-") for path in store.paths()]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "series")


def damage(path: Path) -> None:
    (path / "state.json").write_text("{}")


def test_nothing_is_there_at_first(store: Store) -> None:
    assert (store.paths(), store.newest()) == ([], None)
    store.tidy()
    store.remove()
    assert not store.folder.exists()


def test_the_newest_alone_is_kept_unless_more_are_asked_for(store: Store) -> None:
    store.save(epoch(1))
    store.save(epoch(2))
    assert names(store) == ["000002"]
    store.save(epoch(3), Retention(last=2))
    assert names(store) == ["000003", "000002"]


def test_the_best_and_every_other_epoch_are_kept(tmp_path: Path) -> None:
    retention = Retention(last=1, best=1, monitor="val_loss", mode="min", every_epochs=2)
    for number, loss in enumerate([0.5, 0.4, 0.1, 0.6, 0.7], start=1):
        Store(tmp_path).save(
            epoch(number, val_loss=loss), retention
        )  # what was saved before is read from the disk
    assert names(Store(tmp_path)) == ["000005", "000004", "000003", "000002"]


def test_another_program_goes_on_counting(store: Store) -> None:
    store.save(epoch(1))
    path = Store(store.folder).save(epoch(2))
    assert path.name == "checkpoint-000002"


def test_a_number_is_not_used_again_whatever_has_it(store: Store) -> None:
    store.save(epoch(1))
    (store.folder / "checkpoint-000007").touch()
    assert store.save(epoch(2)).name == "checkpoint-000008"


def test_numbers_may_grow_beyond_six_digits(store: Store) -> None:
    (store.folder / "checkpoint-999999").mkdir(parents=True)
    store.save(epoch(1))
    assert store.save(epoch(2), Retention(last=2)).name == "checkpoint-1000001"
    assert names(store) == ["1000001", "1000000"]


def test_a_damaged_one_is_skipped_with_a_warning_that_names_it(store: Store) -> None:
    for number in (1, 2, 3):
        store.save(epoch(number), Retention(last=3))
    damage(store.paths()[0])
    with pytest.warns(
        UserWarning, match=r"checkpoint-000003 is damaged: state\.json is not as it was"
    ) as caught:
        found = store.newest()
    assert found is not None
    assert (found[0].name, found[1].state["epoch"], len(caught)) == ("checkpoint-000002", 2, 1)


def test_a_damaged_one_takes_no_place_of_those_that_are_kept(store: Store) -> None:
    for number in (1, 2, 3):
        store.save(epoch(number), Retention(last=3))
    damage(store.paths()[0])
    with pytest.warns(UserWarning, match="000003"):
        store.newest()
    store.save(epoch(3), Retention(last=2))
    assert names(store) == ["000004", "000002"]


@pytest.mark.parametrize("by_hand", [False, True])
def test_after_all_were_removed_what_was_known_of_them_is_forgotten(store: Store, by_hand: bool) -> None:
    retention = Retention(best=1, monitor="loss", mode="min")
    damage(store.save(epoch(1, loss=0.1), retention))
    with pytest.warns(UserWarning, match="000001 is damaged"):
        store.newest()
    if by_hand:
        shutil.rmtree(store.folder)
    else:
        store.remove()
    for loss in (0.5, 0.3, 0.4):
        store.save(epoch(1, loss=loss), retention)
    assert names(store) == ["000003", "000002"]


def test_where_all_are_damaged_there_is_none(store: Store) -> None:
    for number in (1, 2):
        damage(store.save(epoch(number), Retention(last=2)))
    with pytest.warns(UserWarning, match="damaged") as caught:
        assert store.newest() is None
    assert len(caught) == 2


def test_one_of_a_later_format_is_not_passed_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(epoch(1))
    with monkeypatch.context() as later:
        later.setattr(state_file, "VERSION", 2)
        store.save(epoch(2), Retention(last=2))
    with pytest.raises(NewerCheckpoint, match="of format 2"):
        store.newest()


def test_damaged_ones_are_no_hindrance_to_saving(store: Store) -> None:
    damage(store.save(epoch(1)))
    store.save(epoch(2), Retention(last=2, best=1, monitor="loss", mode="min"))
    assert names(store) == ["000002", "000001"]


def test_what_is_no_number_is_never_the_best(store: Store) -> None:
    retention = Retention(best=1, monitor="loss", mode="min")
    store.save(epoch(1, loss=0.5), retention)
    store.save(Checkpoint(state={"logs": {"loss": "low"}}), retention)
    store.save(Checkpoint(state={"logs": None}), retention)
    store.save(epoch(4, loss=float("nan")), retention)
    assert names(store) == ["000004", "000001"]


def test_what_else_is_in_the_folder_stays(store: Store) -> None:
    store.save(epoch(1))
    (store.folder / "notes").touch()
    store.remove()
    assert os.listdir(store.folder) == ["notes"]


def test_an_older_one_can_be_read(store: Store) -> None:
    for number in (1, 2):
        store.save(epoch(number), Retention(last=2))
    assert load(store.paths()[1]).state["epoch"] == 1


def test_the_best_of_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for accuracy in (0.5, 0.9, math.nan, 0.9, 0.7):
        store.save(Checkpoint(state={"logs": {"accuracy": accuracy}}), Retention(last=9))
    assert store.best("accuracy", "max") == tmp_path / "checkpoint-000002"
    assert store.best("accuracy", "min") == tmp_path / "checkpoint-000001"
    assert store.best("loss", "min") is None


def test_what_is_better_has_to_be_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is 'accuracy' better when it is lower, or when it is higher"):
        Store(tmp_path / "kept").save(Checkpoint(), Retention(best=1, monitor="accuracy"))
    assert not (tmp_path / "kept").exists()


def test_those_behind_a_number_are_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for _ in range(4):
        store.save(Checkpoint(), Retention(last=9))
    assert store.newest_number() == 4
    store.remove_after(2)
    assert [path.name for path in store.paths()] == ["checkpoint-000002", "checkpoint-000001"]
