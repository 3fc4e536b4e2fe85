"""What a practitioner came for: the best criterion at each budget, and how far one can go."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from pruning_regimes.regimes.retention import Cell, Results, Retained, mean
from pruning_regimes.tables import frame
from pruning_regimes.tables.contracts import ALL_GROUPS


def recommendation(of: Results, families: Mapping[str, str], keep: float) -> pl.DataFrame:
    """The recommendation table of one model.

    The lower limits of retention are simultaneous over all criteria and budgets (from the bootstrap distribution of the
    largest studentised deviation among them), since the best of many is chosen by the same questions. Controls, and
    criteria with replicates, are not recommended.

    Args:
        families: criterion -> ranking, structure or control.
        keep: retention that is to be kept.

    Returns: a row per budget, for each group and, if there are several, for the mean over groups ("all"); none where
        retention is undefined.
    """
    groups = dict(of.of_groups)
    if len(groups) > 1:
        groups[ALL_GROUPS] = mean(list(groups.values()))
    controls = {criterion for criterion, family in families.items() if family == "control"}
    rows = [
        {"model": of.model, "group": group, "n_layers": of.n_layers, **row}
        for group, found in groups.items()
        if found.retention is not None
        for row in _rows(of, found, controls, keep)
    ]
    return frame("recommendation", rows)


def _rows(of: Results, found: Retained, controls: Collection[str], keep: float) -> Iterator[dict[str, Any]]:
    single = {
        budget: [cell for cell in cells if len(cell.at) == 1 and cell.criterion not in controls]
        for budget, cells in of.budgets.items()
    }
    limits = simultaneous(found, sorted({cell.at[0] for cells in single.values() for cell in cells}), of.confidence)
    for budget, cells in single.items():
        if not cells:
            continue
        ranked: list[list[Cell]] = []  # criteria of the same layers together, the best first
        for cell in sorted(cells, key=lambda cell: -found.retention[cell.at[0]]):
            same = next((others for others in ranked if others[0].at == cell.at), None)
            if same is None:
                ranked.append([cell])
            else:
                same.append(cell)
        best = ranked[0][0].at[0]
        row: dict[str, Any] = {
            "budget": budget,
            "n_removed": cells[0].n_removed,
            "criteria": [cell.criterion for cell in ranked[0]],
            "retention": float(found.retention[best]),
            "retention_low": limits[best],
            "keeps": limits[best] >= keep,
            **dict.fromkeys(("runner_up", "difference", "difference_low", "difference_high")),
        }
        if len(ranked) > 1:
            second = ranked[1][0].at[0]
            low, high = of.limits(found.retentions[:, best] - found.retentions[:, second])
            row |= {"runner_up": ranked[1][0].criterion, "difference_low": low, "difference_high": high}
            row["difference"] = float(found.retention[best] - found.retention[second])
        yield row


def simultaneous(found: Retained, variants: list[int], confidence: float) -> dict[int, float]:
    """Lower limits of the retention of some variants that hold for all of them at once, at a level of confidence.

    Returns: variant's place -> limit.
    """
    draws, estimates = found.retentions[:, variants], found.retention[variants]
    draws = draws[~np.isnan(draws).any(1)]
    spread = draws.std(0, ddof=1)
    deviations = (draws - estimates) / np.where(spread > 0, spread, np.inf)
    critical = np.quantile(deviations.max(1), confidence) if variants else 0.0
    return dict(zip(variants, (estimates - critical * spread).tolist(), strict=True))
