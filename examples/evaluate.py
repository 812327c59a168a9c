"""Evaluates a trained model on rows that lie in files, and writes a prediction for each of them to another file.

    mpiexec -n 2 python examples/evaluate.py out/best.safetensors x.npy y.npy --out predictions.npy

The files are mapped into memory: each rank reads its own rows of them, batch by batch, and writes its own predictions.
So a data set may be larger than any machine's memory. The scores count each row once, whatever the number of ranks, and
the predictions have the rows' order. Without files it takes the test rows of Fashion-MNIST.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from distfit import Model, datasets, load_model
from distfit.comm import Communicator


def test_rows(comm: Communicator, folder: Path) -> tuple[Path, Path]:
    """Write the test rows of Fashion-MNIST, or of the digits that come with distfit, to files; on root."""
    x, y = folder / "test_x.npy", folder / "test_y.npy"
    if comm.is_root:
        try:
            _, rows = datasets.fashion_mnist.load_data()
        except datasets.DatasetUnavailable:
            _, rows = datasets.digits.load_data()
        folder.mkdir(exist_ok=True)
        np.save(x, rows[0])
        np.save(y, rows[1])
    comm.barrier()
    return x, y


def predictions_file(model: Model, path: Path, rows: int) -> Any:
    """Make a file for all predictions on root, and map it on all ranks."""
    if model.comm.is_root:
        np.lib.format.open_memmap(path, "w+", np.float32, (rows, *model.output_shape)).flush()
    model.comm.barrier()
    return np.lib.format.open_memmap(path, "r+")


def main() -> None:
    """Evaluate, predict, and say how long it took on each machine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", type=Path, default=Path("out/best.safetensors"))
    parser.add_argument("x", nargs="?", type=Path, help="a .npy file of inputs")
    parser.add_argument("y", nargs="?", type=Path, help="a .npy file of targets")
    parser.add_argument("--out", type=Path, default=Path("out/predictions.npy"))
    parser.add_argument("--batch-size", type=int, default=1024, help="rows of all ranks together")
    options = parser.parse_args()

    model = load_model(options.model)
    comm = model.comm
    files = (options.x, options.y) if options.x and options.y else test_rows(comm, options.out.parent)
    x, y = (np.load(file, mmap_mode="r") for file in files)

    began = time.perf_counter()
    scores = model.evaluate(x, y, options.batch_size, verbose=0, return_dict=True)
    evaluated = time.perf_counter()
    out = predictions_file(model, options.out, len(x))
    model.predict(x, options.batch_size, verbose=0, out=out)
    took = evaluated - began, time.perf_counter() - evaluated

    comm.print(f"{len(x)} rows: " + ", ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    slowest: dict[str, tuple[float, float]] = {}
    for host, seconds in comm.all_gather_object((comm.host, took)):
        slowest[host] = max(slowest.get(host, seconds), seconds)
    for host, (evaluating, predicting) in slowest.items():
        comm.print(f"{host}: evaluated in {evaluating:.2f} s, predicted in {predicting:.2f} s")
    comm.print(f"{len(x)} predictions are in {options.out}")


if __name__ == "__main__":
    main()
