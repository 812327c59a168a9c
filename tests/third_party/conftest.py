"""Callbacks that others wrote, for Keras. They import it, and it needs a backend: JAX, on the CPU."""

import os

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
