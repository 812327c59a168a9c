"""What is wrong or slow is told, with what to do about it; and nothing where all is well."""

import re
from dataclasses import replace
from typing import Any

import pytest

from distfit.doctor import Diagnosis, Facts, Measures, findings, report
from distfit.doctor.measures import SIZES

GB = 1 << 30


def rank(number: int, host: str, **changes: Any) -> Facts:
    facts = Facts(
        rank=number,
        host=host,
        mpi="MPICH 5.0.2",
        versions={"python": "3.11.7", "numpy": "2.4.6", "mpi4py": "4.1.2", "distfit": "0.1.0"},
        blas="openblas 0.3.31",
        blas_threads=2,
        cores=[0, 1, 2, 3],
        cores_of_host=4,
        processor="Xeon",
        shared_memory=(16 * GB, 15 * GB),
        fabrics=[],
    )
    return replace(facts, **changes)


RANKS = [rank(0, "n1"), rank(1, "n1"), rank(2, "n2"), rank(3, "n2")]
MEASURES = Measures(
    all_reduce=dict(zip(SIZES, (20e-6, 30e-6, 1e-3, 16e-3), strict=True)),
    links={"n2": 5e9},
    clocks=[0.0, 0.0, 0.001, 0.001],
    folder="/shared",
    unwritable="",
    blind=[],
)


def test_there_is_nothing_to_say_where_all_is_well() -> None:
    assert findings(RANKS, MEASURES) == []


def on_second(**changes: Any) -> list[Facts]:
    return [replace(one, **changes) if one.host == "n2" else one for one in RANKS]


@pytest.mark.parametrize(
    ("ranks", "measures", "severity", "text", "remedy"),
    [
        (on_second(versions={**RANKS[0].versions, "numpy": "1.26.4"}), {}, "wrong",
         "numpy is not the same on all machines: 2.4.6 on n1; 1.26.4 on n2", "one environment"),
        (on_second(mpi="Open MPI 5.0.8"), {}, "wrong", "the MPI library is not the same", "one environment"),
        (on_second(blas="mkl 2024"), {}, "wrong", "BLAS is not the same", "one environment"),
        (RANKS, {"blind": [2, 3]}, "wrong", "/shared on n2 is not the folder that it is on n1", "file system that all"),
        (RANKS, {"unwritable": "[Errno 28] No space left"}, "wrong",
         r"nothing can be written to /shared on n1: \[Errno 28\] No space left", "Make the folder"),
        (on_second(blas_threads=3), {}, "slow", "n2 has 6 BLAS threads of 2 ranks on 4 cores", "OMP_NUM_THREADS=2"),
        (on_second(cores=[0]), {}, "slow", "n2 has 2 ranks on 1 of its 4 cores", "-bind-to none"),
        (on_second(cores=[0], cores_of_host=1), {}, "slow", "n2 has 2 ranks on 1 of its 1 cores", "fewer ranks"),
        (on_second(shared_memory=(64 << 20, 60 << 20)), {}, "slow", "n2 has 60 MiB of 64 MiB of /dev/shm free",
         "--shm-size"),
        ([replace(one, fabrics=["InfiniBand mlx5_0"]) for one in RANKS], {}, "slow",
         "InfiniBand mlx5_0 is there, but a message takes 20 us, as over TCP", "module load"),
        (RANKS, {"links": {"n2": 118e6}}, "slow",
         r"the network is the bottleneck: n2 is linked to n1 at 118 MB/s \(0.94 Gbit/s\).* take 0.34 s a step",
         "FI_TCP_IFACE"),
        (RANKS, {"links": {"n2": 118e6, "n3": 900e6, "n4": 117e6, "n5": 2e9}}, "slow",
         r"n4 is linked to n1 at 117 MB/s \(0.94 Gbit/s\), and 2 more at less than 8 Gbit/s, so that", "FI_TCP_IFACE"),
        (RANKS, {"clocks": [0.0, 0.0, -90.0, -90.0]}, "note", "the clock of n2 is 90 s behind root's", "NTP"),
        (on_second(processor="EPYC"), {}, "note", "different processors: Xeon on n1; EPYC on n2", "slowest"),
    ],
)  # fmt: skip
def test_what_is_found(ranks: Any, measures: Any, severity: str, text: str, remedy: str) -> None:
    [found] = findings(ranks, replace(MEASURES, **measures))
    assert found.severity == severity
    assert re.search(text, found.text)
    assert remedy in found.remedy


def test_the_worst_comes_first_and_a_note_alone_is_no_reason_to_worry() -> None:
    note = replace(MEASURES, clocks=[0.0, 0.0, 100.0, 100.0])
    both = findings(on_second(mpi="other", blas_threads=3), note)
    assert [one.severity for one in both] == ["wrong", "slow", "note"]
    assert Diagnosis(RANKS, note, findings(RANKS, note)).is_well
    assert not Diagnosis(RANKS, note, both).is_well


def test_a_fast_fabric_that_is_used_is_no_finding() -> None:
    ranks = [replace(one, fabrics=["InfiniBand mlx5_0"]) for one in RANKS]
    assert findings(ranks, replace(MEASURES, all_reduce={**MEASURES.all_reduce, SIZES[0]: 3e-6})) == []


def test_the_report_fits_on_a_screen() -> None:
    measures = replace(MEASURES, links={"n2": 118e6})
    text = report(Diagnosis(RANKS, measures, findings(RANKS, measures)))
    assert (
        text
        == """\
4 ranks on 2 machines: MPICH 5.0.2, python 3.11.7, numpy 2.4.6, mpi4py 4.1.2, distfit 0.1.0, openblas 0.3.31

host  ranks  cores  threads  shm free  clock    processor
n1    0,1    4      2+2      15.0 GiB  +0.0 ms  Xeon
n2    2,3    4      2+2      15.0 GiB  +1.0 ms  Xeon

all-reduce of  takes    bytes/s
8 B            20.0 us  400 kB/s
8.19 kB        30.0 us  273 MB/s
1.05 MB        1.0 ms   1.05 GB/s
16.8 MB        16.0 ms  1.05 GB/s
n1 to n2: 118 MB/s (0.944 Gbit/s)
all ranks see /shared

SLOW: the network is the bottleneck: n2 is linked to n1 at 118 MB/s (0.94 Gbit/s), so that the gradients of ten million\
 parameters take 0.34 s a step.
  -> Name a faster interface (FI_TCP_IFACE for MPICH, OMPI_MCA_btl_tcp_if_include for Open MPI), use larger batches, or\
 accumulate gradients."""
    )
