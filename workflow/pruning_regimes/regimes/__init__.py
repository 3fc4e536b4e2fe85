"""Regimes: what criteria retain at each budget, whether they differ, and where one regime ends and another begins."""

from pruning_regimes.regimes.comparisons import advantage, domain_effect, sensitivity
from pruning_regimes.regimes.pareto import pareto
from pruning_regimes.regimes.retention import Results, results, retention
from pruning_regimes.regimes.scored import Scored, scored
from pruning_regimes.regimes.segments import segments

__all__ = [
    "Results",
    "Scored",
    "advantage",
    "domain_effect",
    "pareto",
    "results",
    "retention",
    "scored",
    "segments",
    "sensitivity",
]
