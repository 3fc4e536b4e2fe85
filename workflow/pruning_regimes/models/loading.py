"""Load a model with its processor: a vision-language model, or a causal language model for questions without images."""

from __future__ import annotations

import copy
import json
import logging
import sys
from collections.abc import Collection, Mapping
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import psutil
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch.utils import _pytree as trees
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)
from transformers.utils import logging as logs

from pruning_regimes.jobs.errors import ModelError
from pruning_regimes.models import checksums, hub

LOADING_ERRORS = (
    OSError, ValueError, TypeError, ImportError, KeyError, AttributeError, RuntimeError, MemoryError, ArithmeticError,
    SafetensorError, StrictDataclassError,
)  # fmt: skip
GIB = 2**30
ADAPTER = "adapter_config.json"
# Where a model names Python code of its own.
NAMING_CODE = ("config", "tokenizer_config", "processor_config", "preprocessor_config", "video_preprocessor_config")


class Source:
    """A model as it is stored: its files, its config and, without weights, its modules.

    Attributes:
        path: directory or hub id.
        revision: the commit of a hub model.
        directory: where its files are.
        decoder_path: where the decoder layers are, if the study says so.
        trusted: whether the model's own code may run.
        config: the model's own config.
        takes_images: whether it is a vision-language model.
    """

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.path: str = entry["path"]
        self.revision: str = entry["revision"]
        self.decoder_path: str | None = entry.get("decoder_path")
        self.trusted: bool = entry.get("trust_remote_code", False)
        self.directory = hub.directory(self.path, self.revision, self.trusted)
        if hub.local(self.path) is None:
            self.revision = self.directory.name  # the commit that a branch or tag stands for now
        self.check_files(weights=False)
        # Where peft is installed, transformers would load the base model that it names, from anywhere.
        if (self.directory / ADAPTER).is_file():
            raise ModelError(f"Model '{self.path}' has an adapter ({ADAPTER}); merge it into its base model first.")
        self._check_code()
        try:
            self.config = AutoConfig.from_pretrained(self.directory, trust_remote_code=self.trusted)
        except LOADING_ERRORS as error:
            raise self.unloadable(error) from error
        if getattr(self.config, "transformers_weights", None):
            raise ModelError(
                f"Model '{self.path}': its config.json names a file of weights (transformers_weights); expected "
                f"{hub.WEIGHTS} or {hub.INDEX}, and no such key."
            )
        self.takes_images = self._takes_images()

    @property
    def auto_class(self) -> type[AutoModelForImageTextToText] | type[AutoModelForCausalLM]:
        """The class of transformers that loads it."""
        return AutoModelForImageTextToText if self.takes_images else AutoModelForCausalLM

    def skeleton(self) -> PreTrainedModel:
        """The model without weights, on the meta device.

        Raises: ModelError if it cannot be built.
        """
        try:
            with torch.device("meta"):
                # A copy, since building a model writes into its config.
                return self.auto_class.from_config(copy.deepcopy(self.config), trust_remote_code=self.trusted)
        except LOADING_ERRORS as error:
            raise self.unloadable(error) from error

    def check_files(self, weights: bool) -> None:
        """Compare the files of a model's own directory with their checksums, if it has any.

        Args:
            weights: whether those of weights, or the others.

        Raises: ModelError if one is missing or another.
        """
        # Of a hub model only what is needed is there, and the commit names its files.
        if hub.local(self.path) is not None:
            checksums.check(self.path, self.directory, weights)

    def unloadable(self, error: Exception) -> ModelError:
        """The error for a model that transformers cannot load."""
        return ModelError(f"Model '{self.path}' cannot be loaded: {' '.join(str(error).split())}")

    def _takes_images(self) -> bool:
        classes = getattr(self.config, "auto_map", None) or {}
        if type(self.config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING or AutoModelForImageTextToText.__name__ in classes:
            return True
        if type(self.config) in MODEL_FOR_CAUSAL_LM_MAPPING or AutoModelForCausalLM.__name__ in classes:
            return False
        raise ModelError(
            f"Model '{self.path}' is of type '{self.config.model_type}', which transformers knows neither as an "
            "image-text-to-text model nor as a causal language model."
        )

    def _check_code(self) -> None:
        """Refuse a model's own code unless the config allows it, and code of other repositories in any case."""
        named: list[str] = []
        for name in NAMING_CODE:
            file = self.directory / f"{name}.json"
            try:
                stated = json.loads(file.read_text()) if file.is_file() else {}
                named += map(str, trees.tree_leaves(dict(stated).get("auto_map") or {}))
            except (ValueError, TypeError) as error:
                raise self.unloadable(error) from error
            if name == "config":
                model_type = stated.get("model_type")
        if named and not self.trusted and model_type not in CONFIG_MAPPING:
            raise ModelError(
                f"Model '{self.path}' runs Python code of its own, which transformers does not have; if you trust it, "
                "set models.<key>.trust_remote_code: true and models.<key>.revision to the commit that you read."
            )
        foreign = [name for name in named if "--" in name]
        if foreign and self.trusted:
            raise ModelError(
                f"Model '{self.path}' runs Python code of another repository ({foreign[0]}), whose revision cannot be "
                "pinned; use a copy of the model that brings its code."
            )


class Loaded(Source):
    """A model with its processor; the weights are loaded when they are first used.

    Attributes:
        dtype: what the study asks for, a torch dtype's name or `auto`.
        attention: the attention implementation that the study asks for; None leaves the choice to transformers.
        processor: pads on the left; of a model without images its tokenizer.
        unexpected: weights of the checkpoint that the model has no place for, known once the model is loaded.
    """

    def __init__(self, entry: Mapping[str, Any]) -> None:
        super().__init__(entry)
        self.dtype: str = entry["dtype"]
        self.attention: str | None = entry.get("attention")
        self.unexpected: list[str] = []
        self._gpus: int = entry["gpus"]
        processor = AutoProcessor if self.takes_images else AutoTokenizer
        try:
            self.processor: ProcessorMixin | PreTrainedTokenizerBase = processor.from_pretrained(
                self.directory, trust_remote_code=self.trusted
            )
        except LOADING_ERRORS as error:
            problem = self.unloadable(error)
            if not find_spec("torchvision"):
                # Processors with a video part fail in ways that do not name what they lack.
                problem = ModelError(f"{problem} (torchvision is not installed; some processors need it)")
            raise problem from error
        if self.takes_images and not isinstance(self.processor, ProcessorMixin):
            raise ModelError(f"Model '{self.path}' takes images, but its directory has no processor that reads them.")
        if not getattr(self.processor, "chat_template", None):
            self.processor.chat_template = self.tokenizer.chat_template
        if not self.processor.chat_template:
            raise ModelError(f"Model '{self.path}' has no chat template; add a chat_template.jinja to its directory.")
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The processor's tokenizer."""
        return getattr(self.processor, "tokenizer", self.processor)

    @property
    def device(self) -> torch.device:
        """Where the inputs go."""
        return self.model.device

    @cached_property
    def model(self) -> PreTrainedModel:
        """The model in evaluation mode on its devices, its generation set to plain greedy decoding.

        A model of several GPUs is spread over them, layer by layer.

        Raises: ModelError if it cannot be loaded, does not fit, or its checkpoint lacks weights.
        """
        files = set(hub.weight_places(self.path, self.revision).values())
        hub.with_weights(self.path, self.revision, files)
        self.check_files(weights=True)
        self._check_devices(files)
        try:
            # Weights made in inference mode may be computed with in another order, wherever the model is first used.
            with torch.inference_mode(False):
                model, found = self.auto_class.from_pretrained(
                    self.directory,
                    dtype=self.dtype if self.dtype == "auto" else getattr(torch, self.dtype),
                    attn_implementation=self.attention,
                    device_map=(None, "cuda", "auto")[min(self._gpus, 2)],
                    max_memory={gpu: torch.cuda.mem_get_info(gpu)[0] for gpu in range(self._gpus)} or None,
                    use_safetensors=True,
                    trust_remote_code=self.trusted,
                    output_loading_info=True,
                )
        except LOADING_ERRORS as error:
            raise self.unloadable(error) from error
        self.unexpected = sorted(found["unexpected_keys"])
        if self.unexpected:
            logging.warning(
                "%d weights have no place in the model, such as %s", len(self.unexpected), self.unexpected[0]
            )
        if found["missing_keys"]:
            missing = sorted(found["missing_keys"])
            raise ModelError(
                f"Model '{self.path}' lacks {len(missing)} weights that its config.json asks for, such as "
                f"'{missing[0]}'; transformers would fill them with random numbers."
            )
        if self._gpus and {"cpu", "disk"} & set(map(str, getattr(model, "hf_device_map", {}).values())):
            raise ModelError(
                f"Model '{self.path}' does not fit into {self._gpus} GPUs; raise models.<key>.gpus or choose a smaller "
                "dtype."
            )
        logging.info("Loaded %s (%s) on %s", self.path, model.dtype, model.device)
        model.generation_config = self._greedy(model)
        return model.eval()

    @property
    def end_tokens(self) -> list[int]:
        """Ids of the tokens that end an answer."""
        ends = self.model.generation_config.eos_token_id
        return ends if isinstance(ends, list) else [ends]

    def _check_devices(self, files: Collection[str]) -> None:
        """Refuse a model that the devices cannot hold, before the system ends the job for it.

        Args:
            files: names of its files of weights.
        """
        if self._gpus and not torch.cuda.is_available():
            raise ModelError(f"Model '{self.path}' asks for a GPU, but torch sees no CUDA device.")
        if self._gpus > torch.cuda.device_count():
            raise ModelError(
                f"Model '{self.path}' asks for {self._gpus} GPUs, but torch sees {torch.cuda.device_count()}; lower "
                "models.<key>.gpus."
            )
        if self.dtype == "auto":
            needed = sum((self.directory / file).stat().st_size for file in files)
        else:
            n_parameters = sum(weight.numel() for weight in self.skeleton().parameters())
            needed = n_parameters * getattr(torch, self.dtype).itemsize
        if self._gpus:
            free, where = sum(torch.cuda.mem_get_info(gpu)[0] for gpu in range(self._gpus)), f"{self._gpus} GPUs"
        else:
            free, where = psutil.virtual_memory().available, "main memory"
        if needed > free:
            raise ModelError(
                f"Model '{self.path}' needs {needed / GIB:.1f} GiB for its weights (dtype {self.dtype}), but "
                f"{free / GIB:.1f} GiB of {where} are free; raise models.<key>.gpus or choose a smaller dtype."
            )

    def _greedy(self, model: PreTrainedModel) -> GenerationConfig:
        """The model's special tokens, and nothing of its sampling, penalties or forced tokens."""
        stated, text = model.generation_config, model.config.get_text_config(decoder=True)
        ends = next(
            (e for e in (stated.eos_token_id, text.eos_token_id, self.tokenizer.eos_token_id) if e is not None), None
        )
        if ends is None:
            raise ModelError(f"Model '{self.path}' names no end token (eos_token_id), so no answer would ever end.")
        pad = stated.pad_token_id if stated.pad_token_id is not None else self.tokenizer.pad_token_id
        return GenerationConfig(
            do_sample=False, num_beams=1, bos_token_id=stated.bos_token_id, eos_token_id=ends, pad_token_id=pad
        )


def pinned(entry: Mapping[str, Any], decoder: Mapping[str, Any]) -> dict[str, Any]:
    """A config entry with what the model's row of the decoder table found: the commit, and where the decoder is."""
    return {**entry, "revision": decoder["revision"], "decoder_path": decoder["decoder_path"]}


def load(entry: Mapping[str, Any], threads: int = 1) -> Loaded:
    """The processor and, when first used, the model of a config entry.

    Args:
        entry: path or hub id, revision, dtype, gpus; optionally attention, decoder_path, trust_remote_code.

    Raises: ModelError if the processor cannot be loaded or has no chat template.
    """
    torch.set_num_threads(threads)
    if not sys.stderr.isatty():
        logs.disable_progress_bar()
    return Loaded(entry)
