"""Figures: each reads its table and its own style, and nothing else.

In: results/similarity/, results/variants/, results/regimes/, results/examples/. Out: results/figures/{figure}.png and
.pdf, and .html with the PNG in it, for the report.
"""


rule figure_similarity:
    input:
        profiles=collect("<results>/similarity/{model}/profile.parquet", model=MODELS),
        gaps=collect("<results>/similarity/{model}/profile.gap.parquet", model=MODELS),
    output:
        report(
            "<results>/figures/similarity.html",
            caption="../report/similarity.rst",
            category="2 Similarity",
            labels={"figure": "similarity"},
        ),
        "<results>/figures/similarity.png",
        "<results>/figures/similarity.pdf",
    log:
        "<logs>/figures/similarity.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        style=lookup("figures/similarity", within=config),
        confidence=config["statistics"]["confidence"],
    script:
        "../../scripts/figure_similarity.py"


rule figure_token_groups:
    input:
        collect("<results>/similarity/{model}/profile.parquet", model=MODELS),
    output:
        report(
            "<results>/figures/token_groups.html",
            caption="../report/token_groups.rst",
            category="2 Similarity",
            labels={"figure": "token groups"},
        ),
        "<results>/figures/token_groups.png",
        "<results>/figures/token_groups.pdf",
    log:
        "<logs>/figures/token_groups.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        style=lookup("figures/token_groups", within=config),
    script:
        "../../scripts/figure_token_groups.py"


rule figure_blocks:
    input:
        collect("<results>/similarity/{model}/profile.blocks.parquet", model=MODELS),
    output:
        report(
            "<results>/figures/blocks.html",
            caption="../report/blocks.rst",
            category="2 Similarity",
            labels={"figure": "blocks"},
        ),
        "<results>/figures/blocks.png",
        "<results>/figures/blocks.pdf",
    log:
        "<logs>/figures/blocks.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        style=lookup("figures/blocks", within=config),
    script:
        "../../scripts/figure_blocks.py"


rule figure_layers:
    input:
        collect("<results>/variants/{model}.parquet", model=MODELS),
    output:
        report(
            "<results>/figures/layers.html",
            caption="../report/layers.rst",
            category="3 Layers",
            labels={"figure": "layers"},
        ),
        "<results>/figures/layers.png",
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
            "<results>/figures/regimes.html",
            caption="../report/regimes.rst",
            category="4 Retention",
            labels={"figure": "regimes"},
        ),
        "<results>/figures/regimes.png",
        "<results>/figures/regimes.pdf",
    log:
        "<logs>/figures/regimes.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        style=lookup("figures/regimes", within=config),
        confidence=config["statistics"]["confidence"],
    script:
        "../../scripts/figure_regimes.py"


rule figure_overlap:
    input:
        "<results>/regimes/overlap.parquet",
    output:
        report(
            "<results>/figures/overlap.html",
            caption="../report/overlap.rst",
            category="3 Layers",
            labels={"figure": "overlap"},
        ),
        "<results>/figures/overlap.png",
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
        effects="<results>/regimes/domain_effect.parquet",
        retention="<results>/regimes/retention.parquet",
    output:
        report(
            "<results>/figures/domain_effect.html",
            caption="../report/domain_effect.rst",
            category="4 Retention",
            labels={"figure": "domain effect"},
        ),
        "<results>/figures/domain_effect.png",
        "<results>/figures/domain_effect.pdf",
    log:
        "<logs>/figures/domain_effect.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        style=lookup("figures/domain_effect", within=config),
        confidence=config["statistics"]["confidence"],
    script:
        "../../scripts/figure_domain_effect.py"


rule figure_stability:
    input:
        collect("<results>/stability/{model}.parquet", model=MODELS),
    output:
        report(
            "<results>/figures/stability.html",
            caption="../report/stability.rst",
            category="3 Layers",
            labels={"figure": "stability"},
        ),
        "<results>/figures/stability.png",
        "<results>/figures/stability.pdf",
    log:
        "<logs>/figures/stability.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        style=lookup("figures/stability", within=config),
        resamples=config["stability"]["resamples"],
        confidence=config["statistics"]["confidence"],
    script:
        "../../scripts/figure_stability.py"


rule figure_pareto:
    input:
        "<results>/regimes/pareto.parquet",
    output:
        report(
            "<results>/figures/pareto.html",
            caption="../report/pareto.rst",
            category="5 Cost",
            labels={"figure": "pareto"},
        ),
        "<results>/figures/pareto.png",
        "<results>/figures/pareto.pdf",
    log:
        "<logs>/figures/pareto.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        style=lookup("figures/pareto", within=config),
        confidence=config["statistics"]["confidence"],
    script:
        "../../scripts/figure_pareto.py"


rule figure_examples:
    input:
        f"<results>/examples/{EXAMPLES['model']}/{EXAMPLES['criterion']}.parquet",
    output:
        report(
            "<results>/figures/examples.html",
            caption="../report/examples.rst",
            category="4 Retention",
            labels={"figure": "examples"},
        ),
        "<results>/figures/examples.png",
        "<results>/figures/examples.pdf",
    log:
        "<logs>/figures/examples.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        style=lookup("figures/examples", within=config),
        model=EXAMPLES["model"],
        criterion=EXAMPLES["criterion"],
    script:
        "../../scripts/figure_examples.py"
