"""The variables that ranks are given, on this machine and on others."""

import re
from collections.abc import Iterable, Mapping

from distfit.errors import LaunchError

_NAME = re.compile(r"[A-Za-z_]\w*")
# What is true of one machine or one session alone; and what launchers pass on, or must not see, themselves.
_OWN = frozenset({
    "DISPLAY", "HOST", "HOSTNAME", "LOGNAME", "MAIL", "OLDPWD", "PWD", "SHLVL", "TEMP", "TERM", "TMP", "TMPDIR", "TTY",
    "USER", "XAUTHORITY", "_",
})  # fmt: skip
_OWN_BEGINNINGS = (
    "DBUS_", "HYDI_", "HYDRA_", "OMPI_", "PMIX_", "PMI_", "PRTE_", "SLURM_", "SSH_", "XDG_",
)  # fmt: skip


def forwarded(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that mean the same on every machine, in their order.

    A program that reads one of them would otherwise do something else on other machines: sshd starts processes with
    none of them, and the image of a container does not set them there.

    Args:
        environment: of this process.

    Ranks: local.

    Example:
        >>> forwarded({"OMP_NUM_THREADS": "2", "LEARNING_RATE": "0.1", "TMPDIR": "/scratch", "SSH_TTY": "/dev/pts/1"})
        ['LEARNING_RATE', 'OMP_NUM_THREADS']
    """
    return sorted(
        name
        for name in environment
        if _NAME.fullmatch(name) and name not in _OWN and not name.startswith(_OWN_BEGINNINGS)
    )


def chosen(settings: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that ``--env`` names.

    Args:
        settings: each ``NAME=VALUE``, or ``NAME`` for one that is set here.
        environment: of this process.

    Raises:
        LaunchError: for what is no name, or not set.

    Ranks: local.

    Example:
        >>> chosen(["LEARNING_RATE=0.1", "HOME"], {"HOME": "/home/me"})
        {'LEARNING_RATE': '0.1', 'HOME': '/home/me'}
    """
    found = {}
    for setting in settings:
        name, given, value = setting.partition("=")
        if not _NAME.fullmatch(name):
            raise LaunchError(f"--env is NAME=VALUE, or NAME for one that is set. Received: {setting!r}")
        if not given and name not in environment:
            raise LaunchError(f"--env {name} has no value, and is not set here. Write --env {name}=VALUE")
        found[name] = value if given else environment[name]
    return found
