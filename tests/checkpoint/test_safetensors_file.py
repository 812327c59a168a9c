"""What distfit writes any safetensors library reads, and the other way round."""

from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers

from distfit.checkpoint import DamagedCheckpoint
from distfit.checkpoint.digest_file import DigestFile
from distfit.checkpoint.safetensors_file import parse_safetensors, write_safetensors

DTYPES = ["bool", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8"]
ARRAYS = numbers.arrays(
    st.sampled_from(DTYPES), numbers.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
)
NAMES = st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__")


def written(
    folder: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None
) -> tuple[Path, np.ndarray]:
    path = folder / "arrays.safetensors"
    path.unlink(missing_ok=True)
    with DigestFile(path) as file:
        write_safetensors(file, arrays, metadata)
        file.finish()
    return path, np.fromfile(path, np.uint8)


def assert_same(read: dict[str, np.ndarray], arrays: dict[str, np.ndarray]) -> None:
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        assert read[name].tobytes() == array.tobytes()


@given(
    arrays=st.dictionaries(NAMES, ARRAYS, max_size=4),
    text=st.dictionaries(NAMES, st.text(max_size=4), max_size=2),
)
def test_the_library_reads_what_is_written(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray], text: dict[str, str]
) -> None:
    path, content = written(tmp_path_factory.mktemp("arrays"), arrays, text)
    assert_same(safetensors.numpy.load_file(path), arrays)
    with safetensors.safe_open(path, framework="numpy") as file:
        assert (file.metadata() or {}) == text
    read, metadata = parse_safetensors(content, path)
    assert_same(read, arrays)
    assert (list(read), metadata) == (list(arrays), text)


@given(arrays=st.dictionaries(NAMES, ARRAYS, max_size=4))
def test_what_the_library_writes_is_read(arrays: dict[str, np.ndarray]) -> None:
    content = np.frombuffer(safetensors.numpy.save(arrays, {"by": "the library"}), np.uint8)
    read, metadata = parse_safetensors(content, "a file")
    assert_same(read, arrays)
    assert metadata == {"by": "the library"}


def test_views_and_other_orders_of_bytes_are_written_as_what_they_show(tmp_path: Path) -> None:
    array = np.arange(12.0).reshape(3, 4)
    path, _ = written(tmp_path, {"turned": array.T, "part": array[::2, 1:3], "big": array.astype(">f8")})
    read = safetensors.numpy.load_file(path)
    np.testing.assert_array_equal(read["turned"], array.T)
    np.testing.assert_array_equal(read["part"], array[::2, 1:3])
    np.testing.assert_array_equal(read["big"], array)


def test_arrays_are_aligned_in_the_file_and_may_be_written_to_once_read(tmp_path: Path) -> None:
    _, content = written(
        tmp_path, {"odd": np.zeros(3, np.uint8), "wide": np.zeros(2), "half": np.zeros(1, "f2")}
    )
    for array in parse_safetensors(content, "a file")[0].values():
        assert array.flags.aligned
        assert array.flags.writeable


@pytest.mark.parametrize("dtype", ["c8", "U3", "O", "M8[s]"])
def test_a_dtype_that_there_is_not_is_named(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(
        TypeError, match=rf"Received: {np.dtype(dtype)}".replace("[", r"\[") + " for 'dense/kernel'"
    ):
        written(tmp_path, {"dense/kernel": np.zeros(1, dtype)})


def test_the_name_that_is_kept_for_metadata_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'__metadata__', which safetensors keeps"):
        written(tmp_path, {"__metadata__": np.zeros(1)})


@given(content=st.binary(max_size=200), header=st.none() | st.binary(max_size=60))
def test_other_bytes_are_an_error_that_names_the_file(content: bytes, header: bytes | None) -> None:
    if header is not None:
        content = len(header).to_bytes(8, "little") + header + content
    with pytest.raises(DamagedCheckpoint, match=r"weights\.safetensors is no safetensors file"):
        parse_safetensors(np.frombuffer(content, np.uint8), "weights.safetensors")


@pytest.mark.parametrize(
    "header",
    [
        '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,16]}}',
        '{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}',
        '{"a":{"dtype":"F32","shape":[-1],"data_offsets":[8,0]}}',
        '{"a":{"dtype":"X1","shape":[2],"data_offsets":[0,8]}}',
        '{"a":{"dtype":"F32","shape":[2]}}',
        '{"a":[]}',
        "[]",
    ],
)
def test_a_header_that_does_not_fit_is_an_error(header: str) -> None:
    content = len(header).to_bytes(8, "little") + header.encode() + bytes(8)
    with pytest.raises(DamagedCheckpoint, match="is no safetensors file"):
        parse_safetensors(np.frombuffer(content, np.uint8), "weights.safetensors")
