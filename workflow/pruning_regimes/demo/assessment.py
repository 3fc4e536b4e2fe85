"""Measure a demo model on held-out images and write its model card.

python -m pruning_regimes.demo.assessment workflow/resources/demo-llava
"""

from __future__ import annotations

import argparse
from pathlib import Path

import polars as pl

from pruning_regimes.demo.datasets import benchmark_table
from pruning_regimes.demo.questions import BENCHMARKS
from pruning_regimes.demo.training import RECIPES
from pruning_regimes.evaluation.grid import answer
from pruning_regimes.inference import prompts
from pruning_regimes.models import loading
from pruning_regimes.scoring import score

# Another seed than any study's default: the card does not repeat the demo study's own questions.
SEED, QUESTIONS = 20_000, 996  # as many of each kind of question
CARD = """---
license: apache-2.0
pipeline_tag: image-text-to-text
---
# {name}

A very small {family} vision-language model ({parameters:.1f} M parameters, {layers} decoder layers of width {width},
stored in bfloat16), trained from scratch for the demo study of vlm-pruning-regimes. It answers short questions about
procedurally drawn 72 x 72 images and is of no use for anything else.

## Training

One command, seed {recipe.seed}, on the CPU:

    python -m pruning_regimes.demo.training --family {family} --out workflow/resources/{name}

1. The vision tower and projector learn what stands in each cell of the image, and which cell it is (linear heads on
   the image tokens, thrown away afterwards): {recipe.tower_steps} steps of {recipe.tower_batch} images, AdamW, rate
   {recipe.tower_rate}.
2. The whole model learns to answer: {recipe.steps} steps of 70 images, each with its questions (up to twelve) and a
   transcription, each question seeing the image and itself only. For the first {recipe.first_stage} steps the questions
   about objects include their rows and columns and the relation of two objects (which stays at chance); after that,
   the side of the image where an object stands. Muon for the decoder layers' matrices at rate {recipe.rate}, AdamW for
   the rest at half of it; warm-up over {recipe.warmup} steps, linear decay over the last 40%. No layer was dropped in
   training.

Images of training, calibration, benchmarks and this card come from random streams of their own. The space of contents
is small (there are only a few hundred one-step expressions), so the drawings are new, not always what they show.

## Accuracy

Greedy answers to {questions} held-out questions per benchmark, in float32:

| group | benchmark | accuracy | by kind of question |
|---|---|---:|---|
{rows}
"""


def accuracies(loaded: loading.Loaded) -> pl.DataFrame:
    """Accuracy of a demo model per benchmark and category: columns group, benchmark, category, score."""
    parts = []
    for benchmark, (group, _, _) in BENCHMARKS.items():
        questions = benchmark_table(benchmark, QUESTIONS, SEED)
        replies = []
        for batch in questions.iter_slices(249):
            replies += answer(loaded, prompts.prompts(loaded, batch), prompts.shown_images(batch), max_new_tokens=8)
        predictions = pl.DataFrame(replies).with_columns(questions["sample_id"], variant_id=pl.lit("dense"))
        by_category = (
            score(questions, predictions).group_by("category", maintain_order=True).agg(pl.col("score").mean())
        )
        parts.append(by_category.select(pl.lit(group).alias("group"), pl.lit(benchmark).alias("benchmark"), pl.all()))
    return pl.concat(parts)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Write a demo model's card.")
    parser.add_argument("path", type=Path)
    path = parser.parse_args().path
    loaded = loading.load({"path": str(path), "revision": "main", "dtype": "float32", "gpus": 0}, threads=2)
    measured = accuracies(loaded)
    rows = []
    for (group, benchmark), part in measured.group_by("group", "benchmark", maintain_order=True):
        kinds = ", ".join(f"{row['category']} {row['score']:.3f}" for row in part.iter_rows(named=True))
        rows.append(f"| {group} | {benchmark} | {part['score'].mean():.3f} | {kinds} |")
    config = loaded.model.config.get_text_config()
    card = CARD.format(
        name=path.name,
        family=loaded.model.config.model_type,
        parameters=loaded.model.num_parameters() / 1e6,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        recipe=RECIPES[loaded.model.config.model_type],
        questions=QUESTIONS,
        rows="\n".join(rows),
    )
    (path / "README.md").write_text(card)
    print("\n".join(rows))


if __name__ == "__main__":
    main()
