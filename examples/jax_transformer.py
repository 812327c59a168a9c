"""Trains a small transformer of JAX to write like a licence, on as many ranks as mpiexec starts.

    mpiexec -n 2 python examples/jax_transformer.py --epochs 20

The function, its parameters, the loss and the optimizer are JAX's and optax's; rows, ranks, logs and dropout by row are
distfit's.
"""

import argparse
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from distfit import JaxModel, utils
from distfit.engines.jax import dropout

LENGTH, WIDTH, HEADS, LAYERS = 32, 32, 4, 1


def licences(characters: int) -> str:
    """Return so much of the licences of the packages that are installed here."""
    files = sorted(
        {
            path.locate()
            for package in ("numpy", "mpi4py", "jax")
            for path in metadata.files(package) or []
            if path.name.startswith("LICENSE")
        },
        key=lambda path: path.stat().st_size,
    )
    text = "\n".join(path.read_text(encoding="ascii", errors="ignore") for path in files)
    return " ".join(text.split())[:characters]


def parameters(letters: int) -> dict[str, Any]:
    """Return the parameters of a transformer, in float32."""
    generator = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return generator.normal(0, rows**-0.5, (rows, columns)).astype("float32")

    layers = {
        f"layer {number}": {
            "mix": matrix(WIDTH, 3 * WIDTH), "back": matrix(WIDTH, WIDTH),
            "up": matrix(WIDTH, 4 * WIDTH), "down": matrix(4 * WIDTH, WIDTH),
        }
        for number in range(LAYERS)
    }  # fmt: skip
    return {
        "letter": matrix(letters, WIDTH),
        "place": matrix(LENGTH, WIDTH),
        "out": matrix(WIDTH, letters),
    } | layers


def transformer(params: dict[str, Any], x: Any, rng: Any) -> Any:
    """Return what comes behind each letter ``(rows, LENGTH)``: logits ``(rows, LENGTH, letters)``."""
    hidden = params["letter"][x] + params["place"]
    for number in range(LAYERS):
        layer = params[f"layer {number}"]
        heads = (normalized(hidden) @ layer["mix"]).reshape(len(x), LENGTH, 3, HEADS, WIDTH // HEADS)
        mixed = jax.nn.dot_product_attention(*jnp.moveaxis(heads, 2, 0), is_causal=True)
        hidden = hidden + mixed.reshape(hidden.shape) @ layer["back"]
        hidden = hidden + dropout(rng, 0.1, jax.nn.gelu(normalized(hidden) @ layer["up"])) @ layer["down"]
    return normalized(hidden) @ params["out"]


def normalized(x: Any) -> Any:
    """Return layer normalization: of each letter by itself, hence of any number of ranks."""
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)


def main() -> None:
    """Train, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64, help="of all ranks together")
    parser.add_argument("--characters", type=int, default=20_000, help="of text")
    options = parser.parse_args()

    text = licences(options.characters)
    letters = sorted(set(text))
    numbers = np.array([letters.index(letter) for letter in text])
    rows = np.lib.stride_tricks.sliding_window_view(numbers, LENGTH + 1)[:: LENGTH // 2]

    utils.set_random_seed(1)
    model = JaxModel(transformer, parameters(len(letters)))
    model.compile(optax.adamw(3e-3), optax.losses.softmax_cross_entropy_with_integer_labels)
    model.fit(rows[:, :-1], rows[:, 1:], batch_size=options.batch_size, epochs=options.epochs, verbose=2)

    written = list(numbers[:LENGTH])
    for _ in range(40):
        logits = model.predict(np.array([written[-LENGTH:]]), verbose=0)
        written.append(int(logits[0, -1].argmax()))
    model.comm.print("It writes: " + "".join(letters[number] for number in written))


if __name__ == "__main__":
    main()
