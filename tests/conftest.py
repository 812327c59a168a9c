"""What all tests share: ranks in step, and property tests that try the same examples on each of them."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["mpi_meeting"]

# Programs: those that made expected values, with libraries that the tests do without, and the one with a fault in it.
# And tests of other libraries' models, for which the same holds as for the next.
collect_ignore_glob = [
    "*/reference/*",
    "faults/program.py",
    "faults/interrupted.py",
    "support/faulty_torch.py",
    "engines/test_torch*.py",
    "engines/test_jax*.py",
    "engines/test_keras*.py",
]

# What needs the libraries of the extra `engines`: `make test-engines` names it.
collect_ignore = ["third_party"]

# Examples are a function of the test alone: ranks that drew different ones would take different paths. A
# deadline, or a limit to the time that examples take to draw, would fail a test for what else the machine does.
settings.register_profile(
    "distfit",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("distfit")
