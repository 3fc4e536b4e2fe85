"""Train a demo model: the vision tower on dense cell labels first, then everything on packed questions.

One image stands at the head of a sequence; the questions about it follow as segments that see the image and
themselves only, each at the positions it would have alone. Every question is thus trained exactly as it is evaluated,
at a fraction of the price.

    python -m pruning_regimes.demo.training --family llava --out workflow/resources/demo-llava
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel, ProcessorMixin

from pruning_regimes.demo import models, questions, scenes
from pruning_regimes.demo.seeds import generator
from pruning_regimes.models import checksums

log = logging.getLogger(__name__)

IGNORED = -100
Tasks = tuple[str, ...]
# First the model must find where a thing is, by row and column; relations of two things stay at chance for this long.
FIRST_OBJECT_TASKS = tuple(
    "count count compare compare colour shape existence relation relation relation row column transcribe".split()
)
OBJECT_TASKS = tuple("count count compare compare colour shape existence position position transcribe".split())
CHART_TASKS = ("sum", "sum", "difference", "difference", "maximum", "height", "transcribe")
EXPRESSION_TASKS = ("one_step", "two_step", "transcribe")
LETTER_TASKS = ("word", "letter")


@dataclass(frozen=True)
class Recipe:
    """The training recipe; `RECIPES` made the shipped models."""

    tower_steps: int = 1500
    tower_batch: int = 64
    tower_rate: float = 2e-3
    steps: int = 2800
    rate: float = 2e-3
    warmup: int = 100
    first_stage: int = 800
    seed: int = 0


def mixture(step: int, recipe: Recipe) -> list[tuple[Callable[[np.random.Generator], scenes.Content], int, Tasks]]:
    """What a step consists of: sampler of the contents, number of images, tasks of the questions asked of each."""
    return [
        (scenes.sample_objects, 16, FIRST_OBJECT_TASKS if step < recipe.first_stage else OBJECT_TASKS),
        (scenes.sample_chart, 8, CHART_TASKS),
        (scenes.sample_expression, 36, EXPRESSION_TASKS),
        (scenes.sample_letters, 10, LETTER_TASKS),
    ]


def pixels(images: list) -> torch.Tensor:
    """What both demo processors make of 72 x 72 images: [B, 3, 72, 72] in -1..1."""
    stacked = torch.from_numpy(np.stack([np.asarray(image) for image in images]))
    return (stacked.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5


def encode_images(model: PreTrainedModel, images: torch.Tensor) -> torch.Tensor:
    """Projected features [B, 9, D]; Idefics3 wants an axis for several images per sample."""
    idefics = model.config.model_type == "idefics3"
    return models.image_tokens(model, images[:, None] if idefics else images)


def train_tower(model: PreTrainedModel, recipe: Recipe) -> float:
    """Teach the tower and projector what stands in each cell, and which cell it is, by throw-away linear heads.

    Without the second head the features tell little of where a thing is, and relations are hardly learned.

    Returns: cell accuracy over non-empty cells on the last 20 batches.
    """
    width = model.config.get_text_config().hidden_size
    head = nn.Linear(width, len(scenes.CELL_LABELS))
    where = nn.Linear(width, scenes.GRID**2)
    parameters = [p for n, p in model.named_parameters() if "language_model" not in n and "text_model" not in n]
    parameters = [p for p in parameters if p is not model.get_output_embeddings().weight] + [
        *head.parameters(),
        *where.parameters(),
    ]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.tower_rate, weight_decay=0.01)
    samplers = [sample for sample, _, _ in mixture(0, recipe)]
    recent: list[float] = []
    for step in range(recipe.tower_steps):
        rng = generator("train-tower", recipe.seed, step)
        contents = [samplers[i % len(samplers)](rng) for i in range(recipe.tower_batch)]
        labels = torch.tensor([scenes.cell_labels(content) for content in contents])
        features = encode_images(model, pixels([scenes.draw(content, rng) for content in contents]))
        logits, places = head(features), where(features)
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        loss = loss + F.cross_entropy(places.flatten(0, 1), torch.arange(scenes.GRID**2).repeat(len(contents)))
        set_rate(optimizer, schedule(step, recipe.tower_steps, 50))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen = labels != 0
        recent = [*recent[-19:], (logits.argmax(-1) == labels)[seen].float().mean().item()]
        if step % 100 == 99:
            log.info("tower step %d: loss %.3f, cells right %.3f", step + 1, loss.item(), np.mean(recent))
    return float(np.mean(recent))


RECIPES = {"llava": Recipe(tower_rate=1e-3), "idefics3": Recipe()}


class Packer:
    """Make packed sequences with the prompt pieces of one model's processor."""

    def __init__(self, processor: ProcessorMixin) -> None:
        self.tokenizer = processor.tokenizer
        blank = scenes.draw(scenes.Objects((None,) * 9), np.random.default_rng(0))
        self.head, self.tail, _ = models.prompt_prefix(processor, blank)
        self.image_at = [i for i, t in enumerate(self.head) if t == self.tokenizer.convert_tokens_to_ids(models.IMAGE)]
        self._ids: dict[str, list[int]] = {}

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, remembered."""
        if text not in self._ids:
            self._ids[text] = self.tokenizer(text, add_special_tokens=False).input_ids
        return self._ids[text]

    def pack(self, asked: list[list[questions.Question]]) -> dict[str, torch.Tensor]:
        """Sequences of one image's questions each.

        Returns: input_ids, labels, position_ids [B, T] (labels shifted: the target at its predecessor);
            attention_mask [B, 1, T, T], additive float32.
        """
        rows = []
        for image_questions in asked:
            ids, labels, segments = list(self.head), [IGNORED] * len(self.head), [0] * len(self.head)
            positions = list(range(len(self.head)))
            for number, question in enumerate(image_questions, start=1):
                prompt = self.ids(question.text) + self.tail
                answer = self.ids(question.answer) + [self.tokenizer.eos_token_id]
                ids += prompt + answer[:-1]
                labels += [IGNORED] * (len(prompt) - 1) + answer
                segments += [number] * (len(prompt) + len(answer) - 1)
                positions += range(len(self.head), len(self.head) + len(prompt) + len(answer) - 1)
            rows.append((ids, labels, segments, positions))
        longest = max(len(row[0]) for row in rows)
        fills = (self.tokenizer.pad_token_id, IGNORED, -1, 0)
        ids, labels, segments, positions = (
            torch.tensor([row[i] + [fill] * (longest - len(row[i])) for row in rows]) for i, fill in enumerate(fills)
        )
        visible = (segments[:, None, :] == segments[:, :, None]) | (segments == 0)[:, None, :]
        visible &= torch.ones(longest, longest, dtype=torch.bool).tril()
        mask = torch.zeros(visible.shape).masked_fill_(~visible, torch.finfo(torch.float32).min)
        return {"input_ids": ids, "labels": labels, "position_ids": positions, "attention_mask": mask[:, None]}


def step_batches(
    packer: Packer, parts: Sequence, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """The batches of one step, one per kind of content: pixel values and packed questions."""
    for sample, count, tasks in parts:
        contents = [sample(rng) for _ in range(count)]
        asked = []
        for content in contents:
            possible = questions.questions(content)
            picked = [questions.pick(possible, task, rng) for task in tasks]
            asked.append(list(dict.fromkeys(question for question in picked if question is not None)))
        yield pixels([scenes.draw(content, rng) for content in contents]), packer.pack(asked)


def packed_loss(model: PreTrainedModel, packer: Packer, images: torch.Tensor, packed: dict[str, torch.Tensor]):
    """Cross-entropy over the answer tokens of a packed batch: its sum, the number of tokens, the number right."""
    decoder = model.get_decoder()
    hidden = decoder.get_input_embeddings()(packed["input_ids"])
    features = encode_images(model, images)
    hidden = torch.index_copy(hidden, 1, torch.tensor(packer.image_at), features)
    out = decoder(
        inputs_embeds=hidden,
        attention_mask=packed["attention_mask"],
        position_ids=packed["position_ids"],
        use_cache=False,
    ).last_hidden_state
    asked = packed["labels"] != IGNORED
    logits = model.get_output_embeddings()(out[asked])
    targets = packed["labels"][asked]
    right = (logits.detach().argmax(-1) == targets).sum()
    return F.cross_entropy(logits, targets, reduction="sum"), targets.numel(), right


def schedule(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, flat, then linear decay to zero over the last 40% (factor of the peak rate)."""
    return min(1.0, (step + 1) / warmup, max(0.0, (steps - step) / (0.4 * steps)))


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set each group's learning rate to its peak times a factor."""
    for group in optimizer.param_groups:
        group.setdefault("peak", group["lr"])
        group["lr"] = group["peak"] * factor


def optimizers(model: PreTrainedModel, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the weight matrices of the decoder layers, AdamW for everything else."""
    layers = model.get_decoder().layers
    matrices = [p for p in layers.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=recipe.rate, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=recipe.rate / 2, weight_decay=0.01, betas=(0.9, 0.98)),
    ]


def train(family: str, out: Path, recipe: Recipe, save_every: int = 100, stop_after: int | None = None) -> None:
    """Run the recipe, or go on with it from `out`/training.pt; at the end save the model in bfloat16 to `out`."""
    model, processor = models.build(family, recipe.seed)
    model.set_attn_implementation("eager")
    model.train()
    packer = Packer(processor)
    state_file = out / "training.pt"
    out.mkdir(parents=True, exist_ok=True)
    start = 0
    chosen = optimizers(model, recipe)
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(chosen, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        start = state["step"]
        log.info("going on at step %d", start)
    else:
        train_tower(model, recipe)
    began, losses, rights = time.monotonic(), [], []
    stop = recipe.steps if stop_after is None else min(stop_after, recipe.steps)
    for step in range(start, stop):
        rng = generator("train", recipe.seed, step)
        batches = list(step_batches(packer, mixture(step, recipe), rng))
        tokens = sum(int((packed["labels"] != IGNORED).sum()) for _, packed in batches)
        total, right = 0.0, []
        for images, packed in batches:
            loss, count, hits = packed_loss(model, packer, images, packed)
            (loss / tokens).backward()
            total += loss.item() / tokens
            right.append(hits.item() / count)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in chosen:
            set_rate(optimizer, schedule(step, recipe.steps, recipe.warmup))
            optimizer.step()
            optimizer.zero_grad()
        losses, rights = [*losses[-49:], total], [*rights[-49:], right]
        if (step + 1) % 50 == 0:
            kinds = " ".join(f"{value:.3f}" for value in np.mean(rights, axis=0))
            pace = (time.monotonic() - began) / (step + 1 - start)
            log.info("step %d: loss %.4f, tokens right %s, %.2f s/step", step + 1, np.mean(losses), kinds, pace)
        if (step + 1) % save_every == 0:
            saved = [optimizer.state_dict() for optimizer in chosen]
            torch.save({"model": model.state_dict(), "optimizers": saved, "step": step + 1}, f"{state_file}.tmp")
            os.replace(f"{state_file}.tmp", state_file)
    model.eval()
    model.to(torch.bfloat16).save_pretrained(out)
    processor.save_pretrained(out)
    checksums.write(out)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Train a demo model.")
    parser.add_argument("--family", choices=models.FAMILIES, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=math.ceil((os.cpu_count() or 1) / 2))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    train(arguments.family, arguments.out, RECIPES[arguments.family])


if __name__ == "__main__":
    main()
