"""What documents and examples show of PyTorch models runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_code_in_the_document_runs() -> None:
    blocks = re.findall(
        r"^```py\n(.*?)^```", (ROOT / "docs" / "engines.md").read_text(), re.DOTALL | re.MULTILINE
    )
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(block, namespace)
    assert len(blocks) == 2


def example(folder: Path, *options: str) -> str:
    command = [sys.executable, ROOT / "examples" / "torch_cnn.py", "--digits", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif("config.getoption('--with-mpi')", reason="a job of its own")
def test_the_example_trains_and_goes_on(tmp_path: Path) -> None:
    printed = example(tmp_path, "--epochs", "8")
    found = re.search(r"test accuracy (\d\.\d+)", printed)
    assert found is not None
    assert float(found[1]) > 0.9
    assert (tmp_path / "out" / "torch_cnn.safetensors").exists()
