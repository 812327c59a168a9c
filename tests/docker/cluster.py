"""The image and the compose cluster: builds the one, starts the other, and says what is not as it should be."""

import json
import math
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from docker.podman import Podman, run

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker" / "compose.yaml"
_BIN = Path(sys.executable).parent
_CERTIFICATES = Path("/etc/ssl/certs")
_RUN_S = 300.0
_ROUNDING = 1e-9
_KUBERNETES = "1.30"
_DEBIAN = "docker.io/library/debian:bookworm-slim"

Finding = tuple[str, list[str]]
"""What was looked at, and what is wrong with it; nothing if all is well."""


def files() -> Iterator[Finding]:
    """Lint the files that need no cluster for it."""
    lints = {
        "hadolint of the Dockerfile": [_BIN / "hadolint", ROOT / "docker" / "Dockerfile"],
        "compose.yaml, by its schema": [
            *(_BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"),
            COMPOSE,
        ],
        "its scripts, by shellcheck": [_BIN / "shellcheck", *sorted((ROOT / "docker").glob("*.sh"))],
    }
    for name, command in lints.items():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        yield name, [done.stdout + done.stderr] if done.returncode else []
    yield "the pods of mpijob.yaml, by Kubernetes's schema", list(_faults_of_pods())


def _faults_of_pods() -> Iterator[str]:
    """Hold the pods' part of mpijob.yaml against Kubernetes; the rest of it is the operator's, and has its own test."""
    import kubernetes_validate

    job = yaml.safe_load((ROOT / "launch" / "mpijob.yaml").read_text())
    for role, replica in job["spec"]["mpiReplicaSpecs"].items():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": role.lower()}, **replica["template"]}
        try:
            kubernetes_validate.validate(pod, _KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{role}: {error}"


def import_debian(podman: Podman, base: Path) -> None:
    """Give the base image its name in `podman`; no registry is asked.

    Args:
        podman: whose images these are.
        base: a tar file of a Debian's files, which debootstrap makes if it is missing.
    """
    if not base.exists():
        base.parent.mkdir(parents=True, exist_ok=True)
        files = base.with_suffix(".files")
        subprocess.run(
            ["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", files],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        partial = base.with_suffix(".partial")
        subprocess.run(["tar", "-C", files, "--exclude=./dev/*", "-cf", partial, "."], check=True)
        partial.rename(base)
        subprocess.run(["rm", "-rf", "--one-file-system", files], check=True)
    podman("import", str(base), _DEBIAN)


def build(podman: Podman, mpi: str) -> None:
    """Build the image as the Dockerfile says; the machine's own certificates are for pip behind a company's proxy."""
    podman(
        *("build", "--isolation=chroot", "--network=host", f"--volume={_CERTIFICATES}:{_CERTIFICATES}:ro"),
        *(f"--build-arg=BASE_IMAGE={_DEBIAN}", f"--build-arg=MPI={mpi}"),
        *("--ignorefile", str(ROOT / "docker" / "Dockerfile.dockerignore")),
        *("--file", str(ROOT / "docker" / "Dockerfile"), "--tag", f"localhost/distfit:{mpi}", str(ROOT)),
        limit_s=900.0,
    )


def findings(podman: Podman, mpi: str, folder: Path) -> Iterator[Finding]:
    """Start the cluster, train in it, and look at what came of it."""
    image = f"localhost/distfit:{mpi}"
    secrets = podman(
        *("run", "--rm", "--network=none", "--user=0", image, "find", "/etc", "/home", "/root", "-type", "f"),
        *("-path", "*ssh*", "(", "-name", "*id_*", "-o", "-name", "*_key*", ")"),
    )
    yield "no key in the image", [f"there is {secrets}"] if secrets.strip() else []

    one_rank = ("mpiexec", "-n", "1", "/opt/distfit/bin/python", *_PROGRAM)
    alone = json.loads(podman("run", "--rm", "--network=none", _VOLUME, image, *one_rank))

    demo = _up(podman, mpi, folder, {})
    yield "compose up: the demo trains on 2 ranks", _faults_of_demo(demo)
    trained = _up(podman, mpi, folder, {"command": ["/opt/docker/launch.sh", *_PROGRAM]})
    yield from _faults_of_training(trained, alone)


_TESTS = Path(__file__).parent
_VOLUME = f"--volume={_TESTS}:/test:ro"
_PROGRAM = ("/test/program.py",)


def _up(podman: Podman, mpi: str, folder: Path, launcher: dict[str, Any]) -> list[str]:
    """Start the cluster, and return what the launcher says, until it ends.

    The project's name is new, so that no other cluster is touched.

    Args:
        podman: which has the image.
        mpi: the image's tag.
        folder: for a file of compose's.
        launcher: what is other for this service than compose.yaml tells.

    Raises:
        RuntimeError: if the launcher fails or does not end, with all that all containers said.
    """
    # Through the socket podman does not apply its own default limits, and asks for more than it may have.
    limits = {"nofile": {"soft": 1024, "hard": 4096}, "nproc": {"soft": 4096, "hard": 4096}}
    service = {"ulimits": limits, "volumes": [f"{_TESTS}:/test:ro"]}
    services = {"node-1": service, "node-2": service, "launcher": {**service, **launcher}}
    override = folder / "override.json"
    override.write_text(json.dumps({"services": services}))
    project = f"distfit-{uuid.uuid4().hex[:8]}"
    compose = [str(_BIN / "docker-compose"), "--ansi=never", "--project-name", project]
    compose += ["-f", str(COMPOSE), "-f", str(override)]
    environment = podman.environment | {"MPI": mpi}
    try:
        output = run([*compose, "up", "--no-build", "--exit-code-from", "launcher"], environment, _RUN_S)
    finally:
        run([*compose, "down", "--volumes", "--timeout=1"], environment, _RUN_S)
    return [line.partition("| ")[2] for line in output.splitlines() if line.startswith("launcher")]


def _faults_of_demo(said: list[str]) -> list[str]:
    """Look for what root says last: compose was seen to tell success where a container had not started."""
    output = "\n".join(said)
    wanted = {"it has 2 ranks": r"2 rank\(s\)", "it came to its end": r"test accuracy 0\.\d+, loss \d"}
    return [
        f"the launcher does not say that {what}:\n{output}"
        for what, words in wanted.items()
        if not re.search(words, output)
    ]


def _faults_of_training(said: list[str], alone: dict[str, Any]) -> Iterator[Finding]:
    """Compare the training on two nodes with that of one rank in one container."""
    results = [json.loads(line) for line in said if line.startswith("{")]
    yield "compose up: root tells what it trained", [] if len(results) == 1 else ["it said:", *said]
    for trained in results:
        for name, key, expected in (
            ("one rank on each node", "hosts", ["node-1", "node-2"]),
            ("as a user that is not root", "users", [1000, 1000]),
            ("one BLAS thread a rank", "threads", ["1", "1"]),
        ):
            yield name, [] if trained[key] == expected else [f"expected {expected}, found {trained[key]}"]
        pairs = zip(trained["losses"], alone["losses"], strict=True)
        equal = all(math.isclose(here, there, rel_tol=_ROUNDING) for here, there in pairs)
        faults = [] if equal else [f"expected {alone['losses']}, found {trained['losses']}"]
        yield "the losses are those of one rank", faults
