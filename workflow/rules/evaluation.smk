"""Benchmarks, predictions and scores.

In: the config's benchmarks, results/models/, results/variants/. Out: results/benchmarks/, results/predictions/,
results/scores/, results/examples/.
"""

from itertools import product


rule benchmark:
    input:
        source_file("benchmarks"),
    output:
        "<results>/benchmarks/{benchmark}.parquet",
    log:
        "<logs>/benchmarks/{benchmark}.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        entry=benchmark_source,
        known=known_digest,
        seed=config["seed"],
        package=package("benchmarks", "demo"),
    script:
        "../../scripts/benchmark.py"


rule contamination:
    input:
        calibrations=collect("<results>/calibration/{domain}.parquet", domain=DOMAINS),
        benchmarks=collect("<results>/benchmarks/{benchmark}.parquet", benchmark=BENCHMARKS),
    output:
        "<results>/tables/contamination.csv",
    log:
        "<logs>/tables/contamination.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        domains=DOMAINS,
        benchmarks=BENCHMARKS,
        policy=config["contamination"],
        package=package("calibration", "inference"),
    script:
        "../../scripts/contamination.py"


for number, (benchmarks, budgets) in enumerate(product(BENCHMARK_GROUPS, BUDGET_GROUPS)):

    rule:
        name:
            f"predictions_{number}" if number else "predictions"
        input:
            benchmarks=[f"<results>/benchmarks/{benchmark}.parquet" for benchmark in benchmarks],
            variants="<results>/variants/{model}.parquet",
            decoder="<results>/models/{model}.parquet",
            # Looked at before anything is evaluated; a later look changes no answer.
            contamination=ancient("<results>/tables/contamination.csv"),
        output:
            # Answers that are there are kept; the job computes the missing ones.
            [
                kept(f"<results>/predictions/{{model}}/{benchmark}/{budget}.parquet")
                for benchmark, budget in product(benchmarks, budgets)
            ],
        log:
            f"<logs>/predictions/{{model}}/{benchmarks[0]}/{budgets[0]}.log",
        benchmark:
            f"<benchmarks>/predictions/{{model}}/{benchmarks[0]}/{budgets[0]}.tsv"
        conda:
            "../../envs/gpu.yaml"
        resources:
            **RUNS_MODEL,
        params:
            model=model_identity,
            max_new_tokens=longest_answers(benchmarks),
            package=package("evaluation", "inference", "models"),
        script:
            "../../scripts/predictions.py"


rule judgements:
    input:
        benchmark="<results>/benchmarks/{benchmark}.parquet",
        predictions=collect("<results>/predictions/{{model}}/{{benchmark}}/{budget}.parquet", budget=ANSWERED),
    output:
        # What was judged is kept; the job asks for the rest.
        kept("<results>/judgements/{model}/{benchmark}.parquet"),
    log:
        "<logs>/judgements/{model}/{benchmark}.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    resources:
        # Resources, because a change must not run the job again.
        concurrency=lookup("judge/concurrency", within=config, default=1),
        timeout_s=lookup("judge/timeout_s", within=config, default=1),
        key_variable=lookup("judge/key_variable", within=config, default=""),
    params:
        judge={key: config["judge"][key] for key in ("url", "model", "rows")} if "judge" in config else {},
        mode=lookup("benchmarks/{benchmark}/scoring", within=config),
        package=package("evaluation", "scoring", "inference"),
    script:
        "../../scripts/judgements.py"


rule scores:
    input:
        benchmark="<results>/benchmarks/{benchmark}.parquet",
        predictions=collect("<results>/predictions/{{model}}/{{benchmark}}/{budget}.parquet", budget=ANSWERED),
        variants="<results>/variants/{model}.parquet",
        judgements=judgements,
    output:
        scores="<results>/scores/{model}/{benchmark}.parquet",
        # A benchmark's key holds no dot, so that this is no benchmark's.
        metrics="<results>/scores/{model}/{benchmark}.metrics.parquet",
    log:
        "<logs>/scores/{model}/{benchmark}.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        known=known_benchmark,
        mode=lookup("benchmarks/{benchmark}/scoring", within=config),
        seed=config["seed"],
        package=package("scoring"),
    script:
        "../../scripts/scores.py"


# Whose answers to which benchmarks are shown as examples.
EXAMPLES = {
    "model": MODELS[0],
    "criterion": CRITERIA[0],
    "benchmarks": [BENCHMARKS[list(GROUPS.values()).index(group)] for group in dict.fromkeys(GROUPS.values())],
    **config["figures"]["examples"],
}


rule examples:
    input:
        variants="<results>/variants/{model}.parquet",
        benchmarks=collect("<results>/benchmarks/{benchmark}.parquet", benchmark=EXAMPLES["benchmarks"]),
        scores=collect("<results>/scores/{{model}}/{benchmark}.parquet", benchmark=EXAMPLES["benchmarks"]),
        predictions=collect(
            "<results>/predictions/{{model}}/{benchmark}/{budget}.parquet",
            benchmark=EXAMPLES["benchmarks"],
            budget=ANSWERED,
        ),
    output:
        "<results>/examples/{model}/{criterion}.parquet",
    log:
        "<logs>/examples/{model}/{criterion}.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        benchmarks=EXAMPLES["benchmarks"],
        questions=EXAMPLES["questions"],
        package=package("report"),
    script:
        "../../scripts/examples.py"
