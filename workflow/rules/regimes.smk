"""Statistics over models, and the tables for people.

In: results/scores/, results/variants/. Out: results/regimes/, results/tables/.
"""


rule retention:
    input:
        variants=collect("<results>/variants/{model}.parquet", model=MODELS),
        scores=collect("<results>/scores/{model}/{benchmark}.parquet", model=MODELS, benchmark=BENCHMARKS),
    output:
        "<results>/regimes/retention.parquet",
    log:
        "<logs>/regimes/retention.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        models=MODELS,
        groups=GROUPS,
        statistics=config["statistics"],
        seed=config["seed"],
        package=package("regimes"),
    script:
        "../../scripts/retention.py"


rule overlap:
    input:
        variants=collect("<results>/variants/{model}.parquet", model=MODELS),
    output:
        "<results>/regimes/overlap.parquet",
    log:
        "<logs>/regimes/overlap.log",
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
    conda:
        "../../envs/cpu.yaml"
    params:
        models=MODELS,
        benchmarks=BENCHMARKS,
    script:
        "../../scripts/metrics.py"


rule summary:
    input:
        retention="<results>/regimes/retention.parquet",
        overlap="<results>/regimes/overlap.parquet",
    output:
        retention=report(
            "<results>/tables/retention.csv",
            caption="../report/summary.rst",
            category="Tables",
            labels={"table": "retention"},
        ),
        overlap=report(
            "<results>/tables/overlap.csv",
            caption="../report/summary.rst",
            category="Tables",
            labels={"table": "overlap"},
        ),
        summary=report(
            "<results>/tables/summary.md",
            caption="../report/summary.rst",
            category="Tables",
            labels={"table": "summary"},
        ),
    log:
        "<logs>/tables/summary.log",
    conda:
        "../../envs/cpu.yaml"
    script:
        "../../scripts/summary.py"
