"""Which decoder layers of a vision-language model can be removed, for which domain, at which budget, at what cost.

The data flows through the included files in their order; README.md explains the commands, config/README.md the keys.
"""

from snakemake.utils import min_version

min_version("9.25")


# A config that the user names replaces the default study.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


pathvars:
    logs="results/logs",
    benchmarks="results/timings",


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/similarity.smk"
include: "workflow/rules/ranking.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/latency.smk"
include: "workflow/rules/checkpoints.smk"
include: "workflow/rules/regimes.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        collect("<results>/figures/{figure}.{format}", figure=config["figures"], format=["png", "pdf", "html"]),
        collect("<results>/pages/{page}.html", page=PAGES),
        "<results>/tables/metrics.csv",
        "<results>/tables/contamination.csv",
    localrule: True


onstart:
    check_results()
