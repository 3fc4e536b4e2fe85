"""Calibration and similarity.

In: the config's domains, results/models/. Out: results/calibration/, results/similarity/.
"""


rule calibration:
    input:
        source_file("domains"),
    output:
        "<results>/calibration/{domain}.parquet",
    log:
        "<logs>/calibration/{domain}.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        entry=lookup("domains/{domain}", within=config),
        known=known_sets,
        seed=config["seed"],
        package=package("calibration", "benchmarks", "demo"),
    script:
        "../../scripts/calibration.py"


rule similarity:
    input:
        calibration="<results>/calibration/{domain}.parquet",
        decoder="<results>/models/{model}.parquet",
    output:
        layers="<results>/similarity/{model}/{domain}.parquet",
        # A domain's key holds no dot, so that this is no domain's.
        blocks="<results>/similarity/{model}/{domain}.blocks.parquet",
    log:
        "<logs>/similarity/{model}/{domain}.log",
    benchmark:
        "<benchmarks>/similarity/{model}/{domain}.tsv"
    conda:
        "../../envs/gpu.yaml"
    resources:
        **RUNS_MODEL,
    params:
        model=model_identity,
        package=package("measurement", "inference", "models"),
    script:
        "../../scripts/similarity.py"


rule windows:
    input:
        calibration="<results>/calibration/{domain}.parquet",
        decoder="<results>/models/{model}.parquet",
    output:
        "<results>/similarity/{model}/{domain}.windows.parquet",
    log:
        "<logs>/similarity/{model}/{domain}.windows.log",
    benchmark:
        "<benchmarks>/similarity/{model}/{domain}.windows.tsv"
    conda:
        "../../envs/gpu.yaml"
    resources:
        **RUNS_MODEL,
    params:
        model=model_identity,
        package=package("measurement", "inference", "models"),
    script:
        "../../scripts/windows.py"


rule profile:
    input:
        similarities=collect("<results>/similarity/{{model}}/{domain}.parquet", domain=DOMAINS),
        blocks=collect("<results>/similarity/{{model}}/{domain}.blocks.parquet", domain=DOMAINS),
    output:
        profile="<results>/similarity/{model}/profile.parquet",
        gap="<results>/similarity/{model}/profile.gap.parquet",
        block_profile="<results>/similarity/{model}/profile.blocks.parquet",
    log:
        "<logs>/similarity/{model}/profile.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        domains=DOMAINS,
        resamples=config["statistics"]["resamples"],
        confidence=config["statistics"]["confidence"],
        seed=config["seed"],
        package=package("measurement"),
    script:
        "../../scripts/profiles.py"
