"""A tiny random model of each family of vision-language models, and of some of language models, built offline.

Each family's own default config is walked and made small; what cannot be told by a field's name stands in OVERRIDES.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pytest
import torch
import transformers
from transformers import CONFIG_MAPPING, GenerationConfig, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as IMAGE_TEXT

from pruning_regimes.models.layer_config import cut

TEXT_ONLY = ("deepseek_v3", "gemma3_text", "gemma3n_text", "llama", "qwen2", "qwen3")
Tensors = dict[str, torch.Tensor]
FAMILIES = (*sorted(IMAGE_TEXT), *TEXT_ONLY)
# Those of the quick run: the demo's two, common ones, layers that must stay for one reason or another, and text alone.
QUICK = ("gemma3", "gemma4", "idefics3", "internvl", "llama", "llava", "qwen2_5_vl", "qwen3_vl")
N_LAYERS, WORDS, VOCABULARY = 6, 100, 160
# What a field is made, by its name; every width is the same, so that they fit together.
SIZES = {
    r"(num_)?(encoder_|decoder_|conf_|hidden_)*(layers|depth)|resampler_depth|n_layers|num_global_layers": 2,
    r".*key_value_heads|linear_num_key_heads|index_kv_heads": 2,
    r"n_groups|num_kv_shared_layers|.*experts_per_tok|moe_topk|moe_k|top_k_experts": 2,
    r"(.*_)?(n_|num_)?(attention_|value_)?heads": 4,
    r"(.*_)?head_dim|resampler_dim_head|d_kv|query_pre_attn_scalar|d_rel|(q|kv)_lora_rank|laurel_rank|hc_lowrank": 16,
    r"qk_head_dim": 32,
    r".*vocab_size.*": VOCABULARY,
    r"(n_routed_|num_local_|moe_num_|num_)experts": 4,
    r"n_group|topk_group|n_shared_experts|moe_num_shared_experts": 1,
    r".*intermediate_size|.*ffn_dim|mlp_dim|d_ff|share_expert_dim": 32,
    r".*hidden_size|.*embed_dim|d_model|.*projection_dim|.*hidden_dim|.*output_(dim|size|channels)|num_pos_feats": 64,
    r"adapter_(in|out)_dim|projector_input_dim|word_embed_proj_dim|hidden_size_per_layer_input|adapter_input_size": 64,
    r"sliding_window|sliding_window_size|attention_chunk_size": 4,
    r"max_window_layers|first_k_dense_replace": 3,
    r"max_position_embeddings": 512,
    r"image_size|resolution": 28,
    r"patch_size": 7,
}
LISTS = {"deepstack_visual_indexes": [0, 1], "fullatt_block_indexes": [1], "global_attn_indexes": [1]}
TOKENS = ("image_token_id", "image_token_index", "video_token_index")
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def merge(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as one; the later ones win."""
    merged: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            nested = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
            merged[name] = merge(merged[name], value) if nested else value
    return merged


def mrope(*section: int, **others: Any) -> dict[str, Any]:
    """Rotary positions in several dimensions."""
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": list(section), **others}
    return {"text_config": {"rope_parameters": rope}}


def tower(model_type: str) -> dict[str, Any]:
    """A vision tower of another kind than the config's default, which is none, or one that needs timm."""
    sizes = {"hidden_size": 64, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    return {"vision_config": {"model_type": model_type, "image_size": 28, "patch_size": 7, **sizes}}


MLA = {
    "num_key_value_heads": 4, "qk_nope_head_dim": 16, "qk_rope_head_dim": 16, "qk_head_dim": 32, "v_head_dim": 16,
    "head_dim": 16,
}  # fmt: skip
DOTS = {f"swa_{name}": MLA[name] for name in ("num_key_value_heads", "qk_nope_head_dim", "v_head_dim")} | {
    "swa_head_dim": 32, "swa_num_attention_heads": 4, "swa_q_lora_rank": 16, "swa_kv_lora_rank": 16,
}  # fmt: skip
WINDOW = {"text_config": {"use_sliding_window": True}}
TILES = {"image_grid_pinpoints": [[28, 28]]}
VQ = {"vq_config": {"base_channels": 32, "channel_multiplier": [1, 1], "num_res_blocks": 1, "latent_channels": 32}}
WORD_MAP = {"vocabulary_map": {"<image>": WORDS, "<|extra_200|>": WORDS + 1}}
SPARSE = {"text_config": {"full_attention_interval": 3}}
SHARED = {"layer_types": ["sliding_attention", "full_attention"] * 3, "num_kv_shared_layers": 2}
SQUARE = {"vision_config": {"image_size": [28, 28], "patch_size": [7, 7]}}
OVERRIDES: dict[str, Mapping[str, Any]] = {
    "blip-2": {"image_token_index": WORDS, "num_query_tokens": 4},
    "aria": {"projector_patch_to_query_dict": {16: 4}},
    "chameleon": merge(WORD_MAP, VQ, {"vq_config": {"num_embeddings": 32}}),
    "cohere_compass": {
        "text_config": {
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
            "rope_parameters": {"sliding_attention": mrope(4, 2, 2)["text_config"]["rope_parameters"],
                                "full_attention": None},
        }
    },
    "deepseek_v3": MLA,
    "deepseek_ocr2": {"text_config": {"mlp_layer_types": ["dense"] + ["sparse"] * 5, "num_experts_per_tok": 2}},
    "diffusion_gemma": {"text_config": {"num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 16}},
    "dots3_note": {
        "text_config": {"num_key_value_heads": 4, **DOTS}, "vision_config": {"mlp_layer_types": ["dense", "dense"]},
    },
    "emu3": merge(WORD_MAP, VQ, {"vq_config": {"codebook_size": 32, "embed_dim": 4}}),
    "ernie4_5_vl_moe": merge(mrope(3, 3, 2), {"text_config": {"moe_intermediate_size": [32, 32]}}),
    "evolla": {"aligner_num_add_layers": 2},
    "fast_vlm": tower("siglip_vision_model"),
    "gemma3": {"mm_tokens_per_image": 4},
    "gemma3n_text": SHARED | {"intermediate_size": [32, 32, 48, 48, 32, 32],
                              "activation_sparsity_pattern": [0.9, 0.9, 0.0, 0.0, 0.0, 0.0]},
    "gemma4": merge(
        tower("gemma4_vision"), {"text_config": SHARED, "vision_config": {"num_key_value_heads": 4, "head_dim": 16}}
    ),
    "glm46v": mrope(2, 3, 3), "glm4v": mrope(2, 3, 3), "glm_ocr": mrope(2, 3, 3), "glmga": mrope(2, 3, 3),
    "glm4v_moe": mrope(2, 1, 1, partial_rotary_factor=0.5),
    "glm5_next": {
        "text_config": {"num_key_value_heads": 4, "head_dim": 0, "indexer_types": ["full"] * 5 + ["shared"],
                        "layer_types": ["linear_attention"] * 2 + ["indexed_attention"] * 4},
    },
    "granite4_vision": {
        "downsample_rate": "2/4", "deepstack_layer_map": [[0, 1], [-1, 3]], "spatial_target_layers": [1, 3], **TILES,
    },
    "hunyuan_vl": merge(mrope(2, 2, 2, 2), {"text_config": {"head_dim": 16}}),
    "idefics": {"cross_layer_interval": 2},
    "inkling2": {"text_config": {"n_layers_per_attn_res_block": 3}},
    "inkling_mm_model": {"vision_config": {"patch_size": 2, "n_layers": 8}},
    "instructblip": {"image_token_index": WORDS, "num_query_tokens": 4},
    "instructblipvideo": {"video_token_index": WORDS, "num_query_tokens": 4},
    "internvl": SQUARE,
    "janus": merge(VQ, {"vq_config": {"num_embeddings": 32}}),
    "kosmos-2": {"latent_query_num": 4},
    "kimi_k25": {"text_config": MLA},
    "lfm3_vl": {"text_config": {"layer_types": ["conv", "sliding_attention", "full_attention"] * 2}},
    "llama4": {"text_config": {"interleave_moe_layer_step": 2}, "vision_config": {"intermediate_size": 256}},
    "llava_next": TILES, "llava_next_video": TILES, "llava_onevision": TILES,
    "mistral4": MLA | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5,
                                           "llama_4_scaling_beta": 0.1, "original_max_position_embeddings": 8}},
    "mistral_large4": {"text_config": MLA | {"kv_source_layers": [0, 1, 1, 1, 4, 4],
                                             "no_rope_layers": [0, 1, 1, 1, 1, 1],
                                             "indexer_types": ["full", "full", "shared", "shared", "full", "shared"]}},
    "mllama": {
        "text_config": {"cross_attention_layers": [2, 4]},
        "vision_config": {"intermediate_layers_indices": [0, 1], "vision_output_dim": 192},
    },
    "minicpm_ocr": SPARSE, "minicpmv4_6": SPARSE, "minicpmv4_7": SPARSE,
    "molmo2": {"adapter_config": {"vision_feature_layer": [1, 0]}, "text_config": {"rope_scaling_layers": [1, 3, 5],
               "rope_parameters": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e4}}},
    "muse_glimmer": {"out_hidden_size": 256},
    "muse_spark": {"out_hidden_size": 256,
                   "audio_config": {"num_hidden_layers": 4, "depths": [1] * 4, "hidden_sizes": [32] * 4}},
    "nemotron_h_omni": {
        "text_config": {"layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"] + ["moe"] * 2},
        "vision_config": {"video_temporal_patch_size": 2},
    },
    "paddleocr_vl": mrope(2, 3, 3),
    "perception_lm": merge(tower("clip_vision_model"), {"vision_config": {"model_args": {"embed_dim": 64}}}),
    "qianfan_ocr": SQUARE,
    "qwen2": {"use_sliding_window": True},
    "qwen2_5_omni_thinker": merge(mrope(2, 3, 3), WINDOW, {"vision_start_token_id": WORDS - 1}),
    "qwen2_5_vl": merge(mrope(2, 3, 3), WINDOW), "qwen2_vl": merge(mrope(2, 3, 3), WINDOW),
    "qwen3_5": SPARSE, "qwen3_5_moe": SPARSE,
    "qwen3_omni_moe_thinker": {"vision_start_token_id": WORDS - 1},
    "qwen3_vl_moe": {"text_config": {"mlp_only_layers": [1, 4]}},
    "qwen4_exp": {
        "text_config": {"full_attention_interval": 3, "indexer_n_heads": 2, "indexer_kv_heads": 1,
                        "indexer_head_dim": 16, "indexer_budget": 4, "indexer_compress_ratio": 2,
                        "ple_layer_ids": [2, 5], "ngram_vocab_size_base": 64,
                        "heads_per_ngram": 2, "split_ngram_parts": 1},
    },
    "shieldgemma2": {"mm_tokens_per_image": 4},
    "step3p7": {"text_config": {"sliding_window": 4, "layer_types": ["full_attention", "sliding_attention"] * 3}},
    "vipllava": {"vision_feature_layers": [-1, -2]},
}  # fmt: skip
# How a family takes images, and how many tokens an image is.
IMAGES: dict[str, dict[int, str]] = {
    "grid": {
        4: "cohere_compass cosmos3_edge cosmos3_omni dots3_note ernie4_5_vl_moe exaone4_5 glm46v glm4v glm4v_moe "
        "glm5_next glm_ocr glmga hyperclovax_vision_v2 lfm3_vl muse_glimmer muse_spark qwen2_5_omni_thinker qwen2_5_vl "
        "qwen2_vl qwen3_5 qwen3_5_moe qwen3_omni_moe_thinker qwen3_vl qwen3_vl_moe qwen4_exp video_llama_3",
        8: "hunyuan_vl",
    },
    "patches": {4: "kimi_k25 paddleocr_vl"},
    "plain": {
        0: "blip git",
        1: "got_ocr2 pp_chart2table step3p7",
        4: "aria aya_vision blip-2 cohere2_vision gemma3 instructblip internvl kosmos-2 llama4 qianfan_ocr "
        "shieldgemma2",
        16: "deepseek_vl janus llava ovis2 paligemma video_llava vipllava",
    },
    "sized": {4: "lighton_ocr mistral3 mistral_large4"},
    "stack": {4: "idefics3 instructblipvideo smolvlm", 16: "perception_lm", 64: "idefics2"},
    "tiles": {10: "granite4_vision", 36: "llava_next llava_next_video llava_onevision"},
    "crossed": {1: "mllama"},
    "positioned": {4: "gemma4", 36: "fuyu"},
}


def quick_first(families: Iterable[str]) -> list[Any]:
    """Families as parameters of a test; all but a few are left to `make test-all`."""
    return [family if family in QUICK else pytest.param(family, marks=pytest.mark.slow) for family in families]


def config(family: str) -> PretrainedConfig:
    """The family's default config with small sizes, and six decoder layers."""
    kind = CONFIG_MAPPING[family]
    whole = kind()
    return kind(**merge(_small(whole, whole.get_text_config(decoder=True), {}), OVERRIDES.get(family, {})))


def model_class(family: str) -> str:
    """The name of the class of transformers that loads the family's models."""
    return IMAGE_TEXT.get(family) or CAUSAL[family]


def build(family: str) -> PreTrainedModel:
    """A random model of a family.

    Its weights differ more than those of a fresh model, whose gates, biases and some projections are zero or one.
    """
    torch.manual_seed(0)
    model = getattr(transformers, model_class(family))(config(family)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
    # An image's token is no word of an answer.
    others = list(range(WORDS, VOCABULARY))
    model.generation_config = GenerationConfig(
        pad_token_id=0, do_sample=False, max_new_tokens=3, suppress_tokens=others
    )
    return model


def built_without(model: PreTrainedModel, removed: Collection[int], path: str) -> PreTrainedModel:
    """The same model built anew from the config without some layers, with the kept layers' weights.

    Args:
        path: the list of decoder layers in the model.
    """
    n_layers = len(model.get_submodule(path))
    kept = [layer for layer in range(n_layers) if layer not in removed]
    smaller = type(model)(cut(model.config, kept)).eval()
    shapes = {name: weight.shape for name, weight in smaller.state_dict().items()}
    weights = {}
    for name, weight in model.state_dict().items():
        if name.startswith(f"{path}."):
            layer, rest = name.removeprefix(f"{path}.").split(".", 1)
            if int(layer) in removed:
                continue
            name = f"{path}.{kept.index(int(layer))}.{rest}"
        # Weights outside the layers that hold a part for each of them, one after the other.
        for axis, size in enumerate(shapes[name]):
            if size != weight.shape[axis]:
                weight = torch.cat([weight.chunk(n_layers, axis)[layer] for layer in kept], axis)
        weights[name] = weight
    smaller.load_state_dict(weights)
    smaller.generation_config = model.generation_config
    return smaller


def words() -> Tensors:
    """Two rows of words, the second padded on the left."""
    ids = torch.arange(10, 34).reshape(2, 12) * 7 % 80 + 10
    ids[1, :3] = 0
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


def kind_of_images(family: str) -> tuple[str, int] | None:
    """How a family takes images, and how many tokens an image is; None if that is not known here."""
    found = [(kind, n) for kind, counts in IMAGES.items() for n, names in counts.items() if family in names.split()]
    return found[0] if found else None


def images(family: str, model: PreTrainedModel, seed: int = 0) -> Tensors | None:
    """An image in each of two rows of words, the second padded on the left; None if the family's way is not known."""
    found = kind_of_images(family)
    if not found:
        return None
    kind, n_tokens = found
    token = next((getattr(model.config, name) for name in TOKENS if getattr(model.config, name, None)), WORDS)
    parameters = inspect.signature(model.forward).parameters
    text = words()["input_ids"]
    ids = torch.cat([text[:, :5], torch.full((2, n_tokens), token), text[:, 5:]], dim=1)
    torch.manual_seed(seed)
    inputs = {"input_ids": ids, "attention_mask": (ids != 0).long(), **_pixels(kind, model.config)}
    inputs |= dict.fromkeys(("mm_token_type_ids", "token_type_ids"), (ids == token).int())
    inputs |= {
        "image_embeds_position_mask": (ids == token).int(),
        "qformer_input_ids": text,
        "image_merge_sizes": torch.tensor([2, 2]),
    }
    inputs["cross_attention_mask"] = torch.ones(*ids.shape, 1, 4, dtype=torch.long)
    return {name: value for name, value in inputs.items() if name in parameters}


def _pixels(kind: str, whole: PretrainedConfig) -> Tensors:
    vision = getattr(whole, "vision_config", whole)
    patch = getattr(vision, "patch_size", 7)
    patch = patch if isinstance(patch, int) else patch[0]
    n_values = 3 * patch**2
    frames = getattr(vision, "temporal_patch_size", None) or getattr(vision, "patch_temporal", 1)
    sizes, grid = torch.tensor([[28, 28]] * 2), torch.tensor([[1, 4, 4]] * 2)
    places = torch.cartesian_prod(torch.arange(6), torch.arange(6)).expand(2, 36, 2)
    shapes: dict[str, tuple[tuple[int, ...], Tensors]] = {
        "grid": ((32, n_values * frames), {"image_grid_thw": grid}),
        "patches": ((32, 3, patch, patch), {"image_grid_thw": grid}),
        "plain": ((2, 3, 28, 28), {}),
        "sized": ((2, 3, 28, 28), {"image_sizes": sizes}),
        "stack": ((2, 1, 3, 28, 28), {}),
        "tiles": ((2, 2, 3, 28, 28), {"image_sizes": sizes}),
        "crossed": (
            (2, 1, 4, 3, 28, 28),
            {"aspect_ratio_ids": torch.ones(2, 1).long(), "aspect_ratio_mask": torch.ones(2, 1, 4).long()},
        ),
        "positioned": ((2, 36, n_values), {"image_position_ids": places}),
    }
    shape, others = shapes[kind]
    return {"pixel_values": torch.randn(shape), **others}


def _small(part: PretrainedConfig, text: PretrainedConfig, tokens: dict[str, int]) -> dict[str, Any]:
    """The fields of a config that have to be small; others, such as the layers' types, follow from them by default."""
    fields: dict[str, Any] = {}
    for name, value in vars(part).items():
        if isinstance(value, PretrainedConfig):
            fields[name] = {"model_type": value.model_type, **_small(value, text, tokens)}
        elif name in SPECIAL:
            fields[name] = SPECIAL[name]
        elif name in LISTS and value:
            fields[name] = LISTS[name]
        elif isinstance(value, bool) or not isinstance(value, int):
            continue
        elif re.fullmatch(r".*token_(id|index)", name):
            fields[name] = tokens.setdefault(name.replace("index", "id"), WORDS + len(tokens))
        else:
            small = [size for pattern, size in SIZES.items() if re.fullmatch(pattern, name)]
            fields |= {name: min(small[0], value)} if small else {}
    if part is text:
        fields[part.attribute_map.get("num_hidden_layers", "num_hidden_layers")] = N_LAYERS
    rope = getattr(part, "rope_parameters", None) or {}
    if "mrope_section" in rope:
        whole_head = getattr(part, "head_dim", None) or part.hidden_size // part.num_attention_heads
        section = [length * 16 // whole_head for length in rope["mrope_section"]]
        section[0] += sum(rope["mrope_section"]) * 16 // whole_head - sum(section)
        fields["rope_parameters"] = {**rope, "mrope_section": section}
    return fields
