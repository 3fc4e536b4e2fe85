"""The data contracts: one schema per Parquet table, written atomically with its provenance."""

from pruning_regimes.tables.files import (
    environment,
    frame,
    n_rows,
    parquet,
    portable,
    provenance,
    read,
    replacing,
    write,
)

__all__ = ["environment", "frame", "n_rows", "parquet", "portable", "provenance", "read", "replacing", "write"]
