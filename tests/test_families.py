"""Removing layers is exact in the model families that people study, not only in the demo's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import transformers
from test_decoder import built_without
from transformers import PreTrainedModel

from pruning_regimes.decoder import find_decoder, pruned

IMAGE, START, END = 60, 62, 63
TEXT = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 6, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 16, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
VISION = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": 28, "patch_size": 14,
}  # fmt: skip
QWEN_VISION = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32}
QWEN_TOKENS = {
    "image_token_id": IMAGE, "video_token_id": 61, "vision_start_token_id": START, "vision_end_token_id": END,
}  # fmt: skip


def qwen3_vl() -> PreTrainedModel:
    """Image features are added after the first two decoder layers as well."""
    rope = {"rope_type": "default", "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    config = transformers.Qwen3VLConfig(
        text_config={**TEXT, "rope_scaling": rope},
        vision_config={**QWEN_VISION, "patch_size": 14, "deepstack_visual_indexes": [0, 1]},
        **QWEN_TOKENS,
    )
    return transformers.Qwen3VLForConditionalGeneration(config)


def qwen2_5_vl() -> PreTrainedModel:
    """The deeper half attends to a sliding window."""
    text = {**TEXT, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 3}
    text["rope_scaling"] = {"type": "mrope", "mrope_section": [4, 2, 2]}
    config = transformers.Qwen2_5_VLConfig(
        text_config=text, vision_config={**QWEN_VISION, "fullatt_block_indexes": [1]}, **QWEN_TOKENS
    )
    return transformers.Qwen2_5_VLForConditionalGeneration(config)


def gemma3() -> PreTrainedModel:
    """Five layers of sliding attention to one of full attention."""
    config = transformers.Gemma3Config(
        text_config={**TEXT, "sliding_window": 4}, vision_config=VISION, mm_tokens_per_image=1, image_token_index=IMAGE
    )
    return transformers.Gemma3ForConditionalGeneration(config)


def smolvlm() -> PreTrainedModel:
    """The family of Idefics3."""
    text = {"model_type": "llama", **TEXT}
    config = transformers.SmolVLMConfig(text_config=text, vision_config=VISION, image_token_id=IMAGE, scale_factor=2)
    return transformers.SmolVLMForConditionalGeneration(config)


def mistral3() -> PreTrainedModel:
    """Every layer attends to a sliding window."""
    text = {"model_type": "mistral", "sliding_window": 4, **TEXT}
    vision = {"model_type": "pixtral", **VISION}
    config = transformers.Mistral3Config(text_config=text, vision_config=vision, image_token_index=IMAGE)
    return transformers.Mistral3ForConditionalGeneration(config)


@pytest.mark.parametrize("removed", [[0], [5], [1, 2], [0, 2, 4]], ids=str)
@pytest.mark.parametrize("build", [qwen3_vl, qwen2_5_vl, gemma3, smolvlm, mistral3])
def test_a_pruned_model_is_one_built_without_the_layers(
    build: Callable[[], PreTrainedModel], removed: list[int]
) -> None:
    torch.manual_seed(0)
    model = build().eval()
    ids = torch.randint(3, IMAGE, (2, 12))
    ids[1, :4] = 0
    inputs = {"input_ids": ids, "attention_mask": (ids != 0).long()}
    options = {"do_sample": False, "max_new_tokens": 8, "eos_token_id": None, "pad_token_id": 0}
    smaller = built_without(model, removed)
    with torch.inference_mode():
        whole = model(**inputs).logits
        with pruned(model, removed):
            logits, generated = model(**inputs).logits, model.generate(**inputs, **options)
            uncached = model.generate(**inputs, **options, use_cache=False)
        assert torch.equal(model(**inputs).logits, whole)
        assert torch.equal(logits, smaller(**inputs).logits)
        assert torch.equal(generated, smaller.generate(**inputs, **options))
    assert torch.equal(generated, uncached)
    assert not torch.equal(logits, whole)
    assert find_decoder(model).n_layers == 6


@pytest.mark.parametrize("removed", [[0], [1, 2], [5], [0, 1, 2]], ids=str)
@torch.inference_mode()
def test_image_features_added_between_layers_stay_where_a_smaller_model_adds_them(removed: list[int]) -> None:
    torch.manual_seed(0)
    model = qwen3_vl().eval()
    sizes = model.config.vision_config
    n_values = 3 * sizes.temporal_patch_size * sizes.patch_size**2
    ids = torch.tensor([[START, *[IMAGE] * 4, END, *words] for words in (range(3, 9), range(13, 19))])
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.randn(2 * 16, n_values),
        "image_grid_thw": torch.tensor([[1, 4, 4]] * 2),
        "mm_token_type_ids": (ids == IMAGE).int(),
    }
    options = {"do_sample": False, "max_new_tokens": 6, "eos_token_id": None}
    smaller = built_without(model, removed)
    with pruned(model, removed):
        logits, generated = model(**inputs).logits, model.generate(**inputs, **options)
    assert torch.equal(logits, smaller(**inputs).logits)
    assert torch.equal(generated, smaller.generate(**inputs, **options))
    other = {**inputs, "pixel_values": torch.randn(2 * 16, n_values)}
    assert not torch.equal(logits, smaller(**other).logits)
