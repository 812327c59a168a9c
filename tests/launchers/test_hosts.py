"""Lists and files of hosts, as people and other programs write them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distfit.errors import LaunchError
from distfit.launchers.hosts import parse_hosts, read_hostfile

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,6}[a-z0-9](\.[a-z]{2,3})?", fullmatch=True)
SLOTS = st.dictionaries(NAMES, st.integers(1, 999), min_size=1, max_size=6)


@given(SLOTS)
def test_a_list_is_read_as_it_was_written(slots: dict[str, int]) -> None:
    read = parse_hosts(",".join(f"{host}:{number}" for host, number in slots.items()))
    assert list(read.items()) == list(slots.items())  # in the same order: root runs on the first


@given(
    SLOTS, st.sampled_from(["{}:{}", "{} slots={}", "{}   slots = {} max_slots=9999", "  {}:{}  # a comment"])
)
def test_a_file_is_read_as_it_was_written(slots: dict[str, int], form: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        text = "# hosts\n\n" + "".join(form.format(host, number) + "\n" for host, number in slots.items())
        patch.setattr(Path, "read_text", lambda *_, **__: text)
        assert list(read_hostfile(Path("hosts")).items()) == list(slots.items())


def test_a_name_is_a_place_each_time_that_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("node1\nnode1\nnode2\n10.0.0.7\n[fe80::1]:2\n")  # as PBS and LSF write it, and addresses
    assert read_hostfile(path) == {"node1": 2, "node2": 1, "10.0.0.7": 1, "[fe80::1]": 2}
    assert parse_hosts("node1,node2:3, node1") == {"node1": 2, "node2": 3}


@pytest.mark.parametrize(
    "line", ["node1:two", "node1:0", "node1 slot=2", "node1 4", "-x", "node1:2,node2:2", "a b c", "node1;rm"]
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "hosts"
    path.write_text(f"# hosts\nnode1:2\n{line}\n")
    with pytest.raises(LaunchError) as raised:
        read_hostfile(path)
    assert str(raised.value) == (
        f"{path}, line 3: a line is `name`, `name:4` or `name slots=4`. Received: {line!r}"
    )


@pytest.mark.parametrize("text", ["node1:two", "node1:2,", ":2", "node1 slots=2", "", "-oProxyCommand=x"])
def test_a_bad_list_is_named(text: str) -> None:
    with pytest.raises(LaunchError, match="--hosts is name:ranks,name:ranks") as raised:
        parse_hosts(text)
    assert repr(text) in str(raised.value)


def test_a_file_that_says_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"cannot be read.*hosts"):
        read_hostfile(tmp_path / "hosts")
    (tmp_path / "hosts").write_text("# none yet\n")
    with pytest.raises(LaunchError, match="names no host"):
        read_hostfile(tmp_path / "hosts")
