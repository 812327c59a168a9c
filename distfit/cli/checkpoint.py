"""``python -m distfit checkpoint …``: looks at checkpoints, without training."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
