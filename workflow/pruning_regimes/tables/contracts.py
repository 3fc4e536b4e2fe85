"""The data contracts: the columns of each Parquet table, their dtypes and meaning. `tables` checks them."""

from __future__ import annotations

from typing import Any

import polars as pl

from pruning_regimes.tables.contracts_statistics import NULLABLE_STATISTICS, STATISTICS

TOKEN_GROUPS = ("all", "image", "text", "last")
DENSE = "dense"
DENSE_BUDGET = "0"
ALL_GROUPS = "all"  # in place of a group, where a value is the mean over groups
PHASES = ("prefill", "decode", "answer")
UNPARSED, ERROR = "unparsed", "error"  # methods of scores: nothing was read, and nothing was answered

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
    **STATISTICS,
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
    **NULLABLE_STATISTICS,
}
