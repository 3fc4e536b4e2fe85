"""Statistics of pairs of vectors are those of float64, whatever the dtype, and however the pairs are chunked."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pruning_regimes.measurement import similarity


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_known_vectors(dtype: torch.dtype) -> None:
    x = torch.tensor([[1, 0], [1, 0], [1, 1], [2, 0], [0, 0], [3, 4], [0, 0]], dtype=dtype)
    y = torch.tensor([[0, 1], [1, 0], [2, 2], [-2, 0], [3, 4], [0, 0], [0, 0]], dtype=dtype)
    cosine, update, distance = similarity.statistics(torch.stack(similarity.magnitudes(x, y)))
    assert cosine.dtype == torch.float32
    torch.testing.assert_close(cosine, torch.tensor([0.0, 1.0, 1.0, -1.0, 0.0, 0.0, 1.0]))
    torch.testing.assert_close(update, torch.tensor([math.sqrt(2), 0.0, 1.0, 2.0, 1.0, 1.0, 0.0]))
    expected = torch.tensor([0.5, 0.0, 0.0, 1.0, 0.5, 0.5, 0.0])
    torch.testing.assert_close(distance, expected, atol=1e-6, rtol=0)
    blocks = similarity.block_distances(torch.stack([x, y], 1).float())
    torch.testing.assert_close(blocks[:, 0, 1], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("other", [[0.0, 0.0], [1.0, 0.0]])
def test_damage_is_never_taken_for_a_cosine(bad: float, other: list[float]) -> None:
    sound, damaged = torch.tensor([other]), torch.tensor([[bad, 0.0]])
    for x, y in ((sound, damaged), (damaged, sound), (damaged, damaged)):
        found = similarity.statistics(torch.stack(similarity.magnitudes(x, y)))
        assert not found.isfinite().any()


def pair(seed: int, width: int, stretch: float, turn: float, massive: float) -> tuple[Tensor, Tensor]:
    """A vector with a massive value, and that vector stretched and turned, both float32."""
    generator = torch.Generator().manual_seed(seed)
    x, other = torch.randn(2, 1, width, generator=generator, dtype=torch.float64)
    x[0, 0] *= massive
    return x.float(), (stretch * (x + turn * x.norm() / other.norm() * other)).float()


PAIRS = st.builds(
    pair,
    seed=st.integers(0, 10**6),
    width=st.integers(16, 300),
    stretch=st.sampled_from([1e-3, 0.1, 0.999, 1.0, 2.0, 3.0, 300.0]),
    turn=st.sampled_from([0.0, 1e-6, 1e-4, 1e-2, 0.3, 2.0]),
    massive=st.sampled_from([1.0, 1e3, 1e6]),
)


@given(PAIRS)
def test_float32_is_as_good_as_float64(vectors: tuple[Tensor, Tensor]) -> None:
    x, y = vectors
    cosine, update, distance = similarity.statistics(torch.stack(similarity.magnitudes(x, y)))
    a, b = x[0].double(), y[0].double()
    u, v = a / a.norm(), b / b.norm()
    turned = 2 * math.atan2(float((u - v).norm()), float((u + v).norm())) / math.pi
    assert float(cosine) == pytest.approx(float(u @ v), abs=1e-6)
    assert float(update) == pytest.approx(float((b - a).norm() / a.norm()), rel=1e-5, abs=1e-7)
    assert float(distance) == pytest.approx(turned, abs=2e-7)
    blocks = similarity.block_distances(torch.stack([x[0], y[0]])[None])
    assert blocks[0].tolist() == [[0.0, pytest.approx(turned, abs=2e-7)], [pytest.approx(turned, abs=2e-7), 0.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_chunks_change_nothing(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 23, 32, generator=generator).to(dtype)
    whole = torch.stack(similarity.magnitudes(x, y))
    assert torch.allclose(whole, torch.stack(similarity.magnitudes(x.float(), y.float())), rtol=1e-6)
    for chunk in (1, 32, 160, 23 * 32 - 1):
        monkeypatch.setattr(similarity, "CPU_CHUNK", chunk)
        assert torch.equal(torch.stack(similarity.magnitudes(x, y)), whole)
