"""Time and memory of the variants.

In: the config's latency, results/models/, results/variants/, results/benchmarks/. Out: results/latency/.
"""


rule latency:
    input:
        benchmarks=collect("<results>/benchmarks/{benchmark}.parquet", benchmark=BENCHMARKS),
        variants="<results>/variants/{model}.parquet",
        decoder="<results>/models/{model}.parquet",
    output:
        # All variants are timed in turn, so that a job that is killed, or has more of them to time, begins anew.
        "<results>/latency/{model}.parquet",
    log:
        "<logs>/latency/{model}.log",
    benchmark:
        "<benchmarks>/latency/{model}.tsv"
    conda:
        "../../envs/gpu.yaml"
    # Of Snakemake's cores; the model computes with one thread, as in all jobs.
    threads: undisturbed
    resources:
        **RUNS_MODEL,
    params:
        model=model_identity,
        benchmarks=BENCHMARKS,
        plan=config["latency"],
        package=package("evaluation", "inference", "models"),
    script:
        "../../scripts/latency.py"
