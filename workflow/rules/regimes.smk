"""Statistics over models, and the tables for people.

In: results/scores/, results/variants/, results/stability/, results/latency/. Out: results/regimes/, results/tables/.
"""

import shlex

STATISTICS = ["retention", "sensitivity", "advantage", "domain_effect", "segments", "recommendation"]
# As CSV: what is no list of lists.
TABLES = ["profile", "gap", "block_profile", *STATISTICS[:-1], "overlap", "stability", "ranks", "agreement", "cost"]
# What exports a checkpoint, up to the name of its directory.
EXPORT = shlex.join(["snakemake", *settings(), "--cores", "8", f"{RESULTS}/checkpoints/"])


rule regimes:
    input:
        variants=collect("<results>/variants/{model}.parquet", model=MODELS),
        scores=collect("<results>/scores/{model}/{benchmark}.parquet", model=MODELS, benchmark=BENCHMARKS),
    output:
        **{table: f"<results>/regimes/{table}.parquet" for table in STATISTICS},
    log:
        "<logs>/regimes/regimes.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        models=MODELS,
        groups=GROUPS,
        families=FAMILIES,
        own=own_domains(ENTRIES),
        statistics=config["statistics"],
        seed=config["seed"],
        package=package("regimes"),
    script:
        "../../scripts/regimes.py"


rule overlap:
    input:
        variants=collect("<results>/variants/{model}.parquet", model=MODELS),
    output:
        "<results>/regimes/overlap.parquet",
    log:
        "<logs>/regimes/overlap.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        models=MODELS,
        package=package("criteria"),
    script:
        "../../scripts/overlap.py"


rule pareto:
    input:
        retention="<results>/regimes/retention.parquet",
        variants=collect("<results>/variants/{model}.parquet", model=MODELS),
        latency=collect("<results>/latency/{model}.parquet", model=MODELS),
    output:
        "<results>/regimes/pareto.parquet",
    log:
        "<logs>/regimes/pareto.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        models=MODELS,
        families=FAMILIES,
        package=package("regimes"),
    script:
        "../../scripts/pareto.py"


rule metrics:
    input:
        variants=collect("<results>/variants/{model}.parquet", model=MODELS),
        metrics=collect("<results>/scores/{model}/{benchmark}.metrics.parquet", model=MODELS, benchmark=BENCHMARKS),
    output:
        report(
            "<results>/tables/metrics.csv",
            caption="../report/metrics.rst",
            category="6 Numbers",
            labels={"page": "metrics (CSV, downloaded)"},
        ),
    log:
        "<logs>/tables/metrics.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        models=MODELS,
        benchmarks=BENCHMARKS,
        package=package("report"),
    script:
        "../../scripts/metrics.py"


rule summary:
    input:
        **{table: f"<results>/regimes/{table}.parquet" for table in [*STATISTICS, "overlap", "pareto"]},
        profile=collect("<results>/similarity/{model}/profile.parquet", model=MODELS),
        gap=collect("<results>/similarity/{model}/profile.gap.parquet", model=MODELS),
        block_profile=collect("<results>/similarity/{model}/profile.blocks.parquet", model=MODELS),
        stability=collect("<results>/stability/{model}.parquet", model=MODELS),
        ranks=collect("<results>/stability/{model}.ranks.parquet", model=MODELS),
        agreement=collect("<results>/stability/{model}.agreement.parquet", model=MODELS),
    output:
        **{table: f"<results>/tables/{table}.csv" for table in TABLES},
        summary="<results>/tables/summary.md",
        recommended="<results>/tables/recommendation.md",
        numbers="<results>/tables/retention.md",
        found="<results>/tables/found.json",
    log:
        "<logs>/tables/summary.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        statistics=config["statistics"],
        enough=config["stability"]["overlap"],
        families=FAMILIES,
        command=EXPORT,
        package=package("report"),
    script:
        "../../scripts/summary.py"
