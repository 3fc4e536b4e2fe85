"""Check the config, and look up what several stages need from it. No rules here."""

import hashlib
import json
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

# The package beside the rules is the one that fits them, whether or not some version is installed. Jobs in environments
# of their own (`--sdm conda`), which do not hold it, find it by Snakemake's search path.
BESIDE = str(Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent)
if BESIDE not in sys.path:
    sys.path.insert(0, BESIDE)

try:
    import pruning_regimes
    from pruning_regimes.benchmarks import registry
    from pruning_regimes.calibration import registry as sets
    from pruning_regimes.config import estimates
    from pruning_regimes.config.criteria import own_domains, resolved
    from pruning_regimes.config.study import complete, refuse_repeated_keys
    from pruning_regimes.criteria import registry as kinds
    from pruning_regimes.jobs.errors import StudyError
    from pruning_regimes.jobs.paths import searched_first
    from pruning_regimes.models.budgets import budget_name
    from pruning_regimes.models.identity import MODEL_FILES

    os.environ.update(searched_first(BESIDE))
    # Snakemake runs this file again for each `use rule` of a module, with the config that report.smk has added to.
    config.pop("found", None)
    try:
        for file in workflow.configfiles:
            refuse_repeated_keys(file)
        complete(config)
    except StudyError as error:
        raise WorkflowError(str(error))
except ModuleNotFoundError as error:
    raise WorkflowError(
        f"The environment in which Snakemake runs lacks '{error.name}'; install this workflow into it (pip install .), or, "
        "if jobs get environments of their own (--sdm conda), what the config check needs: pip install numpy polars "
        "safetensors huggingface_hub."
    )

if workflow.is_main_process:
    for line in estimates.lines(config):
        logger.info(line)

PACKAGE = Path(pruning_regimes.__file__).parent
RESULTS = Path(workflow.pathvars.apply("<results>"))
MODELS = list(config["models"])
DOMAINS = list(config["domains"])
CRITERIA = list(config["criteria"])
BENCHMARKS = list(config["benchmarks"])
BUDGETS = [budget_name(budget) for budget in config["budgets"]]
# The dense model's budget 0 comes first; budgets of one group are answered by one job, which shares work among them.
ANSWERED = ["0", *BUDGETS]


def in_groups(items, size):
    """The items in lists of that many."""
    return [items[start : start + size] for start in range(0, len(items), size)]


BUDGET_GROUPS = in_groups(ANSWERED, config["evaluation"]["budgets_per_job"])
# Benchmarks that one job answers; one alone is a wildcard, so that a single rule is for all of them.
TOGETHER = config["evaluation"]["benchmarks_per_job"]
BENCHMARK_GROUPS = [["{benchmark}"]] if TOGETHER == 1 else in_groups(BENCHMARKS, TOGETHER)
# Criteria with what they wrap; those whose choice depends on samples, of which some need losses; who needs windows.
ENTRIES = {key: resolved(config["criteria"], key) for key in CRITERIA}
FAMILIES = {key: kinds.get(entry["kind"]).family for key, entry in ENTRIES.items()}
SAMPLED = [key for key, entry in ENTRIES.items() if kinds.get(entry.get("of", entry)["kind"]).sampled]
GROUPS = {key: entry["group"] for key, entry in config["benchmarks"].items()}


wildcard_constraints:
    model="|".join(MODELS),
    domain="|".join(DOMAINS),
    criterion="|".join(CRITERIA),
    benchmark="|".join(BENCHMARKS),
    budget="|".join(budget.replace(".", r"\.") for budget in ["0", *BUDGETS]),


def model_files(wildcards):
    """The files of a local model, so that other weights at the same path are noticed; none for a hub model."""
    path = Path(config["models"][wildcards.model]["path"]).expanduser()
    return [users(file) for file in sorted(path.glob("*")) if file.suffix in MODEL_FILES]


def model_identity(wildcards):
    """What decides a model's answers: where it is, how it computes; not how many samples run at a time."""
    entry = config["models"][wildcards.model]
    keys = ("path", "revision", "dtype", "attention", "decoder_path", "trust_remote_code")
    return {key: entry[key] for key in keys if key in entry}


def model_memory(wildcards, attempt):
    """MB of memory for a job that runs a model: room for its weights twice, and more each time that it is tried."""
    billions = estimates.n_billions(config["models"][wildcards.model]["path"]) or 0
    return attempt * round(8000 + 2000 * estimates.BYTES * billions)


def model_minutes(wildcards, attempt):
    """Time limit of such a job; one that is tried again goes on where it was."""
    return attempt * 240


def undisturbed(wildcards):
    """Cores of a job that measures time: all of this machine, so that no other runs beside it, if it computes on them.

    One on a GPU of its own, and on a cluster, which gives each job cores of its own.
    """
    return 1 if config["models"][wildcards.model]["gpus"] or workflow.non_local_exec else workflow.cores


# Resources, because none of them changes a result: a change must not run a job again.
RUNS_MODEL = {
    "gpu": lookup("models/{model}/gpus", within=config),
    "batch_size": lookup("models/{model}/batch_size", within=config),
    "mem_mb": model_memory,
    "runtime": model_minutes,
}


def protected_layers(wildcards):
    """The layers that a model's entry protects, as words."""
    return " ".join(map(str, config["models"][wildcards.model].get("protected", [])))


def source_file(section):
    """Input function: the user's own file of a domain or benchmark; none for generated or public data."""

    def path(wildcards):
        entry = config[section][wildcards[0]]
        return users(entry["path"]) if entry["source"] in ("custom", "table") else []

    return path


def benchmark_source(wildcards):
    """What decides a benchmark's questions: not its group, how long an answer may be, or how it is scored."""
    entry = config["benchmarks"][wildcards.benchmark]
    return {key: value for key, value in entry.items() if key not in ("group", "max_new_tokens", "scoring")}


def known_digest(wildcards):
    """Hash of what is known of a public benchmark, so that a changed prompt asks anew; none for other sources."""
    name = known_benchmark(wildcards)
    return registry.digest(name) if name else ""


def longest_answers(names):
    """Input function: the tokens of the longest answers of a job's benchmarks, which may be named by a wildcard."""

    def tokens(wildcards):
        benchmarks = [name.format(**wildcards) for name in names]
        return {benchmark: config["benchmarks"][benchmark]["max_new_tokens"] for benchmark in benchmarks}

    return tokens


def known_sets(wildcards):
    """What is known of a domain's public calibration sets, so that a changed entry draws anew; nothing for others."""
    return {name: sets.entry(name) for name in config["domains"][wildcards.domain].get("datasets", [])}


def known_benchmark(wildcards):
    """The name under which a benchmark is known, which decides its own metrics; none for the user's own."""
    return config["benchmarks"][wildcards.benchmark].get("benchmark", "")


def judgements(wildcards):
    """Input function: what the judge said of a benchmark's answers, if there is a judge."""
    return "<results>/judgements/{model}/{benchmark}.parquet" if "judge" in config else []


def measured_for(criterion):
    """The criterion whose measurements one uses: its own, or those of the one that it wraps."""
    return config["criteria"][criterion].get("of", criterion)


def needed(criterion):
    """What a criterion needs besides the similarity tables, None if nothing."""
    return kinds.get(ENTRIES[measured_for(criterion)]["kind"]).needs


def measurements(table, *needs):
    """Input function: a criterion's table of some stage, if its need is one of these."""

    def path(wildcards):
        there = needed(wildcards.criterion) in needs
        return f"<results>/{table}/{{model}}/{measured_for(wildcards.criterion)}.parquet" if there else []

    return path


def windows(*criteria):
    """The windows of every domain, if one of the criteria needs them."""
    there = any(needed(criterion) == "windows" for criterion in criteria)
    return collect("<results>/similarity/{{model}}/{domain}.windows.parquet", domain=DOMAINS) if there else []


def registered_in(*criteria):
    """The user's file that registers criteria, if one of these is from it."""
    entries = [ENTRIES[criterion] for criterion in criteria]
    theirs = any(kinds.is_users(part["kind"]) for entry in entries for part in (entry, entry.get("of", entry)))
    return users(config["criteria_path"]) if theirs else []


def answered_domains(criterion):
    """The domains whose answers a criterion by loss looks at."""
    return ENTRIES[criterion].get("domains") or DOMAINS


def answered_calibrations(wildcards):
    """Input function: the calibration samples of these domains."""
    return collect("<results>/calibration/{domain}.parquet", domain=answered_domains(wildcards.criterion))


def users(path):
    """A file of the user's as an input: it stays where it is if a study is in object storage."""
    return local(str(Path(path).expanduser()))


def shown(path):
    """A path as a command names it: without the folders above the working directory."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else str(path)


def settings():
    """The options with which the user named this study's config."""
    # Either takes whatever follows, up to the next option.
    files = ["--configfile", *map(shown, workflow.overwrite_configfiles)] if workflow.overwrite_configfiles else []
    stated = workflow.config_settings.config
    texts = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in stated.items()]
    return [*files, *(["--config", *texts] if texts else [])]


def kept(path):
    """An output that stays while its job runs, which adds what is missing.

    In object storage it does not, and the job begins anew: Snakemake (9.27) does not fetch such an output from there.
    """
    return path if workflow.storage_settings.default_storage_provider else update(path)


def package(*folders):
    """Hash of the package's folders that decide a rule's results: Snakemake does not see what a script imports.

    A parameter, not an input: it stays the same when a clone is moved or its files are touched. What is known of one
    benchmark (its entry and adapter) decides that benchmark alone: `known_digest`.
    """
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted((PACKAGE / folder).rglob("*.py")):
            if file.parent.name != "adapters":
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def check_results():
    """Refuse to begin where nothing can be written, before any job fails for it."""
    if RESULTS.is_dir() and not os.access(RESULTS, os.W_OK):
        raise WorkflowError(f"Results cannot be written: '{RESULTS.absolute()}' is read-only; make it writable.")
