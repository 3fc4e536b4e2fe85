"""Checkpoints of pruned models, on demand.

In: results/models/, results/variants/, results/calibration/. Out: results/checkpoints/{model}/{criterion}/{budget}/.
"""


rule checkpoint:
    input:
        decoder="<results>/models/{model}.parquet",
        variants="<results>/variants/{model}.parquet",
        calibrations=collect("<results>/calibration/{domain}.parquet", domain=DOMAINS),
    output:
        directory("<results>/checkpoints/{model}/{criterion}/{budget}"),
    log:
        "<logs>/checkpoints/{model}/{criterion}/{budget}.log",
    benchmark:
        "<benchmarks>/checkpoints/{model}/{criterion}/{budget}.tsv"
    conda:
        "../../envs/gpu.yaml"
    resources:
        **RUNS_MODEL,
    params:
        model=model_identity,
        criterion=lookup("criteria/{criterion}", within=config),
        domains=DOMAINS,
        package=package("checkpoints", "inference", "models"),
    script:
        "../../scripts/checkpoint.py"
