"""A study with a judge."""

from __future__ import annotations

import copy
from pathlib import Path

from pruning_regimes import tables
from tests.evaluation.test_judge import KEY, serving
from tests.helpers.studies import CONFIG, snakemake


def test_a_judges_verdicts_take_the_place_of_the_rules_and_are_asked_once(tmp_path: Path) -> None:
    config = copy.deepcopy(CONFIG)
    del config["models"]["demo-idefics3"], config["benchmarks"]["attributes"]
    config["criteria"] = {"last": {"kind": "last"}}
    target = "results/scores/demo-llava/chart.parquet"
    with serving(lambda prompt, _: "Incorrect") as fake:
        config["judge"] = {
            "url": fake.settings["url"],
            "model": "referee",
            "key_variable": "KEY_OF_JUDGE",
            "rows": "all",
        }
        snakemake(tmp_path, config, target, KEY_OF_JUDGE=KEY, NO_PROXY="127.0.0.1")
        asked = len(fake.prompts)
        assert asked and set(fake.keys) == {f"Bearer {KEY}"}
        scores = tables.read(tmp_path / target, "scores")
        assert set(scores["method"]) == {"judge"} and scores["score"].sum() == 0
        # A new budget has new answers; those that were judged are not put to the judge again.
        snakemake(tmp_path, config | {"budgets": [1, 2, 0.5]}, target, KEY_OF_JUDGE=KEY, NO_PROXY="127.0.0.1")
        assert len(set(fake.prompts)) == len(fake.prompts)
        assert len(tables.read(tmp_path / target, "scores")) > len(scores)
    hidden = (file for file in tmp_path.rglob("*") if file.is_file())
    assert not any(KEY.encode() in file.read_bytes() for file in hidden)
    # Without the judge, the rules count.
    del config["judge"]
    snakemake(tmp_path, config, target)
    assert "judge" not in set(tables.read(tmp_path / target, "scores")["method"])
