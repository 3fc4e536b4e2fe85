"""Pages of the report, besides the figures.

In: results/tables/, and the provenance of tables. Out: results/tables/provenance.md, results/pages/.
"""

import json
from collections import defaultdict

# What decides the results: neither the figures' looks, nor how many jobs and samples run at a time.
STUDY = {key: value for key, value in config.items() if key not in ("figures", "evaluation")}
STUDY["models"] = {
    name: {key: value for key, value in entry.items() if key not in ("gpus", "batch_size")}
    for name, entry in config["models"].items()
}

# Figure -> sentences that say what it shows: captions are made when the tables are there, and see the config alone.
config["found"] = defaultdict(list)
for file in filter(Path.is_file, [RESULTS / "tables" / "found.json"]):
    for figure, said in json.loads(file.read_text()).items():
        config["found"][figure] = [sentence.replace("_", r"\_") for sentence in said]  # no links in names

# Page -> its place in the report.
PAGES = {
    "summary": "1 Findings",
    "recommendation": "1 Findings",
    "retention": "6 Numbers",
    "provenance": "7 Study",
}
# The report sorts by these: what was found first.
LABELS = {"summary": "findings"}


rule provenance:
    input:
        models=collect("<results>/models/{model}.parquet", model=MODELS),
        domains=collect("<results>/calibration/{domain}.parquet", domain=DOMAINS),
        benchmarks=collect("<results>/benchmarks/{benchmark}.parquet", benchmark=BENCHMARKS),
        predictions=collect(
            "<results>/predictions/{model}/{benchmark}/{budget}.parquet",
            model=MODELS,
            benchmark=BENCHMARKS,
            budget=ANSWERED,
        ),
        retention="<results>/regimes/retention.parquet",
    output:
        "<results>/tables/provenance.md",
    log:
        "<logs>/tables/provenance.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        models=MODELS,
        domains=DOMAINS,
        benchmarks=BENCHMARKS,
        study=STUDY,
        package=package("report"),
    script:
        "../../scripts/provenance.py"


rule page:
    input:
        "<results>/tables/{page}.md",
    output:
        report(
            "<results>/pages/{page}.html",
            caption="../report/page.rst",
            category=lambda wildcards: PAGES[wildcards.page],
            labels=lambda wildcards: {"page": LABELS.get(wildcards.page, wildcards.page)},
        ),
    log:
        "<logs>/pages/{page}.log",
    wildcard_constraints:
        page="|".join(PAGES),
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        package=package("report"),
    script:
        "../../scripts/page.py"
