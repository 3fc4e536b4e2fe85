# make demo: from a clean clone to the figures. make test: the quick tests; make test-all: all of them. make check: what
# to run before a commit. make bench: the speed, to results/bench/. Each sets up .venv first.
# make test-slurm, make test-s3: a study on a SLURM of this machine (tests/slurm/install.sh installs it), and with its
# results in object storage; make test-conda: in environments that Snakemake makes.
# make test-gpu: a GPU against the CPU. DEVICE is cpu for bench and cuda for test-gpu unless it is set.
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
REPEATS ?= 2
BIN := .venv/bin
# The greedy scheduler plans as well for one machine, without starting a solver for every choice of jobs.
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES) --scheduler greedy
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c envs/constraints.txt
# Without pytest's usual options: these tests run one after the other, and other tests leave them out.
ALONE := $(BIN)/python -m pytest --override-ini addopts="-q -rs --strict-markers"

.PHONY: demo check test test-all test-faults test-slurm test-s3 test-conda test-gpu bench lint install install-cluster clean

demo: install
	$(SNAKEMAKE) --rerun-incomplete
	$(SNAKEMAKE) --report results/report.html
	@echo
	@echo "Regime figure: results/figures/regimes.png"
	@echo "Summary table: results/tables/summary.md"
	@echo "Report:        results/report.html"

check: lint test

test: install
	$(BIN)/python -m pytest -m "not slow"

test-all: install
	$(BIN)/python -m pytest

test-faults: install
	$(BIN)/python -m tests.faults

test-slurm: install-cluster
	$(ALONE) tests/slurm tests/workflow/test_envs.py

test-s3: install-cluster
	$(ALONE) tests/storage

test-conda: install
	$(ALONE) tests/conda

# On a machine without this project's environment: PYTHONPATH=workflow python -m tests.gpu
test-gpu: install
	PYTHONPATH=workflow $(BIN)/python -m tests.gpu --device $(or $(DEVICE),cuda)

bench: install
	$(BIN)/python -m tests.speed --device $(or $(DEVICE),cpu) --repeats $(REPEATS) --cores $(CORES)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/Snakefile workflow/rules
	$(BIN)/snakemake --lint

install: .venv/installed

install-cluster: .venv/installed-cluster

# torch comes first and pinned, so that nothing else decides which build of it is installed.
.venv/installed: pyproject.toml envs/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with 'make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)'."; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) -e ".[dev]"
	touch $@

.venv/installed-cluster: .venv/installed
	$(PIP) -e ".[cluster]"
	touch $@

clean:
	rm -rf .venv .snakemake
	find -H results -mindepth 1 ! -name .gitkeep -delete
