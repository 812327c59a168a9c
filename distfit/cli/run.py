"""``python -m distfit run …``: starts a job of several ranks, and starts it again where it failed."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
