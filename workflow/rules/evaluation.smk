"""Benchmarks, predictions and scores.

In: the config's benchmarks, results/models/, results/variants/. Out: results/benchmarks/, results/predictions/, results/scores/.
"""


rule benchmark:
    input:
        source_table("benchmarks"),
    output:
        "<results>/benchmarks/{benchmark}.parquet",
    log:
        "<logs>/benchmarks/{benchmark}.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        entry=benchmark_source,
        seed=config["seed"],
    script:
        "../../scripts/benchmark.py"


for number, budgets in enumerate(BUDGET_GROUPS):

    rule:
        name:
            f"predictions_{number}" if number else "predictions"
        input:
            benchmark="<results>/benchmarks/{benchmark}.parquet",
            variants="<results>/variants/{model}.parquet",
            decoder="<results>/models/{model}.parquet",
        output:
            # Answers that are there are kept; the job computes the missing ones.
            [update(f"<results>/predictions/{{model}}/{{benchmark}}/{budget}.parquet") for budget in budgets],
        log:
            f"<logs>/predictions/{{model}}/{{benchmark}}/{budgets[0]}.log",
        benchmark:
            f"<benchmarks>/predictions/{{model}}/{{benchmark}}/{budgets[0]}.tsv"
        conda:
            "../../envs/gpu.yaml"
        resources:
            gpu=lookup("models/{model}/gpus", within=config),
            # A resource, because a change must not run the job again.
            batch_size=lookup("models/{model}/batch_size", within=config),
        params:
            model=model_identity,
            max_new_tokens=lookup("benchmarks/{benchmark}/max_new_tokens", within=config),
            package=package("evaluation", "replay", "batches", "decoder", "layer_config", "models", "hub", "prompts"),
        script:
            "../../scripts/predictions.py"


rule scores:
    input:
        benchmark="<results>/benchmarks/{benchmark}.parquet",
        predictions=collect("<results>/predictions/{{model}}/{{benchmark}}/{budget}.parquet", budget=ANSWERED),
    output:
        "<results>/scores/{model}/{benchmark}.parquet",
    log:
        "<logs>/scores/{model}/{benchmark}.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        package=package("scoring/__init__"),
    script:
        "../../scripts/scores.py"
