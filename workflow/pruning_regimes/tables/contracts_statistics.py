"""The data contracts of what is found from scores: statistics over models, criteria and budgets."""

from __future__ import annotations

from typing import Any

import polars as pl

REGIMES = ("ranking-sensitive", "convergent", "structure-dominated", "collapsed", "undecided")

STATISTICS: dict[str, dict[str, Any]] = {
    # One row per benchmark, and one per group (benchmark null): the mean over its benchmarks. collapsed: not
    # distinguishable from chance.
    "retention": {
        "model": pl.String,
        "group": pl.String,
        "benchmark": pl.String,
        "criterion": pl.String,
        "budget": pl.String,
        "n_removed": pl.Int32,
        "n_layers": pl.Int32,
        "n_replicates": pl.Int32,
        "n_questions": pl.Int32,
        "n_failed": pl.Int32,
        "unparsed_rate": pl.Float64,
        "chance": pl.Float64,
        "dense_accuracy": pl.Float64,
        "accuracy": pl.Float64,
        "accuracy_low": pl.Float64,
        "accuracy_high": pl.Float64,
        "retention": pl.Float64,
        "retention_low": pl.Float64,
        "retention_high": pl.Float64,
        "collapsed": pl.Boolean,
    },
    # Do ranking criteria differ in retention? model x group x budget. spread: largest minus smallest retention; sd:
    # their standard deviation beyond sampling noise; noise: that of the noise; p: by permutation, p_holm: corrected
    # over a group's budgets. n_collapsed: criteria of any kind that are not distinguishable from chance.
    "sensitivity": {
        "model": pl.String,
        "group": pl.String,
        "budget": pl.String,
        "n_removed": pl.Int32,
        "n_layers": pl.Int32,
        "n_criteria": pl.Int32,
        "n_variants": pl.Int32,
        "spread": pl.Float64,
        "sd": pl.Float64,
        "noise": pl.Float64,
        "p": pl.Float64,
        "p_holm": pl.Float64,
        "sensitive": pl.Boolean,
        "n_collapsed": pl.Int32,
    },
    # Mean retention of structure criteria minus that of ranking criteria.
    "advantage": {
        "model": pl.String,
        "group": pl.String,
        "budget": pl.String,
        "n_removed": pl.Int32,
        "n_layers": pl.Int32,
        "n_structure": pl.Int32,
        "n_ranking": pl.Int32,
        "advantage": pl.Float64,
        "advantage_low": pl.Float64,
        "advantage_high": pl.Float64,
    },
    # criterion_a and _b look at one domain each, which are the groups group_a and group_b. effect_a: retention of
    # criterion_a minus that of criterion_b on group_a; effect_b: the reverse on group_b; effect: their sum, which is
    # the difference in differences. Budget null: the mean over budgets.
    "domain_effect": {
        "model": pl.String,
        "budget": pl.String,
        "n_removed": pl.Int32,
        "n_layers": pl.Int32,
        "criterion_a": pl.String,
        "criterion_b": pl.String,
        "group_a": pl.String,
        "group_b": pl.String,
        "same_layers": pl.Boolean,
        "effect_a": pl.Float64,
        "effect_a_low": pl.Float64,
        "effect_a_high": pl.Float64,
        "effect_b": pl.Float64,
        "effect_b_low": pl.Float64,
        "effect_b_high": pl.Float64,
        "effect": pl.Float64,
        "effect_low": pl.Float64,
        "effect_high": pl.Float64,
    },
    # Consecutive budgets of one regime. sd: standard deviation of retention between criteria beyond noise;
    # advantage: of structure criteria; both fitted to the segment's budgets. start: where the segment begins, in
    # layers removed, halfway between two budgets (null for the first). support: share of
    # bootstrap draws with as many segments.
    "segments": {
        "model": pl.String,
        "group": pl.String,
        "segment": pl.Int32,
        "n_segments": pl.Int32,
        "regime": pl.Enum(REGIMES),
        "first_budget": pl.String,
        "last_budget": pl.String,
        "first_removed": pl.Int32,
        "last_removed": pl.Int32,
        "n_layers": pl.Int32,
        "start": pl.Float64,
        "start_low": pl.Float64,
        "start_high": pl.Float64,
        "sd": pl.Float64,
        "sd_high": pl.Float64,
        "advantage": pl.Float64,
        "support": pl.Float64,
        "reason": pl.String,
    },
    # Whether rankings from few calibration samples are those of all: overlap of the layer sets of bootstrap draws of
    # n_samples per domain with the set of all samples.
    "stability": {
        "model": pl.String,
        "criterion": pl.String,
        "budget": pl.String,
        "n_removed": pl.Int32,
        "n_samples": pl.Int32,
        "jaccard": pl.Float64,
        "jaccard_low": pl.Float64,
        "jaccard_high": pl.Float64,
        "expected_jaccard": pl.Float64,
    },
    # Place of each decoder layer in a criterion's order (0 goes first), with limits over calibration samples.
    "ranks": {
        "model": pl.String,
        "criterion": pl.String,
        "layer": pl.Int32,
        "rank": pl.Float64,
        "rank_low": pl.Float64,
        "rank_high": pl.Float64,
    },
    # Do two domains rank the layers differently? within: agreement of two halves of one domain, mean over both;
    # between: of half of one with half of the other. Kendall's tau over all layers (budget null), Jaccard overlap per
    # budget; p by permuting the samples' domains.
    "agreement": {
        "model": pl.String,
        "domain_a": pl.String,
        "domain_b": pl.String,
        "budget": pl.String,
        "n_removed": pl.Int32,
        "n_samples": pl.Int32,
        "within": pl.Float64,
        "between": pl.Float64,
        "p": pl.Float64,
    },
    # The best criterion of each budget that is one layer set, for a group or for the mean over groups ("all").
    # retention_low: simultaneous one-sided limit over all criteria and budgets; difference: to the best criterion with
    # other layers (null if there is none).
    "recommendation": {
        "model": pl.String,
        "group": pl.String,
        "budget": pl.String,
        "n_removed": pl.Int32,
        "n_layers": pl.Int32,
        "criteria": pl.List(pl.String),
        "retention": pl.Float64,
        "retention_low": pl.Float64,
        "runner_up": pl.String,
        "difference": pl.Float64,
        "difference_low": pl.Float64,
        "difference_high": pl.Float64,
        "keeps": pl.Boolean,
    },
    # What the retention of a group costs: a row per criterion and budget (the dense model included; means over
    # replicates). seconds, relative: of an answer of so many tokens, as in the latency table; prefill_seconds: until
    # the first of them, decode_seconds: per further one. on_frontier: no other is as fast and retains more, or retains
    # as much and is faster; controls are left out of this.
    "pareto": {
        "model": pl.String,
        "group": pl.String,
        "criterion": pl.String,
        "budget": pl.String,
        "n_removed": pl.Int32,
        "n_layers": pl.Int32,
        "control": pl.Boolean,
        "tokens": pl.Int32,
        "seconds": pl.Float64,
        "seconds_low": pl.Float64,
        "seconds_high": pl.Float64,
        "prefill_seconds": pl.Float64,
        "decode_seconds": pl.Float64,
        "relative": pl.Float64,
        "relative_low": pl.Float64,
        "relative_high": pl.Float64,
        "weight_bytes": pl.Int64,
        "peak_bytes": pl.Int64,
        "retention": pl.Float64,
        "retention_low": pl.Float64,
        "retention_high": pl.Float64,
        "on_frontier": pl.Boolean,
        "device": pl.String,
        "threads": pl.Int32,
    },
    # Jaccard overlap of the layer sets of two criteria at one budget (mean over pairs of replicates).
    "overlap": {
        "model": pl.String,
        "budget": pl.String,
        "n_removed": pl.Int32,
        "criterion_a": pl.String,
        "criterion_b": pl.String,
        "jaccard": pl.Float64,
        "expected_jaccard": pl.Float64,
    },
}
NULLABLE_STATISTICS = {
    "retention": {"benchmark", "retention", "retention_low", "retention_high", "collapsed"},
    "domain_effect": {"budget", "n_removed"},
    "segments": {"start", "start_low", "start_high"},
    "agreement": {"budget", "n_removed"},
    "pareto": {"peak_bytes", "retention", "retention_low", "retention_high"},
    "recommendation": {"runner_up", "difference", "difference_low", "difference_high"},
}
