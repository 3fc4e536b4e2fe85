"""The command `pruning-regimes`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pruning_regimes import config
from pruning_regimes.errors import ConfigError, StudyError, nearest


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an error of the user's gets one sentence and exit status 1.

    Args:
        arguments: those of the command line if not given.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    for library in ("httpx2", "httpx"):
        logging.getLogger(library).setLevel(logging.WARNING)
    try:
        options.run(options)
    except StudyError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pruning-regimes", description="Depth pruning of vision-language models: one step of a study at a time."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "export",
        help="write a pruned model as a checkpoint",
        description="Write the model without the layers that a criterion removes at a budget, as a directory that "
        "transformers and vLLM load like any other, and check that it is the pruned model. Run it where you ran the "
        "study: it needs the study's variants and calibration tables.",
    )
    command.add_argument("--model", required=True, help="key of the model in the config")
    command.add_argument("--criterion", required=True, help="key of the criterion in the config")
    command.add_argument("--budget", required=True, help="one of the config's budgets, as it stands there")
    command.add_argument("--replicate", type=int, default=0, help="replicate of a random criterion (default: 0)")
    command.add_argument("--configfile", type=Path, default=Path("config/config.yaml"), help="default: %(default)s")
    command.add_argument("--results", type=Path, default=Path("results"), help="default: %(default)s")
    command.add_argument(
        "--threads", type=_positive, default=1, help="CPU threads for the check (default: %(default)s)"
    )
    command.add_argument("--out", type=Path, help="default: RESULTS/checkpoints/MODEL/CRITERION/BUDGET[-replicateN]")
    command.set_defaults(run=_export)
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of at least 1")
    return int(text)


def _export(options: argparse.Namespace) -> None:
    study = _study(options.configfile)
    model, criterion, results = options.model, options.criterion, options.results
    for section, key in (("models", model), ("criteria", criterion)):
        if key not in study[section]:
            raise ConfigError(f"{section}.{key} is not in {options.configfile}; {nearest(key, study[section])}")
    files = [results / "models" / f"{model}.parquet", results / "variants" / f"{model}.parquet"]
    calibrations = {domain: results / "calibration" / f"{domain}.parquet" for domain in study["domains"]}
    for file in (*files, *calibrations.values()):
        if not file.is_file():
            raise ConfigError(f"{file} is not there yet; make it with 'snakemake --cores 2 {files[1]}'.")
    from pruning_regimes.export import export  # loads torch, which the checks above need not wait for

    name = options.budget + (f"-replicate{options.replicate}" if options.replicate else "")
    target = options.out or results / "checkpoints" / model / criterion / name
    export(
        study["models"][model],
        criterion,
        options.budget,
        study["criteria"][criterion],
        *files,
        calibrations,
        results,
        target,
        options.replicate,
        options.threads,
    )
    print(target)


def _study(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ConfigError(f"--configfile: there is no file '{file}'; expected the config of the study.")
    config.refuse_repeated_keys(file)
    try:
        study = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    config.complete(study)
    return study
