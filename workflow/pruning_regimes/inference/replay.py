"""Answer one batch with many variants of a model, and compute what they share once.

Variants are visited in depth-first order of the trie of their kept layers. While a batch is prefilled, a decoder layer
on the path that a variant shares with the one before it gives back what it computed then: its output, what it wrote
into the cache, and what it left for later layers. It does so only if everything it is given is, bit for bit, what it
was given then, so that nothing has to be known of a model family for the answers to be those of each variant alone.
What encodes images runs once per batch, in the same way. Everything else is the model's own forward pass and its
`generate()`.
"""

from __future__ import annotations

import copy
import functools
import logging
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as trees
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from pruning_regimes.models.decoder import ENCODERS, Removal, find_decoder

BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
# These replace their tensors when they grow and never write into them.
APPENDING = (DynamicLayer, DynamicSlidingWindowLayer)
# How models of transformers name what encodes something besides text.
FEATURES = ("get_image_features", "get_video_features", "get_audio_features")


def depth_first(layer_sets: Iterable[Sequence[int]]) -> list[int]:
    """Positions of sets of kept layers in the order of their trie, in which neighbours share the longest prefixes."""
    return [position for position, _ in sorted(enumerate(layer_sets), key=lambda item: tuple(item[1]))]


def trie_size(layer_sets: Iterable[Sequence[int]]) -> int:
    """Nodes of the trie of kept layers: the layer evaluations of a prefill that shares all that can be shared."""
    return len({tuple(kept[:depth]) for kept in layer_sets for depth in range(1, len(kept) + 1)})


@dataclass
class _Call:
    """One call of a module: what it was given, what it returned and what it left behind.

    Attributes:
        given: what is set in the module, and the leaves of its arguments.
        returned: a copy of its output.
        state: a copy of its layer of the cache, None if it has none.
        left: entries that it set in mappings among its arguments: (name of the argument, key, value).
    """

    given: list[Any]
    returned: Any
    state: Any = None
    left: Sequence[tuple[str, Any, Any]] = ()


class Replay:
    """The wrapper around a model's layers.

    Attributes:
        computed: decoder layers computed at prefill so far.
        replayed: decoder layers that gave back what they had computed.
        hindrance: why layers cannot be replayed for this model, None if they can.
    """

    def __init__(self, model: PreTrainedModel, path: str | None = None) -> None:
        """Look at a whole model; `path` as in `find_decoder`."""
        self._model, self._decoder = model, find_decoder(model, path)
        self._numbers = {layer: number for number, layer in enumerate(self._decoder.layers)}
        self._encoders = _encoders(model, self._decoder.path)
        self._encoded: dict[tuple[nn.Module, str], _Call] = {}
        self._calls: list[_Call] = []
        self._kept: list[int] = []
        self._settings: dict[int, list[tuple[str, Any]]] = {}
        self._beside = ""
        self._store = 0
        self._waiting: set[int] = set()
        self._replaying = False
        self.computed = self.replayed = 0
        self.hindrance: str | None = None

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Wrap the layers while the variants answer one batch; afterwards nothing of it remains."""
        with ExitStack() as stack:
            for layer in self._numbers:
                stack.enter_context(_replaced(layer, self._layer(layer)))
            for owner, method in self._encoders:
                stack.enter_context(_replaced(owner, self._encoder(owner, method), method))
            stack.callback(self._forget)
            yield

    def variant(self, removal: Removal, following: Removal | None) -> None:
        """The next generation is that of this variant.

        Args:
            following: the variant after it, None if it is the last: what these two share is stored.
        """
        del self._calls[len(commonprefix([self._kept, removal.kept])) :]
        self._kept, self._settings, self._beside = removal.kept, removal.settings, str(removal.beside)
        self._store = len(commonprefix([self._kept, following.kept])) if following is not None else 0
        # The first call of each layer is the prefill.
        self._waiting = set(self._kept)
        self._replaying = True

    def _forget(self) -> None:
        self._encoded.clear()
        self._calls.clear()
        self._kept, self._waiting = [], set()

    def _layer(self, layer: nn.Module) -> Any:
        number, forward = self._numbers[layer], layer.forward

        def run(*args: Any, **kwargs: Any) -> Any:
            if number not in self._waiting:
                return forward(*args, **kwargs)
            self._waiting.discard(number)
            slot = self._kept.index(number)
            cache = _cache(args, kwargs)
            # A layer may read what earlier ones left, so these must have been replayed as well.
            if self._replaying and slot < len(self._calls):
                call = self._calls[slot]
                if _same(call.given, [str(self._settings[number]), *_leaves(args, kwargs)]):
                    self.replayed += 1
                    return _replay(call, cache, slot, kwargs)
            self._replaying = False
            del self._calls[slot:]
            self.computed += 1
            if slot >= self._store or slot != len(self._calls) or self.hindrance:
                return forward(*args, **kwargs)
            return self._record(number, forward, args, kwargs, cache, slot)

        return run

    def _record(self, number: int, forward: Any, args: Any, kwargs: Any, cache: Cache | None, slot: int) -> Any:
        given = [str(self._settings[number]), *_leaves(args, kwargs)]
        maps = {name: dict(value) for name, value in kwargs.items() if isinstance(value, MutableMapping)}
        others = _states(cache, slot)
        returned = forward(*args, **kwargs)
        left = [
            (name, key, value)
            for name, before in maps.items()
            for key, value in kwargs[name].items()
            if before.get(key) is not value
        ]
        if cache is not None and type(cache) is not DynamicCache:
            self._hinder(f"the cache is a {type(cache).__name__}")
        elif _states(cache, slot) != others:
            self._hinder("a layer writes into the cache of others")
        else:
            state = _copied(cache.layers[slot]) if cache is not None and slot < len(cache.layers) else None
            self._calls.append(_Call(given, _cloned(returned), state, left))
        return returned

    def _hinder(self, reason: str) -> None:
        self.hindrance = reason
        self._calls.clear()
        logging.info("%s: every variant computes all its layers, since %s", type(self._model).__name__, reason)

    def _encoder(self, owner: nn.Module, method: str) -> Any:
        encode, key = getattr(owner, method), (owner, method)

        @functools.wraps(encode)  # generate() looks at the signature
        def run(*args: Any, **kwargs: Any) -> Any:
            # The methods belong to modules whose config the removal may change.
            given = [self._beside if method in FEATURES else "", *_leaves(args, kwargs)]
            call = self._encoded.get(key)
            if call is None or not _same(call.given, given):
                returned = encode(*args, **kwargs)
                self._encoded[key] = _Call(given, _cloned(returned))
                return returned
            return _cloned(call.returned)

        return run


def _encoders(model: PreTrainedModel, path: str) -> list[tuple[nn.Module, str]]:
    """What takes no part in decoding: modules and their methods.

    The largest modules beside the decoder and what it is in, but for the head; and the methods that use these to encode
    images, videos or sounds, since what they do around them can take as long.
    """
    found = []
    for name, module in model.named_modules():
        if not path.startswith(f"{name}.") and name:
            continue
        found += [(module, method) for method in FEATURES if hasattr(module, method)]
        inner = name == path.rpartition(".")[0]
        for child_name, child in module.named_children():
            place = f"{name}.{child_name}".lstrip(".")
            contains = path == place or path.startswith(f"{place}.")
            encodes = not inner or ENCODERS.search(child_name)
            if encodes and not contains and child is not model.get_output_embeddings():
                found.append((child, "forward"))
    return found


@contextmanager
def _replaced(module: nn.Module, function: Any, method: str = "forward") -> Iterator[None]:
    """Let a module run another function in place of a method; hooks and attributes stay."""
    before = vars(module).get(method)
    setattr(module, method, function)
    try:
        yield
    finally:
        if before is None:
            delattr(module, method)
        else:
            setattr(module, method, before)


def _replay(call: _Call, cache: Cache | None, slot: int, kwargs: Mapping[str, Any]) -> Any:
    if cache is not None and call.state is not None:
        cache.layers[slot : slot + 1] = [_copied(call.state)]
    for name, key, value in call.left:
        kwargs[name][key] = value
    return _cloned(call.returned)


def _cache(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Cache | None:
    return next((value for value in (*args, *kwargs.values()) if isinstance(value, Cache)), None)


def _leaves(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """Everything that a call is given, but for the cache, in a fixed order."""
    plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in sorted(kwargs.items())}
    leaves, structure = trees.tree_flatten((list(args), plain))
    return [structure, *(Cache if isinstance(leaf, Cache) else leaf for leaf in leaves)]


def _same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether two calls were given the same, tensors bit for bit."""
    if len(a) != len(b):
        return False
    pairs = zip(a, b, strict=True)
    return all(one is other or (type(one) is type(other) and _equal(one, other)) for one, other in pairs)


def _equal(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor):
        return isinstance(one, (bool, int, float, str, torch.dtype, torch.device, trees.TreeSpec)) and one == other
    if one.shape != other.shape or one.dtype != other.dtype or one.device != other.device:
        return False
    # NaN at padding is equal to itself, and 0 is not -0.
    bits = BITS.get(one.itemsize)
    if bits is None or one.dtype == torch.bool or one.dim() == 0:
        return torch.equal(one, other)
    return torch.equal(one.view(bits), other.view(bits))


def _cloned(value: Any) -> Any:
    """A copy of a module's output, into which others may write."""
    return trees.tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, value)


def _copied(state: Any) -> Any:
    """A copy of a layer of the cache that can grow by itself."""
    return copy.copy(state) if type(state) in APPENDING else copy.deepcopy(state)


def _states(cache: Cache | None, slot: int) -> list[Any]:
    """What tells whether layers of the cache but one have changed."""
    if cache is None or not hasattr(cache, "layers"):
        return []
    return [
        [id(leaf) for leaf in trees.tree_leaves(vars(layer))]
        for number, layer in enumerate(cache.layers)
        if number != slot
    ]
