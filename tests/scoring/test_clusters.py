"""Questions that share an image are one cluster."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pruning_regimes.scoring.clusters import clusters


def asked(images: list[list[int]]) -> pl.DataFrame:
    """A benchmark's questions with these images."""
    return pl.DataFrame(
        {"sample_id": [f"q{i}" for i in range(len(images))], "images": [[bytes([b]) for b in row] for row in images]},
        schema={"sample_id": pl.String, "images": pl.List(pl.Binary)},
    )


def test_shared_images_join_questions_also_through_others() -> None:
    found = clusters(asked([[1], [2], [], [1, 3], [], [3, 2], [4]]))
    assert [found[f"q{i}"] for i in (0, 1, 3, 5)] == [found["q0"]] * 4
    assert {found["q2"], found["q4"], found["q6"]} == {"q2", "q4", "q6"}


@given(st.lists(st.lists(st.integers(0, 12), max_size=3), max_size=25))
def test_clusters_are_the_connected_components(images: list[list[int]]) -> None:
    found = clusters(asked(images))
    component = list(range(len(images)))
    for _ in images:
        for i, a in enumerate(images):
            for j, b in enumerate(images):
                if set(a) & set(b):
                    component[i] = component[j] = min(component[i], component[j])
    for i in range(len(images)):
        for j in range(len(images)):
            assert (found[f"q{i}"] == found[f"q{j}"]) == (component[i] == component[j])
