"""The data contracts: the columns of each Parquet table, their dtypes and meaning. `tables` checks them."""

from __future__ import annotations

from typing import Any

import polars as pl

TOKEN_GROUPS = ("all", "image", "text", "last")
DENSE = "dense"
DENSE_BUDGET = "0"
PHASES = ("prefill", "decode", "answer")
REGIMES = ("ranking-sensitive", "convergent", "structure-dominated", "collapsed", "undecided")

SCHEMAS: dict[str, dict[str, Any]] = {
    # A calibration sample. images: encoded files (PNG, JPEG, ...).
    "calibration": {
        "sample_id": pl.String,
        "question": pl.String,
        "images": pl.List(pl.Binary),
        "answer": pl.String,
        "source": pl.String,
    },
    # A model's decoder: where its layers are, and which of them may not be removed, with the reasons.
    "decoder": {
        "model": pl.String,
        "model_id": pl.String,
        "revision": pl.String,
        "model_class": pl.String,
        "decoder_path": pl.String,
        "layer_classes": pl.List(pl.String),
        "n_layers": pl.Int32,
        "hidden_size": pl.Int32,
        "protected": pl.List(pl.Int32),
        "reasons": pl.List(pl.String),
    },
    # sample x decoder layer x token group: means over the group's tokens, float32 arithmetic.
    "similarity": {
        "sample_id": pl.String,
        "layer": pl.Int32,
        "token_group": pl.Enum(TOKEN_GROUPS),
        "n_tokens": pl.Int32,
        "cosine": pl.Float32,
        "relative_update": pl.Float32,
        "angular_distance": pl.Float32,
    },
    # sample x start x length, 1..L: how far the last token turns from the input of layer `start` to that of layer
    # `start + length`, or to the output of the last layer before the final norm; in units of pi, float32 arithmetic.
    "blocks": {
        "sample_id": pl.String,
        "start": pl.Int32,
        "length": pl.Int32,
        "angular_distance": pl.Float32,
    },
    # sample x start x length (2 or 3) x token group: cosine of the input of layer `start` and that of layer
    # `start + length`, mean over the group's tokens, float32 arithmetic. The last layer's output is in no window.
    "windows": {
        "sample_id": pl.String,
        "start": pl.Int32,
        "length": pl.Int32,
        "token_group": pl.Enum(TOKEN_GROUPS),
        "cosine": pl.Float32,
    },
    # Loss of a calibration sample's answer without some decoder layers (none: the dense model). nll: the sum over the
    # answer's tokens, in nats.
    "losses": {
        "domain": pl.String,
        "sample_id": pl.String,
        "removed": pl.List(pl.Int32),
        "nll": pl.Float64,
        "n_tokens": pl.Int32,
    },
    # First-order importance of each decoder layer: sum over its weights of |weight x gradient of the loss|.
    "importance": {
        "layer": pl.Int32,
        "importance": pl.Float64,
    },
    # model x domain x token group x layer: mean over samples and the samples' spread.
    "profile": {
        "model": pl.String,
        "domain": pl.String,
        "token_group": pl.Enum(TOKEN_GROUPS),
        "layer": pl.Int32,
        "n_samples": pl.Int32,
        "cosine": pl.Float64,
        "cosine_p10": pl.Float64,
        "cosine_p90": pl.Float64,
    },
    # model x domain (but the first, the reference) x token group x layer. ratio: mean of 1 - cosine over the samples of
    # the domain, divided by that of the reference; its limits are over samples, and null where these are too few.
    "gap": {
        "model": pl.String,
        "domain": pl.String,
        "reference": pl.String,
        "token_group": pl.Enum(TOKEN_GROUPS),
        "layer": pl.Int32,
        "ratio": pl.Float64,
        "ratio_low": pl.Float64,
        "ratio_high": pl.Float64,
    },
    # model x domain x start x length: mean over samples of the angular distance in "blocks". nearest: the smallest of
    # its length.
    "block_profile": {
        "model": pl.String,
        "domain": pl.String,
        "start": pl.Int32,
        "length": pl.Int32,
        "n_samples": pl.Int32,
        "angular_distance": pl.Float64,
        "nearest": pl.Boolean,
    },
    # The layer list of a criterion: replicate x budget x layer. order: 0 is removed first; null if kept.
    "layers": {
        "replicate": pl.Int32,
        "budget": pl.String,
        "layer": pl.Int32,
        "removed": pl.Boolean,
        "order": pl.Int32,
        "score": pl.Float64,
    },
    "variants": {
        "criterion": pl.String,
        "replicate": pl.Int32,
        "budget": pl.String,
        "n_removed": pl.Int32,
        "removed": pl.List(pl.Int32),
        "kept": pl.List(pl.Int32),
        "variant_id": pl.String,
    },
    # A benchmark question. question: what the model is asked, with `<image 1>` where an image stands within the text
    # (others come first). chance: expected score of a blind guess. choices: null for open answers. metadata: JSON
    # object; `question` is the question without what the prompt adds.
    "benchmark": {
        "sample_id": pl.String,
        "question": pl.String,
        "images": pl.List(pl.Binary),
        "choices": pl.List(pl.String),
        "answers": pl.List(pl.String),
        "answer_type": pl.String,
        "category": pl.String,
        "chance": pl.Float64,
        "metadata": pl.String,
    },
    "predictions": {
        "variant_id": pl.String,
        "sample_id": pl.String,
        "prompt_digest": pl.String,
        "response": pl.String,
        "n_tokens": pl.Int32,
        "finish_reason": pl.String,
        "error": pl.String,
    },
    # cluster: the same for questions that share an image.
    # method: how the answer was extracted from the response; "unparsed" if it could not be, "error" without a response.
    "scores": {
        "variant_id": pl.String,
        "sample_id": pl.String,
        "cluster": pl.String,
        "category": pl.String,
        "chance": pl.Float64,
        "extracted": pl.String,
        "method": pl.String,
        "score": pl.Float64,
        "error": pl.String,
    },
    # A benchmark's own metrics, and what is needed to trust them: variant x metric. n: rows or groups it is over.
    "metrics": {
        "variant_id": pl.String,
        "metric": pl.String,
        "value": pl.Float64,
        "n": pl.Int32,
    },
    # What a variant costs at batch size 1: variant x phase. Variants of one cost class have layers that are alike, and
    # are measured as one. seconds: of prefill until the first token, of decode per further token, of answer in all;
    # medians and quartiles over rounds, mean over questions. relative: seconds over those of the dense model in the
    # same round, median and quartiles over questions and rounds. tokens: what the seconds are for: those of the prompt
    # (mean over questions), one, and all new tokens. weight_bytes: parameters and buffers of the variant alone.
    # peak_bytes: the most memory that it needs on its GPUs, null on the CPU.
    "latency": {
        "variant_id": pl.String,
        "n_removed": pl.Int32,
        "cost_class": pl.Int32,
        "phase": pl.Enum(PHASES),
        "seconds": pl.Float64,
        "seconds_low": pl.Float64,
        "seconds_high": pl.Float64,
        "relative": pl.Float64,
        "relative_low": pl.Float64,
        "relative_high": pl.Float64,
        "tokens": pl.Float64,
        "tokens_per_second": pl.Float64,
        "weight_bytes": pl.Int64,
        "peak_bytes": pl.Int64,
        "device": pl.String,
        "threads": pl.Int32,
    },
    # An example: a question that the dense model answers rightly, with its answer and those of a criterion's first
    # replicate, in the order of layers removed. first_wrong: layers removed when the answer is wrong for the first
    # time; n_alike: questions of the benchmark of which that is so too, of n_right that the dense model answers
    # rightly. read: what the score's rule read in the answer, "" if nothing.
    "examples": {
        "benchmark": pl.String,
        "sample_id": pl.String,
        "first_wrong": pl.Int32,
        "n_right": pl.Int32,
        "n_alike": pl.Int32,
        "question": pl.String,
        "images": pl.List(pl.Binary),
        "reference": pl.String,
        "n_removed": pl.List(pl.Int32),
        "answers": pl.List(pl.String),
        "read": pl.List(pl.String),
        "scores": pl.List(pl.Float64),
    },
    # What a judge said of answers that the rules could not read; reply: its own words.
    "judgements": {
        "variant_id": pl.String,
        "sample_id": pl.String,
        "judge": pl.String,
        "prompt_digest": pl.String,
        "reply": pl.String,
        "correct": pl.Boolean,
        "error": pl.String,
    },
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
NULLABLE = {
    "calibration": {"answer"},
    "gap": {"ratio_low", "ratio_high"},
    "layers": {"order", "score"},
    "benchmark": {"choices", "metadata"},
    "predictions": {"error"},
    "scores": {"extracted", "error"},
    "examples": {"first_wrong"},
    "latency": {"peak_bytes"},
    "judgements": {"correct", "error"},
    "retention": {"benchmark", "retention", "retention_low", "retention_high", "collapsed"},
    "domain_effect": {"budget", "n_removed"},
    "segments": {"start", "start_low", "start_high"},
    "agreement": {"budget", "n_removed"},
    "pareto": {"peak_bytes", "retention", "retention_low", "retention_high"},
    "recommendation": {"runner_up", "difference", "difference_low", "difference_high"},
}
