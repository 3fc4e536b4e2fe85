"""What the documents say about keys and files is so."""

from __future__ import annotations

import re

from pruning_regimes.docs import benchmarks, config, criteria
from tests.helpers import ROOT


def test_the_page_of_benchmarks_is_that_of_the_entries() -> None:
    assert benchmarks.page() == (ROOT / "workflow" / "docs" / "benchmarks.md").read_text()


def test_the_page_of_criteria_is_that_of_their_declarations() -> None:
    assert criteria.page() == (ROOT / "workflow" / "docs" / "criteria.md").read_text()


def test_the_config_reference_is_that_of_the_schema() -> None:
    table = config.table(ROOT / "workflow" / "schemas" / "config.schema.yaml")
    assert table in (ROOT / "config" / "README.md").read_text()


def test_every_key_of_the_schema_has_a_meaning() -> None:
    table = config.table(ROOT / "workflow" / "schemas" / "config.schema.yaml")
    assert all(re.search(r"\| [^|]*\w[^|]* \|$", line) for line in table.splitlines()[2:])


def test_scripts_never_read_the_whole_config() -> None:
    for script in (ROOT / "scripts").glob("*.py"):
        assert "snakemake.config" not in script.read_text(), script.name


def test_the_package_never_imports_snakemake() -> None:
    for module in (ROOT / "workflow" / "pruning_regimes").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) snakemake", module.read_text(), re.M), module.name
