"""Fashion-MNIST: 70,000 grey pictures of clothes in ten classes (Xiao, Rasul & Vollgraf, 2017)."""

from pathlib import Path

import numpy as np

from distfit.data import node_shared
from distfit.datasets.fetching import Source, fetch
from distfit.datasets.idx import read_idx

SOURCE = Source(
    name="fashion-mnist",
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    sha256={
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    system_folder=Path("/usr/share/datasets/fashion-mnist"),
    package="dataset-fashion-mnist",
)


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return the pictures and their classes.

    The classes are 0 T-shirt/top, 1 Trouser, 2 Pullover, 3 Dress, 4 Coat, 5 Sandal, 6 Shirt, 7 Sneaker, 8 Bag
    and 9 Ankle boot.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: 60,000 and 10,000 rows, uint8. A picture has shape (28, 28)
        and values from 0 (background) to 255. Read-only; ``.copy()`` is not.

    Raises:
        DatasetUnavailable: if the data are not on this machine and cannot be downloaded.

    Ranks: local; ranks that share a disk download once, and those of a node share one copy.
    """
    paths = fetch(SOURCE)
    x_train, y_train, x_test, y_test = node_shared(
        lambda: tuple(read_idx(path) for path in paths), name=" ".join(map(str, paths))
    )
    return (x_train, y_train), (x_test, y_test)
