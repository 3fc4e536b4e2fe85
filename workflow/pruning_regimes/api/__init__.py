"""The five verbs of the command `pruning-regimes`, to be called from Python or a notebook, without a study.

    from pruning_regimes import api

    api.inspect(model)                                     what the decoder is, and which layers must stay
    api.similarity(model, {"math": file}, out=folder)      how little each layer changes its input
    api.rank(folder, ["mixed"], [2, 0.25])                 the layers that criteria remove
    api.export(model, remove=[4, 5], out=directory)        the model without these layers, as a checkpoint
    api.compare(predictions, others)                       whether one answers better than the other

They take and give what the workflow does: config entries, and its tables as polars frames.
"""

from pruning_regimes.api.comparison import Comparison, compare
from pruning_regimes.api.exporting import Exported, export, export_variant
from pruning_regimes.api.inspection import Inspection, inspect
from pruning_regimes.api.measurement import similarity
from pruning_regimes.api.ranking import rank

__all__ = [
    "Comparison",
    "Exported",
    "Inspection",
    "compare",
    "export",
    "export_variant",
    "inspect",
    "rank",
    "similarity",
]
