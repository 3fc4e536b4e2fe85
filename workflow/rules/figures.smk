"""Figures: each reads its table and its own style, and nothing else.

In: results/similarity/, results/variants/, results/regimes/. Out: results/figures/{figure}.png and .pdf.
"""


rule figure_similarity:
    input:
        collect("<results>/similarity/{model}/profile.parquet", model=MODELS),
    output:
        report(
            "<results>/figures/similarity.png",
            caption="../report/similarity.rst",
            category="Figures",
            labels={"figure": "similarity"},
        ),
        "<results>/figures/similarity.pdf",
    log:
        "<logs>/figures/similarity.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        style=lookup("figures/similarity", within=config),
    script:
        "../../scripts/figure_similarity.py"


rule figure_layers:
    input:
        collect("<results>/variants/{model}.parquet", model=MODELS),
    output:
        report(
            "<results>/figures/layers.png",
            caption="../report/layers.rst",
            category="Figures",
            labels={"figure": "layers"},
        ),
        "<results>/figures/layers.pdf",
    log:
        "<logs>/figures/layers.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        style=lookup("figures/layers", within=config),
        models=MODELS,
    script:
        "../../scripts/figure_layers.py"


rule figure_regimes:
    input:
        **{table: f"<results>/regimes/{table}.parquet" for table in ("retention", "segments", "sensitivity")},
    output:
        report(
            "<results>/figures/regimes.png",
            caption="../report/regimes.rst",
            category="Figures",
            labels={"figure": "regimes"},
        ),
        "<results>/figures/regimes.pdf",
    log:
        "<logs>/figures/regimes.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        style=lookup("figures/regimes", within=config),
    script:
        "../../scripts/figure_regimes.py"


rule figure_overlap:
    input:
        "<results>/regimes/overlap.parquet",
    output:
        report(
            "<results>/figures/overlap.png",
            caption="../report/overlap.rst",
            category="Figures",
            labels={"figure": "overlap"},
        ),
        "<results>/figures/overlap.pdf",
    log:
        "<logs>/figures/overlap.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        style=lookup("figures/overlap", within=config),
    script:
        "../../scripts/figure_overlap.py"


rule figure_domain_effect:
    input:
        "<results>/regimes/domain_effect.parquet",
    output:
        report(
            "<results>/figures/domain_effect.png",
            caption="../report/domain_effect.rst",
            category="Figures",
            labels={"figure": "domain effect"},
        ),
        "<results>/figures/domain_effect.pdf",
    log:
        "<logs>/figures/domain_effect.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        style=lookup("figures/domain_effect", within=config),
    script:
        "../../scripts/figure_domain_effect.py"


rule figure_stability:
    input:
        collect("<results>/stability/{model}.parquet", model=MODELS),
    output:
        report(
            "<results>/figures/stability.png",
            caption="../report/stability.rst",
            category="Figures",
            labels={"figure": "stability"},
        ),
        "<results>/figures/stability.pdf",
    log:
        "<logs>/figures/stability.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        style=lookup("figures/stability", within=config),
    script:
        "../../scripts/figure_stability.py"
