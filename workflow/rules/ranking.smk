"""Layer lists, how far they depend on the calibration samples, and variants.

In: the config's models, results/calibration/, results/similarity/. Out: results/models/, results/losses/,
results/importance/, results/ranking/, results/stability/, results/variants/.
"""

BY_LOSS = [criterion for criterion in SAMPLED if needed(criterion) == "leave_one_out"]


rule decoder:
    input:
        model=model_files,
    output:
        "<results>/models/{model}.parquet",
    log:
        "<logs>/models/{model}.log",
    localrule: True
    conda:
        "../../envs/gpu.yaml"
    resources:
        # Only checked here, before anything runs the model: a change must not run the job again, and all after it.
        budgets=" ".join(BUDGETS),
        protected=protected_layers,
    params:
        model=model_identity,
        package=package("models"),
    script:
        "../../scripts/decoder.py"


rule losses:
    input:
        calibrations=answered_calibrations,
        decoder="<results>/models/{model}.parquet",
    output:
        # Losses that are there are kept; the job computes the missing ones.
        kept("<results>/losses/{model}/{criterion}.parquet"),
    log:
        "<logs>/losses/{model}/{criterion}.log",
    benchmark:
        "<benchmarks>/losses/{model}/{criterion}.tsv"
    conda:
        "../../envs/gpu.yaml"
    resources:
        **RUNS_MODEL,
    params:
        model=model_identity,
        domains=lambda wildcards: answered_domains(wildcards.criterion),
        protected=lookup("models/{model}/protected", within=config, default=[]),
        search=lambda wildcards: needed(wildcards.criterion),
        budgets=lambda wildcards: BUDGETS if needed(wildcards.criterion) == "greedy" else [],
        package=package("measurement", "inference", "models"),
    script:
        "../../scripts/losses.py"


rule importance:
    input:
        calibrations=answered_calibrations,
        decoder="<results>/models/{model}.parquet",
    output:
        "<results>/importance/{model}/{criterion}.parquet",
    log:
        "<logs>/importance/{model}/{criterion}.log",
    benchmark:
        "<benchmarks>/importance/{model}/{criterion}.tsv"
    conda:
        "../../envs/gpu.yaml"
    resources:
        **RUNS_MODEL,
    params:
        model=model_identity,
        domains=lambda wildcards: answered_domains(wildcards.criterion),
        package=package("measurement", "inference", "models"),
    script:
        "../../scripts/importance.py"


rule ranking:
    input:
        decoder="<results>/models/{model}.parquet",
        similarity=collect("<results>/similarity/{{model}}/{domain}.parquet", domain=DOMAINS),
        blocks=collect("<results>/similarity/{{model}}/{domain}.blocks.parquet", domain=DOMAINS),
        windows=lambda wildcards: windows(wildcards.criterion),
        losses=measurements("losses", "leave_one_out", "greedy"),
        importance=measurements("importance", "importance"),
        registered_in=lambda wildcards: registered_in(wildcards.criterion),
    output:
        "<results>/ranking/{model}/{criterion}.parquet",
    log:
        "<logs>/ranking/{model}/{criterion}.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        entry=lambda wildcards: ENTRIES[wildcards.criterion],
        domains=DOMAINS,
        budgets=config["budgets"],
        protected=lookup("models/{model}/protected", within=config, default=[]),
        seed=config["seed"],
        package=package("criteria", "measurement", "models"),
    script:
        "../../scripts/ranking.py"


rule stability:
    input:
        decoder="<results>/models/{model}.parquet",
        similarity=collect("<results>/similarity/{{model}}/{domain}.parquet", domain=DOMAINS),
        blocks=collect("<results>/similarity/{{model}}/{domain}.blocks.parquet", domain=DOMAINS),
        windows=windows(*SAMPLED),
        losses=collect("<results>/losses/{{model}}/{criterion}.parquet", criterion=map(measured_for, BY_LOSS)),
        registered_in=registered_in(*SAMPLED),
    output:
        stability="<results>/stability/{model}.parquet",
        # A model's key holds no dot, so that these are no model's.
        ranks="<results>/stability/{model}.ranks.parquet",
        agreement="<results>/stability/{model}.agreement.parquet",
    log:
        "<logs>/stability/{model}.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        entries={criterion: ENTRIES[criterion] for criterion in SAMPLED},
        by_loss=BY_LOSS,
        domains=DOMAINS,
        budgets=config["budgets"],
        protected=lookup("models/{model}/protected", within=config, default=[]),
        resamples=config["stability"]["resamples"],
        confidence=config["statistics"]["confidence"],
        seed=config["seed"],
        package=package("criteria", "measurement", "models"),
    script:
        "../../scripts/stability.py"


rule variants:
    input:
        layers=collect("<results>/ranking/{{model}}/{criterion}.parquet", criterion=CRITERIA),
        decoder="<results>/models/{model}.parquet",
    output:
        "<results>/variants/{model}.parquet",
    log:
        "<logs>/variants/{model}.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        criteria=CRITERIA,
        package=package("criteria"),
    script:
        "../../scripts/variants.py"
