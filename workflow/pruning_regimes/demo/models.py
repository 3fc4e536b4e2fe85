"""Build the untrained demo models: ordinary transformers models with their processor and chat template."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers import models as tokenizer_models
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    GenerationConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)

from pruning_regimes.demo.scenes import DIGITS, GRID, LETTERS, OPERATORS, SIZE

PAD, END, USER, ASSISTANT, IMAGE, UNKNOWN = "<pad>", "<|end|>", "<|user|>", "<|assistant|>", "<image>", "<unk>"
IDEFICS_TOKENS = ("<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
QUESTION_WORDS = (
    "? how many objects circle circles square squares triangle triangles cross crosses red green blue yellow more or "
    "same what colour shape is the there a yes no where from left right above below describe height of sum and "
    "difference highest bar result which word letter object row column"
).split()
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
FAMILIES = ("llava", "idefics3")


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A word-piece tokenizer: the words of the questions are whole, numbers and other words are spelled."""
    glyphs = DIGITS + OPERATORS + LETTERS
    pieces = [PAD, UNKNOWN, END, USER, ASSISTANT, IMAGE, *IDEFICS_TOKENS, *QUESTION_WORDS, *glyphs]
    pieces += [f"##{glyph}" for glyph in DIGITS + LETTERS]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(tokenizer_models.WordPiece(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT, IMAGE, *IDEFICS_TOKENS],
        model_max_length=512,
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
    )


def build(family: str, seed: int) -> tuple[PreTrainedModel, ProcessorMixin]:
    """An untrained demo model in float32 and its processor.

    Raises: ValueError if the family is not one of `FAMILIES`.
    """
    tokenizer = build_tokenizer()
    torch.manual_seed(seed)
    if family == "llava":
        return _build_llava(tokenizer)
    if family == "idefics3":
        return _build_idefics3(tokenizer)
    raise ValueError(f"demo family {family!r}: expected one of {', '.join(FAMILIES)}")


def image_tokens(model: PreTrainedModel, pixel_values: torch.Tensor) -> torch.Tensor:
    """Projected image features, [B, 9, D], one per cell in reading order."""
    features = model.get_image_features(pixel_values=pixel_values, return_dict=True).pooler_output
    features = torch.stack(list(features)) if isinstance(features, (list, tuple)) else features
    return features.reshape(pixel_values.shape[0], GRID * GRID, -1)


def _text_config(tokenizer: PreTrainedTokenizerFast, **sizes: Any) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=-(-len(tokenizer) // 16) * 16,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        **sizes,
    )


def _generation_config(tokenizer: PreTrainedTokenizerFast) -> GenerationConfig:
    return GenerationConfig(
        do_sample=False, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, max_new_tokens=16
    )


def _build_llava(tokenizer: PreTrainedTokenizerFast) -> tuple[PreTrainedModel, ProcessorMixin]:
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=SIZE,
            patch_size=SIZE // GRID,
            projection_dim=128,
        ),
        text_config=_text_config(
            tokenizer, hidden_size=128, intermediate_size=384, num_hidden_layers=12, num_attention_heads=4
        ),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=GRID * GRID,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    # At CLIP's own scale the position embeddings drown in bright patches, and the model never learns where things are.
    torch.nn.init.normal_(model.model.vision_tower.embeddings.position_embedding.weight, std=0.7)
    model.generation_config = _generation_config(tokenizer)
    image_processor = CLIPImageProcessorPil(
        size={"shortest_edge": SIZE},
        crop_size={"height": SIZE, "width": SIZE},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    processor = LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=SIZE // GRID,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
    )
    return model, processor


def _build_idefics3(tokenizer: PreTrainedTokenizerFast) -> tuple[PreTrainedModel, ProcessorMixin]:
    config = Idefics3Config(
        vision_config={
            "hidden_size": 96,
            "intermediate_size": 288,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": SIZE,
            "patch_size": SIZE // (2 * GRID),
        },
        text_config=_text_config(
            tokenizer, hidden_size=112, intermediate_size=336, num_hidden_layers=14, num_attention_heads=4
        ),
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    model = Idefics3ForConditionalGeneration(config)
    model.generation_config = _generation_config(tokenizer)
    image_processor = Idefics3ImageProcessorPil(
        size={"longest_edge": SIZE},
        max_image_size={"longest_edge": SIZE},
        do_image_splitting=False,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    processor = Idefics3Processor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        image_seq_len=GRID * GRID,
        chat_template=CHAT_TEMPLATE,
    )
    return model, processor


def prompt_prefix(processor: ProcessorMixin, image: Any) -> tuple[list[int], list[int], torch.Tensor]:
    """Token ids before and after the question in the model's own prompt, and the pixel values of one image.

    Training builds its sequences from these pieces, so that a question reads as it does in an evaluation.
    """
    marker = "describe"
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": marker}]}]
    prompt = processor.apply_chat_template(messages, add_generation_prompt=True)
    inputs = processor(text=prompt, images=[image], return_tensors="pt")
    ids = inputs["input_ids"][0].tolist()
    at = ids.index(processor.tokenizer.convert_tokens_to_ids(marker))
    return ids[:at], ids[at + 1 :], inputs["pixel_values"]
