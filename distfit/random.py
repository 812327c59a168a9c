"""Random numbers that belong to a row, so that they do not depend on which rank holds it.

Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) is a function from a key and a counter to
random bits: any place of its stream is reached at once. The key names the run and the stream (a layer, an
augmentation), the counter's upper words the step and the call, its lower word the row. A row takes a whole number of
the generator's blocks, so that a rank which holds rows 128 to 255 starts at row 128's block and draws what
one rank would have drawn there.
"""

import zlib
from dataclasses import dataclass, field

import numpy as np

from distfit import config

_WORDS_PER_BLOCK = 4  # Philox 4x64 yields four 64-bit words a counter value
_MASK_64 = (1 << 64) - 1


@dataclass(slots=True)
class RowGenerator:
    """Random numbers for consecutive rows of one global batch.

    Attributes:
        seed: the run's seed.
        stream: what draws: a layer's position, or a name's number from `stream_of`.
        step: the global batch's number since the start of training.
        first_row: the position of the first row within the global batch.
        rows: how many rows this rank holds.

    Ranks: local; equal rows get equal numbers on whichever rank.

    Example:
        >>> from distfit.random import RowGenerator
        >>> whole = RowGenerator(seed=1, stream=0, step=0, first_row=0, rows=4).uniform((3,))
        >>> part = RowGenerator(seed=1, stream=0, step=0, first_row=2, rows=2).uniform((3,))
        >>> bool((whole[2:] == part).all())
        True
    """

    seed: int
    stream: int
    step: int
    first_row: int
    rows: int
    calls: int = field(default=0)

    def uniform(self, shape: tuple[int, ...] = (), dtype: str | None = None) -> np.ndarray:
        """Draw numbers in [0, 1).

        Args:
            shape: of one row.
            dtype: ``"float32"`` or ``"float64"``. Defaults to `config.floatx`.

        Returns:
            An array of shape ``(rows, *shape)``. The second call draws other numbers than the first.
        """
        dtype = dtype or config.floatx()
        draws = int(np.prod(shape))
        per_block = _WORDS_PER_BLOCK * (8 // np.dtype(dtype).itemsize)
        blocks = -(-draws // per_block)
        generator = np.random.Generator(self._philox(self.first_row * blocks))
        drawn = generator.random((self.rows, blocks * per_block), dtype=np.dtype(dtype).type)
        return drawn[:, :draws].reshape(self.rows, *shape)

    def normal(self, shape: tuple[int, ...] = (), dtype: str | None = None) -> np.ndarray:
        """Draw standard normal numbers, by the transform of Box and Muller (1958).

        NumPy's own normals take a varying count of draws, so that a row's place in the stream would depend on the
        rows before it.

        Args:
            shape: of one row.
            dtype: ``"float32"`` or ``"float64"``. Defaults to `config.floatx`.

        Returns:
            An array of shape ``(rows, *shape)``.
        """
        uniforms = self.uniform((2, *shape), "float64")
        radius = np.sqrt(-2.0 * np.log1p(-uniforms[:, 0]))
        normals = radius * np.cos(2.0 * np.pi * uniforms[:, 1])
        return np.asarray(normals, dtype or config.floatx())

    def _philox(self, first_block: int) -> np.random.Philox:
        call, self.calls = self.calls, self.calls + 1
        key = np.array([self.seed & _MASK_64, self.stream & _MASK_64], np.uint64)
        counter = np.array([first_block, 0, self.step, call], np.uint64)
        return np.random.Philox(key=key, counter=counter)


def stream_of(name: str) -> int:
    """Return a number for a named stream, far from those of layers, which count from zero."""
    return (1 << 32) + zlib.crc32(name.encode())


def draw_seed() -> int:
    """Draw a seed from the operating system's entropy: for runs in which the user set none."""
    return int(np.random.SeedSequence().generate_state(1, np.uint32)[0])
