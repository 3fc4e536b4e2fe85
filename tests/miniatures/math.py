"""Miniatures of the math benchmarks: rows of our own making in each one's schema on the hub."""

from __future__ import annotations

from collections.abc import Callable

from miniatures.general import Miniature

MATH: dict[str, Callable[[int], Miniature]] = {}
