"""What documents and examples show of JAX models runs."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_code_in_the_document_runs() -> None:
    blocks = re.findall(
        r"^```py jax\n(.*?)^```", (ROOT / "docs" / "engines.md").read_text(), re.DOTALL | re.MULTILINE
    )
    namespace: dict[str, object] = {}
    for block in blocks:
        other = re.search(r"^(?:from|import) (flax|equinox)", block, re.MULTILINE)
        if other is None or importlib.util.find_spec(other[1]):
            exec(block, namespace)
    assert len(blocks) == 4


@pytest.mark.skipif("config.getoption('--with-mpi')", reason="a job of its own")
@pytest.mark.parametrize("ranks", [1, 2])
def test_the_example_learns_to_write(ranks: int, tmp_path: Path) -> None:
    mpiexec = Path(sys.executable).with_name("mpiexec")
    command = [mpiexec, "-n", str(ranks), sys.executable, ROOT / "examples" / "jax_transformer.py"]
    done = subprocess.run(
        [*command, "--epochs", "2", "--characters", "3000"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    first, second = map(float, re.findall(r"loss: (\d+\.\d+)", done.stdout))
    assert second < first
    assert done.stdout.count("It writes: ") == 1
