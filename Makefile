# make demo: from a clean clone to the figures. make test: the tests. make bench: the speed, to results/bench/.
# make test-gpu: a GPU against the CPU. DEVICE is cpu for bench and cuda for test-gpu unless it is set.
# Each sets up .venv first. make test-slurm, make test-s3: a study on a SLURM of this machine (tests/slurm/install.sh
# installs it), and with its results in object storage; these set up .venv-cluster.
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
REPEATS ?= 2
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)

.PHONY: demo test test-faults test-slurm test-s3 test-conda test-gpu bench lint install clean

demo: install
	$(SNAKEMAKE) --rerun-incomplete
	$(SNAKEMAKE) --report results/report.html
	@echo
	@echo "Regime figure: results/figures/regimes.png"
	@echo "Summary table: results/tables/summary.md"
	@echo "Report:        results/report.html"

test: install
	$(BIN)/python -m pytest

test-faults: install
	$(BIN)/python -m tests.faults

# Without pytest's usual options: these tests run one after the other, and other tests leave them out.
test-slurm: .venv-cluster/installed
	.venv-cluster/bin/python -m pytest --override-ini addopts="-q -rs" tests/slurm tests/workflow/test_envs.py

test-s3: .venv-cluster/installed
	.venv-cluster/bin/python -m pytest --override-ini addopts="-q -rs" tests/storage

test-conda: install
	$(BIN)/python -m pytest --override-ini addopts="-q -rs" tests/conda

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

# torch comes first and pinned, so that nothing else decides which build of it is installed.
.venv/installed: pyproject.toml envs/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with 'make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)'."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c envs/constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c envs/constraints.txt -e ".[dev]"
	touch $@

# The client of the storage wants an older python-dateutil than the one that is pinned.
.venv-cluster/installed: pyproject.toml envs/constraints.txt
	$(PYTHON) -m venv .venv-cluster
	grep -v '^python-dateutil==' envs/constraints.txt > .venv-cluster/constraints.txt
	.venv-cluster/bin/pip install --quiet --disable-pip-version-check -c .venv-cluster/constraints.txt torch
	.venv-cluster/bin/pip install --quiet --disable-pip-version-check -c .venv-cluster/constraints.txt -e ".[dev,cluster]"
	touch $@

clean:
	rm -rf .venv .venv-cluster .snakemake
	find -H results -mindepth 1 ! -name .gitkeep -delete
