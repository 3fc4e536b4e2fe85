"""Equal layer sets are one variant; overlaps are Jaccard indices."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from statistics import fmean

import polars as pl
import pytest

from pruning_regimes import tables
from pruning_regimes.criteria import variants
from pruning_regimes.models import identity


def layers(sets: dict[tuple[int, str], set[int]], n_layers: int) -> pl.DataFrame:
    """A layers table with these removed layers per (replicate, budget)."""
    return tables.frame(
        "layers",
        [
            {"replicate": replicate, "budget": budget, "layer": layer, "removed": layer in gone,
             "order": 0 if layer in gone else None, "score": None}
            for (replicate, budget), gone in sets.items()
            for layer in range(n_layers)
        ],
    )  # fmt: skip


@pytest.fixture
def collected() -> pl.DataFrame:
    """Three criteria on a model of six layers."""
    lists = {
        "a": layers({(0, "1"): {4}, (0, "2"): {4, 5}}, 6),
        "b": layers({(0, "1"): {4}, (0, "2"): {3, 4}}, 6),
        "random": layers({(0, "1"): {0}, (1, "1"): {4}, (0, "2"): {0, 4}, (1, "2"): {4, 5}}, 6),
    }
    return variants.collect("m", "r", lists)


def test_every_pair_has_a_row_and_equal_layers_an_id(collected: pl.DataFrame) -> None:
    assert len(collected) == 1 + 2 + 2 + 4
    ids = {tuple(row["kept"]): row["variant_id"] for row in collected.iter_rows(named=True)}
    assert len(set(ids.values())) == len(ids) == collected["variant_id"].n_unique() == 6
    dense = collected.row(0, named=True)
    assert dense["criterion"] == "dense" and dense["kept"] == list(range(6)) and dense["removed"] == []
    for row in collected.iter_rows(named=True):
        assert sorted(row["kept"] + row["removed"]) == list(range(6)) and len(row["removed"]) == row["n_removed"]


def test_another_model_or_revision_is_another_variant() -> None:
    assert len({identity.variant_id(m, r, k) for m in "ab" for r in "cd" for k in ([0, 1], [0, 2])}) == 8
    assert identity.variant_id("m", "r", [2, 0]) == identity.variant_id("m", "r", [0, 2])


def test_a_directory_is_known_by_its_name_and_content(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "config.json").write_text("{}")
    (directory / "model.safetensors").write_bytes(b"1")
    before = identity.identity(str(directory), "main")
    (directory / "README.md").write_text("a card")
    assert identity.identity(str(directory), "main") == before and before[0] == "model"
    (directory / "model.safetensors").write_bytes(b"2")
    assert identity.identity(str(directory), "main") != before
    assert identity.identity("owner/name", "abc") == ("owner/name", "abc")


def test_overlap_by_hand(collected: pl.DataFrame) -> None:
    table = variants.overlap({"m": collected})
    cell = {(b, x, y): j for b, x, y, j in table.select("budget", "criterion_a", "criterion_b", "jaccard").iter_rows()}
    assert cell["1", "a", "b"] == 1 and cell["2", "a", "b"] == pytest.approx(1 / 3)
    assert cell["1", "a", "a"] == cell["2", "b", "b"] == 1
    assert cell["1", "a", "random"] == 0.5
    assert cell["1", "random", "random"] == 0 and cell["2", "random", "random"] == pytest.approx(1 / 3)
    assert all(cell[b, x, y] == cell[b, y, x] for b, x, y in cell)


@pytest.mark.parametrize(("n_layers", "count"), [(4, 1), (5, 2), (6, 4), (7, 3)])
def test_the_overlap_by_chance_is_that_of_all_pairs(n_layers: int, count: int) -> None:
    sets = [set(chosen) for chosen in combinations(range(n_layers), count)]
    expected = fmean(len(x & y) / len(x | y) for x in sets for y in sets)
    assert variants.expected_jaccard(n_layers, count) == pytest.approx(expected)
