"""DynaMath: which variant of a question a row is, stands in the name of its file."""

from __future__ import annotations

import re
from typing import Any

from pruning_regimes.errors import DataError

VARIANT = re.compile(r"(?:sample_variant|sample|trial)(\d+)[-/]")


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Adds question_id, variant and sample_id.

    Raises: DataError if the file's name does not tell the variant.
    """
    found = VARIANT.search(row["_file"])
    if found is None:
        raise DataError(
            f"DynaMath: the name of '{row['_file']}' does not tell the variant; expected one such as sample3-00000-of-00001.parquet."
        )
    return {**row, "question_id": str(row["id"]), "variant": int(found[1]), "sample_id": f"{row['id']}-{found[1]}"}
