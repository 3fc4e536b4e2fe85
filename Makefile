# make demo: from a clean clone to the figures. make test: the tests. make bench: the speed, to results/bench/.
# Each sets up .venv first.
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
DEVICE ?= cpu
REPEATS ?= 2
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)

.PHONY: demo test bench lint install clean

demo: install
	$(SNAKEMAKE) --rerun-incomplete
	$(SNAKEMAKE) --report results/report.html
	@echo
	@echo "Regime figure: results/figures/regimes.png"
	@echo "Summary table: results/tables/summary.md"
	@echo "Report:        results/report.html"

test: install
	$(BIN)/python -m pytest

bench: install
	PYTHONPATH=tests $(BIN)/python -m benchmarks --device $(DEVICE) --repeats $(REPEATS) --cores $(CORES)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
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

clean:
	rm -rf .venv .snakemake
	find results -mindepth 1 ! -name .gitkeep -delete
