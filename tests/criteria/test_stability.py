"""The bootstrap over calibration samples and the test of domains say what is so of data made for it."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning_regimes import tables
from pruning_regimes.criteria import Study, layer_list, stability
from pruning_regimes.criteria.variants import expected_jaccard
from tests.helpers import ROOT
from tests.helpers.criteria_tables import entry, losses, order, random_study, samples, study

SCRIPT = ROOT / "scripts" / "stability.py"


def noisy(seed: int, sizes: Mapping[str, int], noise: float, shift: float = 0.0, n_layers: int = 10) -> Study:
    """Domains whose samples scatter about similarities, which they share unless there is a shift."""
    rng = np.random.default_rng(seed)
    common = rng.permutation(n_layers) / n_layers / 2
    of = {}
    for domain, n in sizes.items():
        own = common + shift * rng.permutation(n_layers) / n_layers / 2
        # What a sample has of its own moves all layers together, as it does in models.
        of[domain] = own + noise * (rng.normal(size=(n, n_layers)) + rng.normal(size=(n, 1)))
    return study(of, seed=seed)


def measured(
    entries: Mapping[str, Any], of: Study, budgets: list[float], resamples: int = 100
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Stability and ranks of criteria that need no more than the study."""
    return stability.measure(entries, dict.fromkeys(entries, of), budgets, resamples, 0.9)


@pytest.mark.parametrize(
    ("n_samples", "expected"),
    [(1, [1]), (3, [3]), (4, [4]), (5, [4, 5]), (64, [4, 8, 16, 32, 64]), (100, [4, 8, 16, 32, 64, 100])],
)
def test_sizes_are_powers_of_two_and_all(n_samples: int, expected: list[int]) -> None:
    assert stability.sizes(n_samples) == expected


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 50), st.integers(0, 99))
def test_a_draw_takes_as_many_samples_as_asked_or_all_of_a_smaller_domain(
    n_math: int, n_general: int, size: int, seed: int
) -> None:
    of = study({"math": [[0.5]] * n_math, "general": [[0.5]] * n_general}, seed=seed)
    drawn = list(stability.draws(of, size, 3))
    for weights in drawn:
        for domain, n in (("math", n_math), ("general", n_general)):
            assert weights[domain].shape == (n,) and weights[domain].sum() == min(n, size)
            assert (weights[domain] >= 0).all() and (weights[domain] % 1 == 0).all()
    again = list(stability.draws(replace(of, losses=losses({}), protected=frozenset({0})), size, 3))
    assert all((a[domain] == b[domain]).all() for a, b in zip(drawn, again, strict=True) for domain in a)


def test_draws_are_with_replacement_and_every_sample_is_as_likely() -> None:
    of = study({"math": [[0.5]] * 10})
    drawn = np.array([weights["math"] for weights in stability.draws(of, 10, 2000)])
    assert abs(drawn.mean(0) - 1).max() < 5 * np.sqrt(0.9 / 2000)
    assert (drawn == 0).mean() == pytest.approx(0.9**10, abs=0.01)
    assert not np.array_equal(drawn[0], drawn[1])
    other = np.array([weights["math"] for weights in stability.draws(replace(of, seed=1), 10, 20)])
    assert not np.array_equal(drawn[:20], other)


def test_a_weight_is_how_often_a_sample_counts() -> None:
    of = random_study(5, 7)
    weights = {"math": np.array([2.0, 1.0]), "general": np.array([0.0, 3.0, 1.0])}

    def repeated(table: pl.DataFrame, counts: np.ndarray) -> pl.DataFrame:
        names = table["sample_id"].unique(maintain_order=True)
        copies = [
            table.filter(pl.col("sample_id") == name).with_columns(sample_id=pl.lit(f"{name}-{i}"))
            for name, count in zip(names, counts, strict=True)
            for i in range(int(count))
        ]
        return pl.concat(copies)

    bigger = {
        domain: type(s)(*(repeated(table, weights[domain]) for table in (s.layers, s.blocks, s.windows)))
        for domain, s in of.samples.items()
    }
    for kind in ("mixed", "block_influence", "contiguous", "interlace"):
        expected = layer_list(entry(kind), replace(of, samples=bigger), [2, 5])
        assert layer_list(entry(kind), of.weighted(weights), [2, 5]).equals(expected)


def test_all_criteria_see_the_same_draws() -> None:
    of = noisy(0, {"math": 12, "general": 7}, 0.2)
    entries = {"a": entry("mixed"), "b": entry("mixed"), "c": entry("math_aware")}
    found, ranks = measured(entries, of, [2, 0.4])
    for table in (found, ranks):
        a, b = (table.filter(pl.col("criterion") == name).drop("criterion") for name in "ab")
        assert a.equals(b)
    alone, _ = measured({"c": entries["c"]}, of, [2, 0.4])
    assert found.filter(pl.col("criterion") == "c").equals(alone)
    assert measured(entries, of, [2, 0.4])[0].equals(found)
    assert not measured(entries, replace(of, seed=1), [2, 0.4])[0].equals(found)


def test_the_tables_have_a_row_per_criterion_budget_and_size() -> None:
    of = noisy(0, {"math": 12, "general": 7}, 0.2)
    found, ranks = measured({"m": entry("mixed"), "c": entry("contiguous"), "l": entry("last")}, of, [1, 0.5])
    keys = [(c, b, n) for c in "mcl" for n in (4, 8, 12) for b in ("1", "0.5")]
    assert found.select("criterion", "budget", "n_samples").rows() == keys
    assert found["n_removed"].unique().sort().to_list() == [1, 5]
    for count, expected in found.select("n_removed", "expected_jaccard").iter_rows():
        assert expected == expected_jaccard(10, count)
    assert found.select(pl.col("jaccard", "jaccard_low", "jaccard_high").is_between(0, 1)).to_numpy().all()
    assert (found["jaccard_low"] <= found["jaccard_high"]).all()
    # Contiguous blocks are no order of layers.
    assert ranks.group_by("criterion").len().sort("criterion").rows() == [("l", 10), ("m", 10)]


def test_what_every_sample_says_is_said_by_few() -> None:
    # Layers that differ more than samples do, in each domain; blocks and windows follow from them.
    values = np.linspace(0, 1, 8)[np.random.default_rng(0).permutation(8)]
    rng = np.random.default_rng(1)
    domains = {}
    for domain, n in (("math", 20), ("general", 9)):
        cosine = values + rng.uniform(-0.02, 0.02, (n, 8))
        windows = {length: cosine[:, : 8 - length] for length in (2, 3)}
        domains[domain] = samples(cosine, windows=windows)
    lost = {
        domain: {(layer,): [1 - value] * n for layer, value in enumerate(values)}
        for domain, n in (("math", 20), ("general", 9))
    }
    of = study(domains, losses=losses(lost))
    kinds = ["math_aware", "mixed", "block_influence", "contiguous", "interlace", "perplexity"]
    entries = {kind: entry(kind) for kind in kinds} | {"spaced": entry("spaced", of={"kind": "mixed"})}
    found, ranks = measured(entries, of, [1, 2, 4, 7], resamples=30)
    assert found["n_samples"].unique().sort().to_list() == [4, 8, 16, 20]
    assert (found.select("jaccard", "jaccard_low", "jaccard_high").to_numpy() == 1).all()
    for name in ("mixed", "perplexity", "spaced"):
        own = ranks.filter(pl.col("criterion") == name)
        assert own.sort("rank")["layer"].to_list()[:7] == order(entries[name], of)
        assert (own["rank"] == own["rank_low"]).all() and (own["rank"] == own["rank_high"]).all()


def test_more_samples_say_more_where_they_are_noisy() -> None:
    of = noisy(3, {"math": 128, "general": 128}, 0.25)
    entries = {"domain": entry("math_aware"), "mixed": entry("mixed"), "spaced": entry("spaced", of={"kind": "mixed"})}
    found, ranks = measured(entries, of, [3])
    for name in entries:
        overlap = found.filter(pl.col("criterion") == name)["jaccard"].to_list()
        assert len(overlap) == 6 and overlap[0] + 0.1 < overlap[-1]
        assert all(more > less - 0.05 for less, more in zip(overlap, overlap[1:], strict=False))
    own = ranks.filter(pl.col("criterion") == "domain")
    assert own.sort("rank")["rank"].to_list() == list(range(10))
    inside = (own["rank_low"] <= own["rank"]) & (own["rank"] <= own["rank_high"])
    assert inside.all() and (own["rank_high"] - own["rank_low"]).mean() > 0.5


def test_a_token_group_that_few_samples_have_is_drawn_as_well() -> None:
    cosine = np.full((12, 3, 4), 0.5)
    cosine[1:, :, 1] = np.nan  # one sample alone has an image
    cosine[0, :, 1] = [0.25, 0.75, 0.5]
    of = study({"math": samples(cosine)})
    found, _ = measured({"it": entry("domain", weights={"math": 1}, token_group="image")}, of, [1])
    assert (found["jaccard"] == 1).all()


def test_replicates_and_protected_layers() -> None:
    of = replace(noisy(0, {"math": 8}, 0.2), protected=frozenset({0, 4}))
    found, ranks = measured({"it": entry("math_aware")}, of, [4])
    assert found["expected_jaccard"].unique().to_list() == [expected_jaccard(8, 4)]
    assert ranks["layer"].to_list() == of.candidates
    assert sorted(ranks["rank"]) == list(range(8))


def tau(a: list[int], b: list[int]) -> float:
    """Kendall's tau of two rankings, pair by pair."""
    signs = [(a[i] < a[j]) == (b[i] < b[j]) for i, j in combinations(range(len(a)), 2)]
    return sum(1 if same else -1 for same in signs) / len(signs)


@given(st.integers(2, 12), st.randoms(use_true_random=False))
def test_kendalls_tau_is_that_of_all_pairs(n_layers: int, random: Any) -> None:
    rankings = [random.sample(range(n_layers), n_layers) for _ in range(6)]
    before = stability.precedes(np.array(rankings).reshape(2, 3, n_layers))
    found = stability.kendall(before[0], before[1])
    assert found.tolist() == pytest.approx([tau(rankings[i], rankings[3 + i]) for i in range(3)])
    forth, back = (stability.precedes(np.array(ranks)) for ranks in (rankings[0], [-rank for rank in rankings[0]]))
    assert stability.kendall(forth, forth) == 1 and stability.kendall(forth, back) == -1


def test_one_layer_agrees_with_itself() -> None:
    assert stability.kendall(*(stability.precedes(np.zeros((5, 1))) for _ in range(2))).tolist() == [1] * 5


def plainly(of: Study, count: int, halvings: int, seed: int) -> np.ndarray:
    """[tau, overlap] x [within, between] of two domains, from halvings of their own, one by one."""
    rng, found = np.random.default_rng(seed), []
    cosines = [samples.of_layers["cosine"][:, :, 0] for samples in of.samples.values()]
    half = min(map(len, cosines)) // 2
    for _ in range(halvings):
        ranks = []
        for values in cosines:
            mixed = rng.permutation(values)
            for part in (mixed[:half], mixed[half : 2 * half]):
                ranks.append(np.argsort(np.argsort(-part.mean(0))).tolist())
        sets = [{layer for layer, rank in enumerate(of_half) if rank < count} for of_half in ranks]
        pairs = [[(0, 1), (2, 3)], [(0, 2), (1, 3)]]
        found.append(
            [
                [np.mean([tau(ranks[i], ranks[j]) for i, j in group]) for group in pairs],
                [np.mean([len(sets[i] & sets[j]) / len(sets[i] | sets[j]) for i, j in group]) for group in pairs],
            ]
        )
    return np.mean(found, 0)


def test_agreement_within_and_between_are_those_of_halves() -> None:
    of = noisy(1, {"math": 16, "general": 25}, 0.3, shift=1.5)
    found = stability.agreement(of, [3], 20)
    expected = plainly(of, 3, 300, seed=7)
    assert found.select("budget", "n_removed", "n_samples").rows() == [(None, None, 8), ("3", 3, 8)]
    assert found.select("within", "between").to_numpy() == pytest.approx(expected, abs=0.07)
    assert expected[0, 0] > expected[0, 1] + 0.15  # there is something to find


def test_domains_that_differ_are_told_apart() -> None:
    rng, layers = np.random.default_rng(2), np.arange(10) / 20
    of = study({"math": layers + rng.normal(size=(24, 10)) / 5, "general": -layers + rng.normal(size=(40, 10)) / 5})
    found = stability.agreement(of, [2, 0.5], 99)
    assert found["p"].is_between(0.01, 0.03).all() and (found["within"] > found["between"] + 0.2).all()


def test_domains_of_one_distribution_are_taken_for_different_as_rarely_as_p_says() -> None:
    # A p-value is exact if it is uniform: not just small seldom enough, but also not all of it near one half.
    sizes = [{"math": 12, "general": 12}, {"math": 8, "general": 20}]
    found = pl.concat(stability.agreement(noisy(seed, sizes[seed % 2], 0.3), [3], 39) for seed in range(240))
    for budget in (None, "3"):
        p = found.filter(pl.col("budget").eq_missing(budget))["p"].to_numpy()
        assert len(p) == 240
        assert (p <= 0.05).mean() <= 0.1
        for level in (0.25, 0.5, 0.75):
            assert (p <= level).mean() == pytest.approx(level, abs=0.11)
    tau_ = found.filter(pl.col("budget").is_null())
    assert tau_["within"].mean() == pytest.approx(tau_["between"].mean(), abs=0.02)


def test_every_pair_of_domains_with_enough_samples_is_compared() -> None:
    of = noisy(0, {"a": 4, "b": 3, "c": 9}, 0.1)
    found = stability.agreement(of, [1, 0.3], 20)
    assert found.select("domain_a", "domain_b").unique().rows() == [("a", "c")]
    assert found["budget"].to_list() == [None, "1", "0.3"] and found["n_samples"].unique().to_list() == [2]
    assert stability.agreement(of, [1, 0.3], 20).equals(found)
    for sizes in ({"a": 3, "b": 30}, {"a": 30}):
        assert stability.agreement(noisy(0, sizes, 0.1), [1], 20).is_empty()
    four = noisy(0, {"a": 6, "b": 6, "c": 6}, 0.1)
    assert stability.agreement(four, [1], 20).filter(pl.col("budget").is_null()).height == 3


def test_samples_that_are_all_alike_agree() -> None:
    of = study({"a": [[0.25, 0.75, 0.5]] * 6, "b": [[0.25, 0.75, 0.5]] * 5}, protected=[0])
    found = stability.agreement(of, [1], 20)
    assert (found.select("within", "between", "p").to_numpy() == 1).all()


def test_the_job_gives_each_criterion_its_losses(tmp_path: Path) -> None:
    of = random_study(4, 6)
    decoder = {
        "model": "m", "model_id": "i", "revision": "r", "model_class": "M", "decoder_path": "p", "layer_classes": [],
        "n_layers": 6, "hidden_size": 1, "protected": [], "reasons": [],
    }  # fmt: skip
    tables.write([decoder], "decoder", tmp_path / "decoder.parquet", {})
    stored: dict[str, Any] = {"decoder": str(tmp_path / "decoder.parquet"), "protected": [], "seed": of.seed}
    stored |= {"domains": of.domains, "windows": []}
    for name, attribute in (("similarity", "layers"), ("blocks", "blocks")):
        stored[name] = [str(tmp_path / f"{domain}.{name}.parquet") for domain in of.domains]
        for path, of_domain in zip(stored[name], of.samples.values(), strict=True):
            tables.write(getattr(of_domain, attribute), name, path, {})
    tables.write(of.losses.table, "losses", tmp_path / "losses.parquet", {})
    entries = {"mixed": entry("mixed"), "by_loss": entry("perplexity")}
    outputs = {name: str(tmp_path / f"{name}.parquet") for name in ("stability", "ranks", "agreement")}
    main = runpy.run_path(str(SCRIPT))["main"]
    main(entries, [2], None, {"by_loss": str(tmp_path / "losses.parquet")}, stored, 20, 0.9, outputs)
    found, ranks = stability.measure(entries, dict.fromkeys(entries, of), [2], 20, 0.9)
    assert tables.read(outputs["stability"], "stability").equals(found)
    assert tables.read(outputs["ranks"], "ranks").equals(ranks)
    assert tables.read(outputs["agreement"], "agreement").is_empty()  # of two samples there are no halves
