"""What each command does: it calls the function of `pruning_regimes.api` of its name, and prints what that returns."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from pruning_regimes.api.text import table
from pruning_regimes.jobs.devices import leased


def inspect(options: Namespace) -> None:
    """Show what a model's decoder is."""
    from pruning_regimes.api.inspection import inspect

    found = inspect(options.model, **_of_model(options))
    _show(options, {**vars(found), "layers": found.layers.to_dicts(), "parts": found.parts.to_dicts()}, str(found))


def similarity(options: Namespace) -> None:
    """Measure and keep similarities, and show each layer's mean per domain."""
    from pruning_regimes.api.measurement import similarity

    with leased(options.gpus or 0):
        profile = similarity(
            options.model,
            dict(options.domain),
            options.out,
            samples=options.samples,
            seed=options.seed,
            batch_size=options.batch_size,
            force=options.force,
            **_of_run(options),
        )
    shown = profile.filter(token_group=options.token_group)
    layers = shown.pivot("domain", index="layer", values="cosine")
    samples = ", ".join(
        f"{name} ({n})" for name, n in shown.select("domain", "n_samples").unique(maintain_order=True).iter_rows()
    )
    title = f"Cosine of each layer's input and output, {options.token_group} tokens, mean over samples: {samples}"
    found = {"out": str(options.out), "profile": profile.to_dicts()}
    _show(options, found, f"{title}\n\n{table(layers)}\n\nTables: {options.out}")


def rank(options: Namespace) -> None:
    """Show the layers that criteria remove."""
    from pruning_regimes.api.ranking import rank

    found = rank(
        options.folder,
        options.criterion,
        options.budget,
        protected=options.protected,
        seed=options.seed,
        criteria_path=options.criteria_path,
    )
    _show(options, found.to_dicts(), table(found.drop("n_removed")))


def export(options: Namespace) -> None:
    """Write a pruned model, of named layers or of a study's criterion."""
    from pruning_regimes.api.exporting import export, export_variant

    if options.criterion is not None:
        names = ("replicate", "configfile", "results", "out", "threads")
        stated = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
        path = export_variant(options.model, options.criterion, options.budget, **stated)
        _show(options, {"path": str(path)}, str(path))
        return
    domains = dict(options.domain or ())
    found = export(options.model, options.remove, options.out, domains=domains, **_of_run(options))
    text = (
        f"{found.path}: {found.n_parameters:,} of {found.n_parameters_before:,} parameters; answers {found.n_samples} "
        f"samples as {options.model} without its layers {', '.join(map(str, found.removed))} does, bit for bit"
    )
    _show(options, {**vars(found), "path": str(found.path)}, text)


def compare(options: Namespace) -> None:
    """Show whether one set of answers is better than another."""
    from pruning_regimes.api.comparison import compare

    names = ("variant_a", "variant_b", "benchmark", "scoring", "resamples", "confidence", "seed")
    found = compare(options.a, options.b, **{name: getattr(options, name) for name in names})
    _show(options, vars(found), str(found))


def _of_model(options: Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("revision", "trust_remote_code", "decoder_path")}


def _of_run(options: Namespace) -> dict[str, Any]:
    return _of_model(options) | {name: getattr(options, name) for name in ("dtype", "gpus", "threads")}


def _show(options: Namespace, found: Any, text: str) -> None:
    """Print what was found: as JSON if that is asked for, as text otherwise."""
    print(json.dumps(found, indent=2, ensure_ascii=False) if options.json else text)
