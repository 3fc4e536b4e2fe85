"""We-Math: the options are one text, and a problem is known by its group and its place there."""

from __future__ import annotations

import re
from typing import Any

# "A. one;B．two; C、three": with several kinds of punctuation.
OPTION = re.compile(r"(?:^|[;；])\s*([A-H])\s*[.．、:：]\s*")


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Adds options and sample_id."""
    parts = OPTION.split(row["option"])
    return {**row, "options": [text.strip() for text in parts[2::2]], "sample_id": f"{row['ID']}-{row['key']}"}
