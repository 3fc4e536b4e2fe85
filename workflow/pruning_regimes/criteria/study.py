"""What a criterion may look at: a model's stored tables, as means over its calibration samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from pruning_regimes.jobs.errors import ConfigError
from pruning_regimes.measurement.loss_tables import mean_losses
from pruning_regimes.tables.contracts import TOKEN_GROUPS

# metric -> sign that makes larger mean more redundant.
METRICS = {"cosine": 1.0, "angular_distance": -1.0, "relative_update": -1.0}


@dataclass(frozen=True)
class Samples:
    """The similarity tables of one domain.

    Attributes:
        layers: the similarity table.
        blocks: the blocks table.
        windows: the windows table; None if no criterion of the study needs it.
    """

    layers: pl.DataFrame
    blocks: pl.DataFrame
    windows: pl.DataFrame | None = None

    @cached_property
    def names(self) -> list[str]:
        """Ids of the samples, in order."""
        return self.layers["sample_id"].unique(maintain_order=True).to_list()

    @cached_property
    def of_layers(self) -> dict[str, np.ndarray]:
        """metric -> [N, L, token groups] float64; NaN where a sample has no token of the group."""
        at = (self._rows(self.layers), self.layers["layer"].to_numpy(), _groups(self.layers))
        return {name: _filled(at, self.layers[name], len(TOKEN_GROUPS)) for name in METRICS}

    @cached_property
    def of_blocks(self) -> np.ndarray:
        """[N, L, L + 1] float64: angular distance of the last token, by start and length; NaN where there is none."""
        return _filled(
            (self._rows(self.blocks), self.blocks["start"].to_numpy(), self.blocks["length"].to_numpy()),
            self.blocks["angular_distance"],
            self.blocks["length"].max() + 1,
        )

    @cached_property
    def of_windows(self) -> dict[int, np.ndarray]:
        """length -> [N, starts, token groups] float64: cosine of what enters the window and what follows it."""
        found = {}
        for (length,), part in self.windows.group_by("length"):
            at = (self._rows(part), part["start"].to_numpy(), _groups(part))
            found[length] = _filled(at, part["cosine"], len(TOKEN_GROUPS), len(self.names))
        return found

    def _rows(self, table: pl.DataFrame) -> np.ndarray:
        return table["sample_id"].cast(pl.Enum(self.names)).to_physical().to_numpy()


@dataclass(frozen=True)
class Losses:
    """A criterion's losses.

    Attributes:
        table: the losses table.
    """

    table: pl.DataFrame

    @cached_property
    def by_domain(self) -> dict[str, tuple[list[str], list[tuple[int, ...]], np.ndarray]]:
        """domain -> ids of its samples [N], sets of removed layers [S], and losses per token [N, S]."""
        found = {}
        for (domain,), part in self.table.group_by("domain"):
            samples = part["sample_id"].unique(maintain_order=True).to_list()
            sets = sorted({tuple(removed) for removed in part["removed"]})
            row, column = ({key: i for i, key in enumerate(keys)} for keys in (samples, sets))
            losses = np.full((len(samples), len(sets)), np.nan)
            for sample, removed, nll, n_tokens in part.select("sample_id", "removed", "nll", "n_tokens").iter_rows():
                losses[row[sample], column[tuple(removed)]] = nll / n_tokens
            found[domain] = (samples, sets, losses)
        return found


def _groups(table: pl.DataFrame) -> np.ndarray:
    return table["token_group"].to_physical().to_numpy()


def _filled(
    at: tuple[np.ndarray, np.ndarray, np.ndarray], values: pl.Series, last: int, n_samples: int | None = None
) -> np.ndarray:
    shape = (n_samples or int(at[0].max()) + 1, int(at[1].max()) + 1, last)
    found = np.full(shape, np.nan)
    found[at] = values.to_numpy()
    return found


@dataclass(frozen=True)
class Study:
    """What a criterion may look at.

    Attributes:
        model: the model's config key.
        n_layers: decoder layers L of the model.
        seed: the study's seed.
        protected: layers that no criterion may remove.
        samples: domain -> its similarity tables.
        losses: the losses of the criterion, if it needs them.
        importance: the importance table of the criterion, if it needs one.
        weights: domain -> [N], how often each sample counts; None if each counts once.
    """

    model: str
    n_layers: int
    seed: int
    protected: frozenset[int]
    samples: Mapping[str, Samples]
    losses: Losses | None = None
    importance: pl.DataFrame | None = None
    weights: Mapping[str, np.ndarray] | None = None

    @property
    def candidates(self) -> list[int]:
        """Layers that may be removed, ascending."""
        return [layer for layer in range(self.n_layers) if layer not in self.protected]

    @property
    def domains(self) -> list[str]:
        """The study's domains."""
        return list(self.samples)

    def weighted(self, weights: Mapping[str, np.ndarray]) -> Study:
        """The same study with other weights of its samples."""
        return replace(self, weights=weights)

    def similarity(self, domain: str, metric: str = "cosine", token_group: str = "all") -> np.ndarray:
        """Mean over a domain's samples of how much alike a layer's input and output are, [L] float64.

        Args:
            metric: cosine, angular_distance or relative_update.
            token_group: all, image, text or last.

        Raises: ConfigError if no sample of the domain has such tokens.
        """
        values = self.samples[domain].of_layers[metric][:, :, TOKEN_GROUPS.index(token_group)]
        return self._mean(values, domain, token_group)

    def windows(self, domain: str, length: int, token_group: str = "all") -> np.ndarray:
        """Mean over a domain's samples of the cosine of what enters layer i and what enters layer i + length, by i."""
        values = self.samples[domain].of_windows.get(length)
        if values is None:
            return np.empty(0)
        return self._mean(values[:, :, TOKEN_GROUPS.index(token_group)], domain, token_group)

    def blocks(self, domains: Sequence[str]) -> np.ndarray:
        """Mean over the samples of some domains, each sample alike, of the angle that the last token turns in a block.

        Returns: [L, L + 1], by start and length (0 is NaN), in units of pi.
        """
        counts = [self._weights(domain) for domain in domains]
        total = sum(
            np.einsum("n,nsl->sl", weights, self.samples[domain].of_blocks)
            for domain, weights in zip(domains, counts, strict=True)
        )
        return total / sum(weights.sum() for weights in counts)

    def pooled(self, domains: Sequence[str], of: np.ndarray | list[np.ndarray]) -> np.ndarray:
        """Mean over domains of what was found for each, weighted by their samples: as if they were one domain."""
        sizes = np.array([self._weights(domain).sum() for domain in domains])
        return np.tensordot(sizes / sizes.sum(), np.stack(list(of)), 1)

    def mean_losses(self, domains: Sequence[str]) -> dict[tuple[int, ...], float]:
        """Mean loss per token without some layers: mean over domains of the mean over samples.

        Returns: removed layers, ascending -> loss in nats.
        """
        if self.weights is None:
            return mean_losses(self.losses.table, domains)
        total: dict[tuple[int, ...], float] = {}
        for domain in domains:
            names, sets, losses = self.losses.by_domain[domain]
            counts = dict(zip(self.samples[domain].names, self.weights[domain], strict=True))
            weights = np.array([counts[name] for name in names])
            if not weights.any():  # as in `_mean`
                weights = np.ones(len(names))
            drawn = weights > 0  # 0 times the infinite loss of a set that the model does not allow would be NaN
            for removed, loss in zip(sets, weights[drawn] @ losses[drawn] / weights.sum(), strict=True):
                total[removed] = total.get(removed, 0.0) + float(loss) / len(domains)
        return total

    def _weights(self, domain: str) -> np.ndarray:
        if self.weights is None:
            return np.ones(len(self.samples[domain].names))
        return self.weights[domain]

    def _mean(self, values: np.ndarray, domain: str, token_group: str) -> np.ndarray:
        """Weighted mean over the samples that have a value; values [N, K]."""
        there = ~np.isnan(values[:, 0])
        if not there.any():
            raise ConfigError(f"domains.{domain}: no sample has tokens of the group '{token_group}'.")
        weights = self._weights(domain)[there]
        if not weights.any():  # a small draw may have none of the few samples that have such tokens
            weights = np.ones(len(weights))
        return weights @ values[there] / weights.sum()
