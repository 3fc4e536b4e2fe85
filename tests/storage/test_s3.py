"""A small study whose results are in object storage, a local stand-in for S3 (`make test-s3`)."""

from __future__ import annotations

import copy
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pruning_regimes import tables
from tests.helpers import ROOT
from tests.helpers.studies import CONFIG, FIGURES, snakemake

MISSING = [name for name in ("snakemake_storage_plugin_s3", "moto", "boto3") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason="the extra 'cluster' is not installed")

MODEL = "demo-llava"
BUCKET = "studies"
KEYS = {"SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "test", "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "test"}


@dataclass(frozen=True)
class Storage:
    """A running server."""

    url: str

    @property
    def client(self) -> Any:
        """What talks to it."""
        import boto3

        names = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.url, **names)

    def keys(self) -> list[str]:
        """All that is there."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def arguments(self) -> list[str]:
        """What makes Snakemake use it."""
        return [
            "--default-storage-provider=s3",
            f"--default-storage-prefix=s3://{BUCKET}/mine",
            f"--storage-s3-endpoint-url={self.url}",
            "--storage-s3-region=us-east-1",
        ]


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    """An empty bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        found = Storage(f"http://127.0.0.1:{port}")
        found.client.create_bucket(Bucket=BUCKET)
        yield found
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """A study of one model."""
    study = copy.deepcopy(CONFIG)
    study["models"] = {MODEL: CONFIG["models"][MODEL]}
    for benchmark in study["benchmarks"].values():
        benchmark["samples"] = 8
    return study


@pytest.fixture(scope="module")
def study(storage: Storage, config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that has run."""
    directory = tmp_path_factory.mktemp("study")
    snakemake(directory, config, *storage.arguments(), **KEYS)
    return directory


def test_results_are_in_the_bucket_and_nowhere_else(study: Path, storage: Storage) -> None:
    keys = storage.keys()
    for figure in FIGURES:
        assert f"mine/results/figures/{figure}.png" in keys
    assert "mine/results/tables/summary.md" in keys and f"mine/results/models/{MODEL}.parquet" in keys
    assert not (study / "results").exists()
    # The model's own files are not copied there.
    assert not any(key.endswith(".safetensors") for key in keys)


def test_a_finished_study_has_nothing_left_to_do(study: Path, storage: Storage, config: dict[str, Any]) -> None:
    done = snakemake(study, config, *storage.arguments(), "--dry-run", **KEYS)
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_study_can_be_planned_with_the_profile_for_kubernetes(
    study: Path, storage: Storage, config: dict[str, Any]
) -> None:
    profile = ["--profile", str(ROOT / "workflow" / "profiles" / "kubernetes"), *storage.arguments()]
    done = snakemake(study, config, *profile, "--dry-run", "--force", "results/regimes/overlap.parquet", **KEYS)
    assert re.search(r"^overlap +1$", done.stdout + done.stderr, re.M)


def test_a_new_criterion_leads_to_the_answers_of_a_local_run(
    study: Path, storage: Storage, config: dict[str, Any], tmp_path: Path
) -> None:
    config = copy.deepcopy(config)
    config["criteria"]["uniform"] = {"kind": "uniform"}
    name = f"results/predictions/{MODEL}/chart/0.5.parquet"
    snakemake(study, config, *storage.arguments(), name, **KEYS)
    snakemake(tmp_path, config, name)
    fetched = tmp_path / "fetched.parquet"
    storage.client.download_file(BUCKET, f"mine/{name}", str(fetched))
    assert tables.read(fetched, "predictions").equals(tables.read(tmp_path / name, "predictions"))
