"""Similarity is what a plain computation, one sample at a time, gives."""

from __future__ import annotations

import math

import polars as pl
import pytest
import torch

from pruning_regimes import models, profiles, prompts, similarity
from pruning_regimes.decoder import find_decoder
from pruning_regimes.demo import datasets
from pruning_regimes.tables import TOKEN_GROUPS

VALUES = ["cosine", "relative_update", "angular_distance"]


@pytest.fixture(scope="module")
def samples() -> pl.DataFrame:
    """Calibration samples with prompts of unequal lengths."""
    return datasets.calibration_table(["attributes", "chart", "reading"], 7, seed=0)


@torch.inference_mode()
def plain(loaded: models.Loaded, samples: pl.DataFrame) -> pl.DataFrame:
    """The similarity table by the definition: every hidden state stored, float64, token by token."""
    rows = []
    image_token = prompts.image_token_id(loaded.model)
    for sample in samples.iter_rows(named=True):
        text = prompts.prompt(loaded, sample["question"], 1)
        inputs = prompts.inputs(loaded, [text], [prompts.decode(sample["images"])])
        seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        handles = [
            layer.register_forward_hook(
                lambda _, args, output, index=index, seen=seen: seen.update(
                    {index: (args[0][0].double(), output[0].double())}
                )
            )
            for index, layer in enumerate(find_decoder(loaded.model).layers)
        ]
        loaded.model(**inputs)
        for handle in handles:
            handle.remove()
        ids = inputs["input_ids"][0].tolist()
        groups = {
            "all": range(len(ids)),
            "image": [i for i, token in enumerate(ids) if token == image_token],
            "text": [i for i, token in enumerate(ids) if token != image_token],
            "last": [len(ids) - 1],
        }
        for layer, (x, y) in seen.items():
            for group, tokens in groups.items():
                cosines = [float(x[t] @ y[t] / x[t].norm() / y[t].norm()) for t in tokens]
                rows.append(
                    {
                        "sample_id": sample["sample_id"],
                        "layer": layer,
                        "token_group": group,
                        "n_tokens": len(tokens),
                        "cosine": sum(cosines) / len(cosines),
                        "relative_update": sum(float((y[t] - x[t]).norm() / x[t].norm()) for t in tokens) / len(tokens),
                        "angular_distance": sum(math.acos(min(c, 1)) / math.pi for c in cosines) / len(cosines),
                    }
                )
    return pl.DataFrame(rows)


def difference(a: pl.DataFrame, b: pl.DataFrame, columns: list[str]) -> float:
    """Largest difference of two similarity tables, which must have the same rows."""
    keys = ["sample_id", "layer", "token_group"]
    a, b = (table.with_columns(pl.col("token_group").cast(pl.String)).sort(keys) for table in (a, b))
    assert a.select(*keys, "n_tokens").rows() == b.select(*keys, "n_tokens").rows()
    return max(float((a[name].cast(pl.Float64) - b[name].cast(pl.Float64)).abs().max()) for name in columns)


def test_it_is_what_the_definition_gives(loaded: models.Loaded, samples: pl.DataFrame) -> None:
    measured, expected = similarity.measure(loaded, samples, batch_size=4), plain(loaded, samples)
    assert difference(measured, expected, ["cosine", "relative_update"]) < 1e-5
    # arccos is steep near 1, where float32 cosines lie
    assert difference(measured, expected, ["angular_distance"]) < 2e-4
    assert measured["cosine"].min() < 0.99


def test_batch_size_and_padding_side_change_nothing(loaded: models.Loaded, samples: pl.DataFrame) -> None:
    alone = similarity.measure(loaded, samples, batch_size=1)
    together = similarity.measure(loaded, samples, batch_size=7)
    loaded.processor.tokenizer.padding_side = "right"
    try:
        right = similarity.measure(loaded, samples, batch_size=7)
    finally:
        loaded.processor.tokenizer.padding_side = "left"
    for other in (together, right):
        assert difference(alone, other, ["cosine", "relative_update"]) < 1e-5


def test_no_hook_stays_behind(loaded: models.Loaded, samples: pl.DataFrame) -> None:
    similarity.measure(loaded, samples.head(1), batch_size=1)
    with pytest.raises(RuntimeError), similarity.watched(find_decoder(loaded.model).layers, torch.ones(4, 1, 1)):
        raise RuntimeError
    assert not any(layer._forward_hooks for layer in find_decoder(loaded.model).layers)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_known_vectors(dtype: torch.dtype) -> None:
    x = torch.tensor([[[1, 0], [1, 0], [1, 1], [2, 0]]], dtype=dtype)
    y = torch.tensor([[[0, 1], [1, 0], [2, 2], [-2, 0]]], dtype=dtype)
    cosine, update, angle = similarity.token_statistics(x, y)
    assert cosine.dtype == torch.float32
    torch.testing.assert_close(cosine, torch.tensor([[0.0, 1.0, 1.0, -1.0]]))
    torch.testing.assert_close(update, torch.tensor([[math.sqrt(2), 0.0, 1.0, 2.0]]))
    torch.testing.assert_close(angle, torch.tensor([[0.5, 0.0, 0.0, 1.0]]), atol=2e-4, rtol=0)


def test_token_groups_by_hand() -> None:
    ids = torch.tensor([[0, 9, 9, 5], [9, 5, 6, 0]])
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 0]])
    expected = {
        "all": [[0, 1, 1, 1], [1, 1, 1, 0]],
        "image": [[0, 1, 1, 0], [1, 0, 0, 0]],
        "text": [[0, 0, 0, 1], [0, 1, 1, 0]],
        "last": [[0, 0, 0, 1], [0, 0, 1, 0]],
    }
    assert similarity.token_groups(ids, mask, 9).int().tolist() == [expected[name] for name in TOKEN_GROUPS]
    assert not similarity.token_groups(ids, mask, None)[1].any()


def test_a_profile_weighs_samples_alike_whatever_their_length() -> None:
    rows = [
        {"sample_id": s, "layer": 0, "token_group": "all", "n_tokens": n, "cosine": c, "relative_update": 0.0,
         "angular_distance": 0.0}
        for s, n, c in (("a", 1, 0.0), ("b", 99, 1.0), ("c", 5, 0.8))
    ]  # fmt: skip
    row = profiles.profile("m", {"math": pl.DataFrame(rows)}).row(0, named=True)
    assert row["cosine"] == pytest.approx(0.6, abs=1e-6) and row["n_samples"] == 3
    assert row["cosine_p10"] == pytest.approx(0.16, abs=1e-6) and row["cosine_p90"] == pytest.approx(0.96, abs=1e-6)
