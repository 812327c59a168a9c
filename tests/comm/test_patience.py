"""How long ranks wait: from the environment, or set by the program."""

import pytest

from distfit import comm
from distfit.comm.patience import from_environment, patience


def test_the_environment_gives_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISTFIT_TIMEOUT", raising=False)
    assert from_environment("DISTFIT_TIMEOUT", 1800.0) == 1800.0
    for text, seconds in (("2.5", 2.5), ("0", 0.0), ("", 1800.0)):
        monkeypatch.setenv("DISTFIT_TIMEOUT", text)
        assert from_environment("DISTFIT_TIMEOUT", 1800.0) == seconds


@pytest.mark.parametrize("text", ["half an hour", "-1", "nan"])
def test_what_is_no_number_of_seconds_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DISTFIT_TIMEOUT", text)
    with pytest.raises(ValueError, match=f"DISTFIT_TIMEOUT is a number of seconds.*{text}"):
        from_environment("DISTFIT_TIMEOUT", 1800.0)


def test_a_program_sets_what_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "warn_after", 60.0)
    monkeypatch.setattr(patience, "timeout", 1800.0)
    comm.set_patience(warn_after=2)
    assert (patience.warn_after, patience.timeout) == (2, 1800.0)
    comm.set_patience(timeout=0)
    assert (patience.warn_after, patience.timeout) == (2, 0)
    with pytest.raises(ValueError, match=r"warn_after is a number of seconds.*-3"):
        comm.set_patience(warn_after=-3, timeout=5)
    assert (patience.warn_after, patience.timeout) == (2, 0)
