"""Statistics over models, and the tables for people.

In: results/scores/, results/variants/, results/stability/. Out: results/regimes/, results/tables/.
"""

STATISTICS = ["retention", "sensitivity", "advantage", "domain_effect", "segments", "recommendation"]
# As CSV: what is no list of lists.
TABLES = [*STATISTICS[:-1], "overlap", "stability", "ranks", "agreement"]
# What exports a checkpoint, up to the name of its directory.
EXPORT = " ".join(
    [
        "snakemake --cores 8",
        *(f"--configfile {shown(file)}" for file in workflow.overwrite_configfiles),
        "results/checkpoints/",
    ]
)


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
    script:
        "../../scripts/overlap.py"


rule metrics:
    input:
        variants=collect("<results>/variants/{model}.parquet", model=MODELS),
        metrics=collect("<results>/scores/{model}/{benchmark}.metrics.parquet", model=MODELS, benchmark=BENCHMARKS),
    output:
        report(
            "<results>/tables/metrics.csv",
            caption="../report/metrics.rst",
            category="Tables",
            labels={"table": "metrics"},
        ),
    log:
        "<logs>/tables/metrics.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        models=MODELS,
        benchmarks=BENCHMARKS,
    script:
        "../../scripts/metrics.py"


rule summary:
    input:
        **{table: f"<results>/regimes/{table}.parquet" for table in [*STATISTICS, "overlap"]},
        stability=collect("<results>/stability/{model}.parquet", model=MODELS),
        ranks=collect("<results>/stability/{model}.ranks.parquet", model=MODELS),
        agreement=collect("<results>/stability/{model}.agreement.parquet", model=MODELS),
    output:
        **{table: f"<results>/tables/{table}.csv" for table in TABLES},
        summary=report(
            "<results>/tables/summary.md",
            caption="../report/summary.rst",
            category="Tables",
            labels={"table": "summary"},
        ),
        recommended=report(
            "<results>/tables/recommendation.md",
            caption="../report/recommendation.rst",
            category="Tables",
            labels={"table": "recommendation"},
        ),
        numbers=report(
            "<results>/tables/retention.md",
            caption="../report/retention.rst",
            category="Tables",
            labels={"table": "retention"},
        ),
    log:
        "<logs>/tables/summary.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        statistics=config["statistics"],
        enough=config["stability"]["overlap"],
        command=EXPORT,
        package=package("findings", "summary"),
    script:
        "../../scripts/summary.py"
