"""What documents and examples show of Keras models runs."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_the_code_in_the_document_runs() -> None:
    text = (ROOT / "docs" / "engines.md").read_text()
    (block,) = re.findall(r"^```py keras\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    exec(block, {"np": np})


@pytest.mark.skipif("config.getoption('--with-mpi')", reason="a job of its own")
def test_the_example_trains(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "examples" / "keras_mlp.py", "--digits", "--epochs", "12"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    found = re.search(r"test accuracy (\d\.\d+)", done.stdout)
    assert found is not None
    assert float(found[1]) > 0.85
    assert (tmp_path / "out" / "keras_mlp.keras").exists()
