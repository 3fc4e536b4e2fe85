"""Layer lists and variants.

In: the config's models, results/similarity/{model}/profile.parquet. Out: results/models/, results/ranking/,
results/variants/.
"""


rule decoder:
    input:
        model=model_files,
    output:
        "<results>/models/{model}.parquet",
    log:
        "<logs>/models/{model}.log",
    conda:
        "../../envs/gpu.yaml"
    resources:
        # Only checked here, before anything runs the model: a change must not run the job again, and all after it.
        budgets=" ".join(BUDGETS),
        protected=protected_layers,
    params:
        model=model_identity,
        package=package("decoder", "layer_config", "models", "hub"),
    script:
        "../../scripts/decoder.py"


rule ranking:
    input:
        profile="<results>/similarity/{model}/profile.parquet",
        decoder="<results>/models/{model}.parquet",
    output:
        "<results>/ranking/{model}/{criterion}.parquet",
    log:
        "<logs>/ranking/{model}/{criterion}.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        entry=lookup("criteria/{criterion}", within=config),
        budgets=config["budgets"],
        protected=lookup("models/{model}/protected", within=config, default=[]),
        seed=config["seed"],
    script:
        "../../scripts/ranking.py"


rule variants:
    input:
        layers=collect("<results>/ranking/{{model}}/{criterion}.parquet", criterion=CRITERIA),
        decoder="<results>/models/{model}.parquet",
    output:
        "<results>/variants/{model}.parquet",
    log:
        "<logs>/variants/{model}.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        criteria=CRITERIA,
    script:
        "../../scripts/variants.py"
