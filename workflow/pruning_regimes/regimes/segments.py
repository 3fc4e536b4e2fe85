"""Regimes: budgets cut into at most three consecutive segments, by likelihood.

At each budget, the retention of the criteria (of those with different layers) is

    common level + advantage x share of structure criteria + effect of the layer set + sampling noise,

with effects whose standard deviation between criteria is sd, and which two layer sets share to the degree that they
share layers (their correlation is the Jaccard overlap, so that neither nested sets nor almost equal ones count as
independent evidence), a criterion of several replicates averaging theirs, and noise whose covariances, also between
budgets, are known from the questions. Only contrasts between criteria count, so the level drops out. With `margin` the
difference in retention that would matter, a regime says which of these a segment's budgets have:

    convergent           sd < margin, no advantage
    ranking-sensitive    sd >= margin, no advantage
    structure-dominated  advantage >= margin, any sd

Each has the largest likelihood within its bounds, less 0.5 log(contrasts) for each parameter and each cut (Schwarz);
the best segmentation is found by dynamic programming. A regime has to be better than its rivals by what a one-sided
interval at the level of confidence asks for: convergent than both others, ranking-sensitive than convergent,
structure-dominated than both; else the segment is `undecided`. Cut points have intervals from a parametric bootstrap:
resampling the questions anew would add their noise to what is observed a second time, and so make criteria that agree
look different.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

from pruning_regimes.regimes.retention import Results, Retained, averaging
from pruning_regimes.tables import frame

CONVERGENT, SENSITIVE, STRUCTURE = 0, 1, 2
NAMES = ("convergent", "ranking-sensitive", "structure-dominated")
PARAMETERS = np.array([1, 1, 2])
MOST = 3
RIDGE = 1e-3  # of the mean variance: two variants may have given the same answers


@dataclass(frozen=True)
class Contrasts:
    """The contrasts between criteria of one model and group, all budgets together.

    Attributes:
        budgets: per budget its name and the layers it removes.
        slices: per budget its contrasts, of d in all.
        values: [d], contrasts of retention.
        noise: [d, d], their sampling covariance.
        effects: [d, d], the covariance of the effects of layer sets, up to a factor.
        structure: [d], contrasts of the share of structure criteria.
    """

    budgets: Sequence[tuple[str, int]]
    slices: Sequence[slice]
    values: np.ndarray
    noise: np.ndarray
    effects: np.ndarray
    structure: np.ndarray

    def scaled(self, part: slice) -> np.ndarray:
        """Covariance of effects in a segment whose variance between the criteria is 1, on average over its budgets.

        Criteria choose overlapping sets, so they differ less than any two sets would.
        """
        effects = self.effects[part, part]
        return effects * (len(effects) / np.trace(effects))


def contrasts(of: Results, found: Retained, families: Mapping[str, str]) -> Contrasts:
    """Contrasts of retention between the criteria at each budget; controls are left out.

    Criteria that removed the same layers are one, of which each counts to its family.
    """
    budgets = {
        name: [cell for cell in cells if families[cell.criterion] != "control"] for name, cells in of.budgets.items()
    }
    budgets = {name: cells for name, cells in budgets.items() if cells}
    projections, structure, slices, begin = [np.empty((0, len(of.removed)))], [np.empty(0)], [], 0
    for cells in budgets.values():
        variants, weights = averaging(cells)
        rows, which = np.unique(weights, axis=0, return_inverse=True)
        is_structure = np.array([families[cell.criterion] == "structure" for cell in cells], float)
        share = np.bincount(which.ravel(), is_structure) / np.bincount(which.ravel())
        basis = _helmert(len(rows))
        whole = np.zeros((len(basis), found.retention.shape[0]))
        whole[:, variants] = basis @ rows
        projections.append(whole)
        structure.append(basis @ share)
        slices.append(slice(begin, begin + len(basis)))
        begin += len(basis)
    projection = np.concatenate(projections)
    noise = shrunk_covariance(found.influence @ projection.T)
    noise += np.eye(begin) * (RIDGE * np.trace(noise) / max(begin, 1) + 1e-12)
    effects = projection @ overlaps(of.removed) @ projection.T
    places = [(name, cells[0].n_removed) for name, cells in budgets.items()]
    return Contrasts(places, slices, projection @ found.retention, noise, effects, np.concatenate(structure))


def shrunk_covariance(scattered: np.ndarray) -> np.ndarray:
    """Covariance of the sum of independent rows, its correlations shrunk as far as these are noise themselves.

    Schaefer and Strimmer (2005): where rows are few, the plain estimate is singular, and would take chance for
    certainty.

    Args:
        scattered: [C, d], of mean 0.

    Returns: [d, d].
    """
    n = len(scattered)
    squares = scattered**2
    product = scattered.T @ scattered
    uncertain = squares.T @ squares - product**2 / n  # of each sum of products, as a sum of squares
    apart = ~np.eye(product.shape[0], dtype=bool)
    signal = (product[apart] ** 2).sum()
    shrinkage = min(1.0, uncertain[apart].sum() / signal) if signal else 1.0
    return np.where(apart, (1 - shrinkage) * product, product) * n / max(1, n - 1)


def overlaps(removed: Sequence[frozenset[int]]) -> np.ndarray:
    """Jaccard overlap of each two sets of layers, [V, V]; 0 with the empty one."""
    layers = sorted(frozenset().union(*removed))
    member = np.array([[layer in one for layer in layers] for one in removed], float).reshape(len(removed), -1)
    shared, sizes = member @ member.T, member.sum(1)
    return shared / np.maximum(sizes[:, None] + sizes - shared, 1)


def _helmert(n: int) -> np.ndarray:
    """Orthonormal contrasts of n values, [n - 1, n]."""
    rows = np.tril(np.ones((n - 1, n)))
    for k in range(n - 1):
        rows[k, k + 1] = -(k + 1)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@dataclass(frozen=True)
class Fit:
    """The likelihoods of one segment, over a grid of standard deviations.

    Attributes:
        sds: [G], the grid.
        plain: [R, G], log-likelihood without advantage.
        led: [R, G], with the best advantage of at least the margin; the advantages that it has: [R, G].
    """

    sds: np.ndarray
    plain: np.ndarray
    led: np.ndarray
    advantages: np.ndarray


def grid(margin: float) -> np.ndarray:
    """Standard deviations that are tried, those below the margin first."""
    below = np.concatenate([[0.0], np.linspace(0.1, 0.99, 12)]) * margin
    return np.concatenate([below, margin * np.geomspace(1, max(20.0, 1 / margin), 24)])


def fit(values: np.ndarray, of: Contrasts, part: slice, margin: float) -> Fit:
    """Likelihoods of the contrasts of a segment.

    Args:
        values: [R, d] contrasts of retention, observed or simulated.
        part: the segment's contrasts.
    """
    sds = grid(margin)
    factor = np.linalg.cholesky(of.noise[part, part])
    whitened = np.linalg.solve(factor, np.linalg.solve(factor, of.scaled(part)).T)
    eigenvalues, vectors = np.linalg.eigh((whitened + whitened.T) / 2)
    turn = np.linalg.solve(factor, np.eye(len(factor))).T @ vectors
    y, x = values[:, part] @ turn, of.structure[part] @ turn  # [R, d], [d]
    variances = 1 + np.maximum(eigenvalues, 0)[:, None] * sds**2  # [d, G]
    constant = -0.5 * (np.log(variances).sum(0) + len(factor) * np.log(2 * np.pi)) - np.log(np.diag(factor)).sum()
    plain = constant - 0.5 * (y**2 @ (1 / variances))
    information = (x**2) @ (1 / variances)  # [G]
    moment = (y * x) @ (1 / variances)  # [R, G]
    if not information[0]:  # no budget has criteria of both families
        return Fit(sds, plain, np.full_like(plain, -np.inf), np.zeros_like(plain))
    advantages = np.maximum(moment / information, margin)
    return Fit(sds, plain, plain + advantages * moment - 0.5 * advantages**2 * information, advantages)


def likelihoods(found: Fit, margin: float) -> np.ndarray:
    """Largest log-likelihood of each regime, [R, 3]."""
    below = found.sds < margin
    return np.stack([found.plain[:, below].max(1), found.plain[:, ~below].max(1), found.led.max(1)], 1)


@dataclass(frozen=True)
class Segmentation:
    """The best segmentations of each of R data sets.

    Attributes:
        scores: [R, MOST], penalised log-likelihood of the best with 1, 2, ... segments.
        starts: [R, MOST, MOST], first budget of each segment, by number of segments.
        regimes: [R, MOST, MOST], their regimes.
    """

    scores: np.ndarray
    starts: np.ndarray
    regimes: np.ndarray


def segmentation(values: np.ndarray, of: Contrasts, margin: float) -> Segmentation:
    """The best cut of the budgets into 1 to 3 segments, neighbours of different regimes, by dynamic programming.

    Args:
        values: [R, d] contrasts of retention.
    """
    n_budgets, n_draws = len(of.slices), len(values)
    penalty = 0.5 * np.log(max(2, values.shape[1]))
    own = np.full((n_budgets, n_budgets, n_draws, 3), -np.inf)  # of a segment from budget i to j, by regime
    for i in range(n_budgets):
        for j in range(i, n_budgets):
            part = slice(of.slices[i].start, of.slices[j].stop)
            if part.start == part.stop:  # all criteria agree on the layers: any regime, at no cost
                own[i, j] = -penalty * PARAMETERS
            else:
                own[i, j] = likelihoods(fit(values, of, part, margin), margin) - penalty * PARAMETERS
    shape = (MOST, n_budgets, n_draws, 3)
    best, start, before = np.full(shape, -np.inf), np.zeros(shape, int), np.zeros(shape, int)
    best[0] = own[0]
    for n in range(1, min(MOST, n_budgets)):
        for j in range(n, n_budgets):
            for regime in range(3):
                others = [other for other in range(3) if other != regime]
                # [cuts, R, 2]: what is best up to the cut, in another regime.
                so_far = np.stack([best[n - 1, i - 1][:, others] + own[i, j, :, regime, None] for i in range(n, j + 1)])
                flat = so_far.transpose(1, 0, 2).reshape(n_draws, -1)
                which = flat.argmax(1)
                best[n, j, :, regime] = flat[np.arange(n_draws), which] - penalty
                start[n, j, :, regime] = n + which // 2
                before[n, j, :, regime] = np.array(others)[which % 2]
    scores = np.full((n_draws, MOST), -np.inf)
    starts, regimes = np.zeros((n_draws, MOST, MOST), int), np.zeros((n_draws, MOST, MOST), int)
    draws = np.arange(n_draws)
    for n in range(min(MOST, n_budgets)):
        regime = best[n, -1].argmax(1)
        scores[:, n] = best[n, -1][draws, regime]
        end = np.full(n_draws, n_budgets - 1)
        for k in range(n, -1, -1):
            starts[:, n, k] = start[k, end, draws, regime]
            regimes[:, n, k] = regime
            regime, end = before[k, end, draws, regime], start[k, end, draws, regime] - 1
    return Segmentation(scores, starts, regimes)


def segments(
    of: Results, kept: pl.DataFrame, families: Mapping[str, str], margin: float, resamples: int, seed: int
) -> pl.DataFrame:
    """The segments table of one model.

    Args:
        kept: the model's retention table.
        families: criterion -> ranking, structure or control.
        margin: difference in retention that would matter.
        resamples: draws of the parametric bootstrap.

    Returns: no rows for a group whose retention is undefined.
    """
    rows = []
    for group, found in of.of_groups.items():
        if found.retention is not None:
            part = kept.filter(pl.col("group") == group, pl.col("benchmark").is_null())
            rng = np.random.default_rng([seed, zlib.crc32(f"{of.model}/{group}".encode())])
            for row in _segments(of, found, part, families, margin, resamples, rng):
                rows.append({"model": of.model, "group": group, "n_layers": of.n_layers, **row})
    return frame("segments", rows)


def _segments(
    of: Results,
    found: Retained,
    kept: pl.DataFrame,
    families: Mapping[str, str],
    margin: float,
    resamples: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    data = contrasts(of, found, families)
    if not data.budgets:
        return []
    observed = segmentation(data.values[None], data, margin)
    n = int(observed.scores[0].argmax())
    starts, regimes = observed.starts[0, n, : n + 1], observed.regimes[0, n, : n + 1]
    ends = [*starts[1:], len(data.budgets)]
    # Each segment is judged, so the level is corrected for their number.
    drop = 0.5 * NormalDist().inv_cdf(1 - (1 - of.confidence) / MOST) ** 2
    parts, fitted = [], []
    for start, end, regime in zip(starts, ends, regimes, strict=True):
        part = slice(data.slices[start].start, data.slices[end - 1].stop)
        fitted.append(_fitted(data, part, regime, margin, drop))
        parts.append((start, end, part))
    simulated = segmentation(_simulated(data, parts, fitted, resamples, rng), data, margin)
    support = float(np.mean(simulated.scores.argmax(1) == n))
    removed = np.array([count for _, count in data.budgets])
    rows = []
    for k, ((start, end, _), estimates) in enumerate(zip(parts, fitted, strict=True)):
        names = [name for name, _ in data.budgets[start:end]]
        limits: dict[str, Any] = {"start": None, "start_low": None, "start_high": None}
        if k:
            places = (removed[simulated.starts[:, n, k] - 1] + removed[simulated.starts[:, n, k]]) / 2
            low, high = of.limits(places)
            limits = {"start": (removed[start - 1] + removed[start]) / 2, "start_low": low, "start_high": high}
        inside = kept.filter(pl.col("budget").is_in(names))
        if inside["collapsed"].all() and estimates["regime"] != NAMES[STRUCTURE]:
            reason = "no criterion is distinguishable from chance"
            estimates = {**estimates, "regime": "collapsed", "reason": reason}
        rows.append(
            {
                "first_budget": names[0],
                "last_budget": names[-1],
                "first_removed": removed[start],
                "last_removed": removed[end - 1],
                "support": support,
                **limits,
                **estimates,
            }
        )
    return [{**row, "segment": k, "n_segments": len(rows)} for k, row in enumerate(_merged(rows))]


def _fitted(data: Contrasts, part: slice, regime: int, margin: float, drop: float) -> dict[str, Any]:
    """Estimates of one segment, and whether its regime is decided.

    Args:
        drop: log-likelihood by which what is outside a one-sided interval is worse.
    """
    if part.start == part.stop:
        same = "all criteria remove the same layers"
        return {"regime": "undecided", "sd": 0.0, "sd_high": 0.0, "advantage": 0.0, "reason": same}
    found = fit(data.values[None], data, part, margin)
    own = likelihoods(found, margin)[0]
    if regime == STRUCTURE and own[STRUCTURE] - own[SENSITIVE] < drop:
        regime = SENSITIVE  # that layer sets differ is shown, but not that structure makes the difference
    # With layer sets that differ, an advantage can hardly ever be ruled out: it has to be shown.
    rivals = {CONVERGENT: (SENSITIVE, STRUCTURE), SENSITIVE: (CONVERGENT,), STRUCTURE: (CONVERGENT, SENSITIVE)}[regime]
    rival = max(rivals, key=lambda other: own[other])
    curve = found.led[0] if regime == STRUCTURE else found.plain[0]
    allowed = {CONVERGENT: found.sds < margin, SENSITIVE: found.sds >= margin}.get(regime, found.sds >= 0)
    at = int(np.where(allowed, curve, -np.inf).argmax())
    high = float(found.sds[np.flatnonzero(curve >= curve.max() - drop).max()])
    estimates = {"sd": float(found.sds[at]), "sd_high": high}
    estimates["advantage"] = float(found.advantages[0, at]) if regime == STRUCTURE else 0.0
    if own[regime] - own[rival] >= drop:
        return {**estimates, "regime": NAMES[regime], "reason": ""}
    return {**estimates, "regime": "undecided", "reason": f"{NAMES[regime]} and {NAMES[rival]} fit about equally well"}


def _simulated(
    data: Contrasts,
    parts: Sequence[tuple[int, int, slice]],
    fitted: Sequence[Mapping[str, Any]],
    resamples: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Contrasts [R, d] of studies whose segments are as fitted."""
    mean, covariance = np.zeros(len(data.values)), data.noise.copy()
    for (_, _, part), estimates in zip(parts, fitted, strict=True):
        if part.start == part.stop:
            continue
        mean[part] += estimates["advantage"] * data.structure[part]
        covariance[part, part] += estimates["sd"] ** 2 * data.scaled(part)
    return mean + rng.standard_normal((resamples, len(mean))) @ np.linalg.cholesky(covariance).T


def _merged(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbours without a decision, or of the same regime, as one segment."""
    merged: list[dict[str, Any]] = []
    for row in rows:
        if merged and merged[-1]["regime"] == row["regime"]:
            last = merged[-1]
            merged[-1] = {**last, **{name: row[name] for name in ("last_budget", "last_removed")}}
            for name in ("sd", "sd_high", "advantage"):
                merged[-1][name] = max(last[name], row[name])
        else:
            merged.append(row)
    return merged
