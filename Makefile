# make demo: see it train.  make test: all checks and tests.  make help: the rest.
# PYTHON=python3.12 make test uses another Python; VENV=elsewhere another folder for the environment.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAGE := $(PYTHON) tools/budget.py run
# Small functions take longer to compile than to run.
JAX := KERAS_BACKEND=jax JAX_PLATFORMS=cpu JAX_DISABLE_MOST_OPTIMIZATIONS=1

SCRIPTS := .ci/run $(wildcard launch/*.sh) launch/slurm.sbatch docker/launch.sh docker/with-keys.sh

.DEFAULT_GOAL := help
.PHONY: help demo train test check lint test-serial test-faults test-engines test-engines-3 test-launch test-site-mpi test-docker test-slurm faults bench clean demo-environment \
	test-environment engines-environment openmpi-environment site-environment

help: ## say what can be made
	@grep -hE '^[a-zA-Z%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: demo-environment ## train on Fashion-MNIST with one rank, then with two, and plot the history
	@$(STAGE) "README and demo" $(MAKE) --no-print-directory train

train:
	@echo "== 1 rank on one core"
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/mpiexec -n 1 $(BIN)/python examples/fashion_mnist.py --epochs 3
	@echo "== 2 ranks on two cores"
	@$(BIN)/mpiexec -n 2 $(BIN)/python examples/fashion_mnist.py --epochs 12

test: test-environment ## check, and run all tests at 1, 2, 3 and 4 ranks
	@$(MAKE) --no-print-directory check test-serial test-4 test-faults

check: test-environment ## lint, types, layering, spelling, shell scripts
	@$(STAGE) "lint and types" $(MAKE) --no-print-directory lint

lint:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/codespell
	@$(BIN)/shellcheck $(SCRIPTS)

test-serial: test-environment ## run the tests of one rank
	@$(STAGE) "tests" $(BIN)/python -m pytest --ignore=tests/mpi

test-%: test-environment ## test-4: run the tests of several ranks, with up to 4
	@$(STAGE) "tests" $(BIN)/python tests/run_mpi.py -n $*

test-faults: test-environment ## run jobs in which something goes wrong, or that are killed: the quick part of both matrices
	@$(STAGE) "faults" $(BIN)/python tests/run_faults.py --quick
	@$(STAGE) "faults" $(BIN)/python tests/run_kills.py --quick

faults: test-environment engines-environment openmpi-environment ## run the whole fault matrix, on MPICH and Open MPI, all kills, and the quick part of both with PyTorch; write their tables
	@$(BIN)/python tests/run_faults.py --open-mpi $(VENV)-openmpi/bin/python --table tests/faults/RESULTS.md
	@$(BIN)/python tests/run_kills.py --table tests/faults/KILLS.md
	@$(BIN)/python tests/run_faults.py --quick --engine torch --table tests/faults/RESULTS-torch.md
	@$(BIN)/python tests/run_kills.py --quick --engine torch --table tests/faults/KILLS-torch.md

test-engines: engines-environment ## run what needs other libraries: their callbacks, all engines at 2 to 4 ranks, faults and a kill with PyTorch
	@$(STAGE) "engines" $(BIN)/python tests/run_mpi.py -n 2 tests/third_party
	@$(STAGE) "engines" $(BIN)/python -m pytest tests/engines/test_torch*.py distfit/engines/torch*.py
	@$(STAGE) "engines" $(BIN)/python tests/run_mpi.py -n 4 tests/engines/test_torch*.py tests/engines/test_contract.py -k "not jax"
	@$(STAGE) "engines" $(BIN)/python tests/run_faults.py --quick --engine torch Normalization
	@$(STAGE) "engines" $(BIN)/python tests/run_kills.py --engine torch "rank 0 of 2 at 5%"
	@$(JAX) $(STAGE) "JAX and Keras" $(BIN)/python -m pytest tests/engines/test_jax*.py tests/engines/test_keras*.py distfit/engines/jax*.py distfit/engines/keras*.py
	@$(JAX) $(STAGE) "JAX and Keras" $(BIN)/python tests/run_mpi.py -n 2 tests/engines/test_jax*.py tests/engines/test_keras*.py
	@$(JAX) $(STAGE) "JAX and Keras" $(BIN)/python tests/run_mpi.py -n 2 tests/engines/test_contract.py -k "jax or keras"

test-engines-3: engines-environment ## JAX and Keras at 3 ranks, and at 2 and 1; 4 minutes, most of which is compiling
	@$(JAX) $(BIN)/python tests/run_mpi.py -n 3 tests/engines/test_jax*.py tests/engines/test_keras*.py

test-launch: test-environment openmpi-environment ## run jobs across three hosts, in namespaces of this machine, with both MPIs
	@OPEN_MPI=$(VENV)-openmpi/bin/python $(STAGE) "hosts" $(BIN)/python -m pytest -p no:cacheprovider tests/launch/across_hosts.py

test-site-mpi: test-environment site-environment ## the same with Debian's packages: apt-get install mpich openmpi-bin
	@SITE_MPI=$(VENV)-site/bin/python $(BIN)/python -m pytest -p no:cacheprovider tests/launch/across_hosts.py -k Debian

test-docker: test-environment ## build docker/'s image with both MPIs and train in its compose cluster; write the table
	@$(BIN)/python -m pip install --quiet -r tests/docker/requirements.txt
	@$(BIN)/python tests/run_docker.py --table tests/docker/RESULTS.md

test-slurm: test-environment ## run jobs on a real Slurm that signals them and loses nodes; write the table; 6 minutes
	@$(BIN)/python tests/run_slurm.py --table tests/slurm/RESULTS.md

bench: test-environment ## measure what the README quotes
	@$(BIN)/python -m benchmarks

clean: ## remove the environment and what was built
	rm -rf $(VENV) $(VENV)-openmpi $(VENV)-site out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

demo-environment:
	@$(STAGE) "set-up" $(PYTHON) tools/environment.py $(VENV) mpich,plot

test-environment:
	@$(STAGE) "set-up" $(PYTHON) tools/environment.py $(VENV) mpich,dev

engines-environment:
	@$(STAGE) "engines" $(PYTHON) tools/environment.py $(VENV) mpich,engines

openmpi-environment:
	@$(STAGE) "set-up" $(PYTHON) tools/environment.py $(VENV)-openmpi openmpi,plot

site-environment:
	@$(PYTHON) tools/environment.py $(VENV)-site plot
