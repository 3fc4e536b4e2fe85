"""Secrets of the environment reach no file and no output of a run, whether it goes well or fails."""

from __future__ import annotations

import base64
import copy
import os
import re
import subprocess
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.evaluation.test_judge import serving
from tests.helpers.studies import CONFIG, snakemake

SECRETS = {
    name: f"canary/{name.lower().replace('_', '-')}+7f3b=="
    for name in (
        "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "OPENAI_API_KEY",
        "JUDGE_KEY", "WANDB_API_KEY",
    )
}  # fmt: skip


def forms(secret: str) -> set[bytes]:
    """A secret as it may be written: plain, quoted, with its letters escaped, or in base64 at any of three places."""
    plain = secret.encode()
    found = {plain, quote(secret, safe="").encode(), quote_plus(secret, safe="/").encode(), plain.hex().encode()}
    found |= {secret.replace("/", "\\/").encode(), secret[::-1].encode()}
    for shift in range(3):
        # Without the ends, which depend on what stands beside it.
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(b"x" * shift + plain)[4 if shift else 0 : -4])
    return found


def leaks(data: bytes) -> set[str]:
    """Names of the secrets that bytes hold, themselves or in compressed parts and data addresses of a report."""
    parts = [data]
    for part in parts:  # which grows: a page in a report has data addresses of its own
        addresses = re.findall(rb"base64,([A-Za-z0-9+/=]{16,})", part)
        parts += [base64.b64decode(found, validate=False) for found in addresses]
    for part in list(parts):
        for found in re.finditer(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]", part):
            try:
                parts.append(zlib.decompressobj(wbits=47).decompress(part[found.start() :]))
            except zlib.error:
                continue
    return {name for name, secret in SECRETS.items() for form in forms(secret) if any(form in part for part in parts)}


@pytest.mark.parametrize("name", SECRETS)
def test_the_search_finds_a_secret_in_every_form(name: str) -> None:
    secret = SECRETS[name].encode()
    written = [secret, b"Bearer " + secret, base64.b64encode(b"me:" + secret), base64.b64encode(b"user:" + secret)]
    written += [b"x=" + quote(SECRETS[name], safe="").encode(), b"..." + zlib.compress(b"of " + secret)]
    written += [base64.b64encode(secret), b'"data:text/plain;base64,' + base64.b64encode(b"of " + secret) + b'"']
    written.append(b"data:text/html;base64," + base64.b64encode(b"<img> of " + written[-1]))
    for data in written:
        assert leaks(b"before " + data + b" after") == {name}
    assert leaks(b"canary, HF_TOKEN, JUDGE_KEY") == set()


def files(directory: Path) -> dict[str, bytes]:
    """Everything that was written."""
    return {str(file): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    """A study with a judge that gives away the key, its report, a job that fails, and a config that is wrong."""
    directory = tmp_path_factory.mktemp("secrets")
    config: dict[str, Any] = copy.deepcopy(CONFIG)
    del config["models"]["demo-idefics3"], config["benchmarks"]["attributes"]
    del config["domains"]["general"]
    config["criteria"], config["budgets"] = {"last": {"kind": "last"}}, [1]
    config["domains"]["math"]["samples"] = 4
    config["benchmarks"]["chart"]["samples"] = 4
    environment = {
        **SECRETS,
        "NO_PROXY": "127.0.0.1",
        "TMPDIR": str(directory / "tmp"),
        "XDG_CACHE_HOME": str(directory / "cache"),
        "HF_HOME": str(directory / "hub"),
    }
    (directory / "tmp").mkdir()
    done = []
    with serving(lambda prompt, _: f"Correct, {SECRETS['JUDGE_KEY']}") as fake:
        config["judge"] = {"url": fake.settings["url"], "model": "m", "key_variable": "JUDGE_KEY", "rows": "all"}
        done.append(snakemake(directory, config, "--verbose", "--printshellcmds", **environment))
        assert set(fake.keys) == {f"Bearer {SECRETS['JUDGE_KEY']}"}
    done.append(snakemake(directory, config, "--report", "results/report.html", **environment))
    # A hub that cannot be reached, and a damaged data set.
    failing = copy.deepcopy(config)
    failing["models"] = {"gone": {"path": "owner/gone"}}
    (directory / "rows.jsonl").write_text('{"question": ')
    failing["benchmarks"]["mine"] = {
        "source": "custom", "path": str(directory / "rows.jsonl"), "group": "g", "answer_type": "exact",
    }  # fmt: skip
    targets = ("results/models/gone.parquet", "results/benchmarks/mine.parquet")
    nowhere = {**environment, "HF_ENDPOINT": "http://127.0.0.1:9"}
    done.append(snakemake(directory, failing, "--keep-going", "--show-failed-logs", *targets, check=False, **nowhere))
    done.append(snakemake(directory, {**config, "bugdets": [1]}, check=False, **environment))
    return directory, done


@pytest.mark.slow
def test_the_runs_went_as_they_should(runs: tuple[Path, list[subprocess.CompletedProcess[str]]]) -> None:
    directory, (good, report, failed, wrong) = runs
    assert good.returncode == report.returncode == 0 and failed.returncode and wrong.returncode
    assert (directory / "results" / "report.html").stat().st_size > 100_000
    assert "Model 'owner/gone'" in failed.stderr and "rows.jsonl' cannot be read as rows" in failed.stderr
    assert "bugdets: unknown key in the config" in wrong.stderr


@pytest.mark.slow
def test_no_secret_is_in_any_file_or_output(runs: tuple[Path, list[subprocess.CompletedProcess[str]]]) -> None:
    directory, done = runs
    written = files(directory)
    assert {"results", ".snakemake", "tmp", "hub"} & {Path(name).relative_to(directory).parts[0] for name in written}
    assert len(written) > 60 and any("/.snakemake/log/" in name for name in written)
    written |= {f"{run.args} {name}": getattr(run, name).encode() for run in done for name in ("stdout", "stderr")}
    assert {name: found for name, data in written.items() if (found := leaks(data))} == {}
    assert not any(os.environ.get(name) == secret for name, secret in SECRETS.items())
