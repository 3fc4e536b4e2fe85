"""Tables as plain text, for terminals and notebooks."""

from __future__ import annotations

import polars as pl


def table(rows: pl.DataFrame) -> str:
    """A frame in aligned columns, all of it: text to the left, numbers to the right, nothing where a value is missing.

    Fractions are shown with four digits, counts in groups of three.
    """
    columns = [[name, *map(_cell, rows[name])] for name in rows.columns]
    widths = [max(map(len, column)) for column in columns]
    right = [dtype.is_numeric() for dtype in rows.dtypes]
    lines = []
    for cells in zip(*columns, strict=True):
        padded = [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(cells, widths, right, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, pl.Series):
        return " ".join(map(str, value))
    return str(value)
