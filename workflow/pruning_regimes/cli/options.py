"""The commands and their options, and how errors speak of them."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from pruning_regimes.jobs.errors import nearest

DESCRIPTION = """\
Depth pruning of vision-language models, one step at a time, without a study:

  pruning-regimes inspect MODEL                                   the decoder, and the layers that must stay
  pruning-regimes similarity MODEL --domain math=FILE --out DIR   how little each layer changes its input
  pruning-regimes rank DIR --criterion math_aware --budget 2      the layers that a criterion removes
  pruning-regimes export MODEL --remove 4,5 --out DIRECTORY       the model without them, as a checkpoint
  pruning-regimes compare A B                                     whether one answers better than the other

MODEL is a directory in transformers' format, or a hub id. 'pruning-regimes COMMAND --help' tells more.
"""
EPILOG = """\
Output goes to stdout, everything else to stderr. Exit status: 0 if all is well, 1 if the input is at fault (with one
sentence that says how), 2 for wrong usage, 130 if interrupted.
"""
# How sentences about a config speak of what stands on the command line.
AS_OPTIONS = (
    (r"models\.\S+?\.path\b", "MODEL"),
    (r"models\.\S+?\.trust_remote_code(: true)?", "--trust-remote-code"),
    (r"models\.\S+?\.decoder_path\b", "--decoder-path"),
    (r"models\.\S+?\.batch_size\b", "--batch-size"),
    (r"models\.\S+?\.(revision|dtype|gpus|protected)\b", r"--\1"),
    (r"domains\.\S+?\.samples\b", "--samples"),
    (r"domains\.([^\s:]+?)(\.path)?:", r"--domain \1:"),
    (r"^criteria\.(\S+?)(\.kind)?: ", r"--criterion \1: "),
    (r"^budgets:", "--budget:"),
    (r"^criteria_path:", "--criteria-path:"),
    (r"^variant_(a|b):", r"--variant-\1:"),
    (r"^(out|remove|samples|benchmark):", r"--\1:"),
    (r"\((out|force)\)", r"(--\1)"),
    (r"\bmodels\.(?=\w)", ""),
)

Commands = argparse._SubParsersAction  # argparse has no public name for it

MODEL_HELP = "a directory in transformers' format, or a hub id"
DOMAIN_HELP = (
    "calibration samples, by the domain's name (the file's, if none is given): a Parquet, JSON, JSONL or CSV file with "
    "the columns question, images (file names, relative to the file) and, if there is one, answer; or rows of LLaVA or "
    "The Cauldron; or a calibration table; or the name of a known calibration set. Repeat it for several domains"
)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command and its options.

    Args:
        arguments: those of the command line if None.

    Raises: SystemExit, with status 0 after help and 2 after what is wrong.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(
        prog="pruning-regimes",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_inspect, _similarity, _rank, _export, _compare):
        add(commands).add_argument("--json", action="store_true", help="print JSON, for machines")
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands.choices:
        parser.error(f"'{arguments[0]}' is no command; {nearest(arguments[0], commands.choices)}")
    options = parser.parse_args(arguments)
    command = commands.choices[options.command]
    if options.command == "export":
        _check_export(command, options)
    names = [name for name, _ in getattr(options, "domain", None) or ()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        command.error(f"argument --domain: '{twice}' is there twice; name it otherwise with --domain NAME=FILE")
    return options


def as_options(sentence: str, options: argparse.Namespace) -> str:
    """A sentence that names keys of a config, in terms of the options that stand for them; a study's stays as it is."""
    if options.command == "export" and options.criterion is not None:
        return sentence
    for key, option in AS_OPTIONS:
        sentence = re.sub(key, option, sentence)
    return sentence


def _inspect(commands: Commands) -> argparse.ArgumentParser:
    command = commands.add_parser(
        "inspect",
        help="what the decoder is, and which of its layers must stay",
        description="Show where a model's decoder layers are, which of them cannot be removed and why, and how many "
        "parameters each has. Only the config is read, no weights.",
    )
    command.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    _add_model(command)
    return command


def _similarity(commands: Commands) -> argparse.ArgumentParser:
    command = commands.add_parser(
        "similarity",
        help="measure how little each decoder layer changes its input",
        description="Run calibration samples through a model, compare what enters and leaves each decoder layer and "
        "each block of them, and keep it in the tables that 'rank' takes. What the folder has already, of the same "
        "model and samples, is not measured again.",
    )
    command.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    command.add_argument(
        "--domain", action="append", required=True, type=_domain, metavar="[NAME=]FILE", help=DOMAIN_HELP
    )
    command.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the tables, one per model")
    command.add_argument(
        "--samples", type=_positive, metavar="N", help="of each domain; default: 128, or all that a file has if fewer"
    )
    command.add_argument("--seed", type=_seed, default=0, help="of the draw of samples (default: %(default)s)")
    command.add_argument("--batch-size", type=_positive, metavar="N", help="samples at a time (default: 128)")
    command.add_argument(
        "--token-group",
        choices=("all", "image", "text", "last"),
        default="all",
        help="tokens that the printed table is about; the tables have all groups (default: %(default)s)",
    )
    command.add_argument("--force", action="store_true", help="measure anew what is there of other samples")
    command.add_argument("--threads", type=_positive, metavar="N", help="of the CPU (default: one per core)")
    _add_model(command)
    _add_device(command)
    return command


def _rank(commands: Commands) -> argparse.ArgumentParser:
    command = commands.add_parser(
        "rank",
        help="the layers that criteria remove",
        description="Apply criteria to similarity tables and print the layers that each removes at each budget, the "
        "first to go first.",
    )
    command.add_argument(
        "folder", type=Path, metavar="DIR", help="what 'similarity' wrote, or results/similarity/MODEL of a study"
    )
    command.add_argument(
        "--criterion",
        action="append",
        required=True,
        metavar="KIND[:PARAMETER=VALUE,...]",
        help="such as mixed, contrast:domain=math,against=general, spaced:of=mixed or "
        "'domain:weights={math=2,general=1}'; repeat it for several (workflow/docs/criteria.md has all kinds)",
    )
    command.add_argument(
        "--budget",
        action="append",
        required=True,
        type=_budget,
        metavar="N",
        help="how many layers: a count (2) or a fraction of them (0.25); repeat it for several",
    )
    command.add_argument(
        "--protected",
        type=_numbers,
        default=(),
        metavar="LAYERS",
        help="layers that shall stay besides those that must, such as 0,1; negative ones count from the end: "
        "--protected=-2,-1",
    )
    command.add_argument("--seed", type=_seed, default=0, help="of random criteria (default: %(default)s)")
    command.add_argument("--criteria-path", metavar="FILE", help="Python file of yours that registers more criteria")
    return command


def _export(commands: Commands) -> argparse.ArgumentParser:
    command = commands.add_parser(
        "export",
        help="write a pruned model as a checkpoint",
        description="Write a model without some decoder layers as a directory that transformers and vLLM load like any "
        "other. Two fresh processes check that it answers samples as the pruned model does, bit for bit; unless it "
        "does, nothing is kept. Name the layers with --remove; or, in the directory of a study, the criterion and the "
        "budget whose layers go.",
    )
    command.add_argument(
        "model", metavar="MODEL", help=f"{MODEL_HELP}; with --criterion, the model's key in the config"
    )
    command.add_argument("--out", type=Path, metavar="DIRECTORY", help="the directory to write; it must not exist")
    command.add_argument("--threads", type=_positive, metavar="N", help="of the CPU (default: one per core)")
    named = command.add_argument_group("named layers")
    named.add_argument("--remove", type=_numbers, metavar="LAYERS", help="layers to remove, such as 4,5")
    named.add_argument(
        "--domain",
        action="append",
        type=_domain,
        metavar="[NAME=]FILE",
        help="samples for the check, as 'similarity' takes them; generated ones if none are given",
    )
    _add_model(named)
    _add_device(named)
    study = command.add_argument_group("a study's layers")
    study.add_argument("--criterion", help="key of the criterion in the config")
    study.add_argument("--budget", help="one of the config's budgets, as it stands there")
    study.add_argument("--replicate", type=int, metavar="N", help="replicate of a random criterion (default: 0)")
    study.add_argument("--configfile", type=Path, metavar="FILE", help="default: config/config.yaml")
    study.add_argument("--results", type=Path, metavar="DIR", help="default: results; --out is below it if not given")
    return command


def _check_export(command: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.remove is None and options.criterion is None:
        command.error("expected --remove LAYERS --out DIRECTORY, or --criterion and --budget of a study")
    first, needed, others = (
        (
            "--criterion",
            "budget",
            ("remove", "domain", "dtype", "gpus", "revision", "decoder_path", "trust_remote_code"),
        )
        if options.criterion is not None
        else ("--remove", "out", ("budget", "replicate", "configfile", "results"))
    )
    if getattr(options, needed) is None:
        command.error(f"{first} needs --{needed}")
    for name in others:
        if getattr(options, name):
            command.error(f"argument --{name.replace('_', '-')}: not allowed with argument {first}")


def _compare(commands: Commands) -> argparse.ArgumentParser:
    command = commands.add_parser(
        "compare",
        help="whether one set of answers is better than another",
        description="Compare two sets of answers to the same questions: the difference in accuracy with a paired "
        "bootstrap interval, and the p-value of a paired permutation test. Questions that share an image are drawn "
        "together. A and B are predictions tables of a study (results/predictions/MODEL/BENCHMARK/BUDGET.parquet), its "
        "scores tables, or Parquet, JSON, JSONL or CSV files with the columns sample_id, score (0 to 1) and, if "
        "questions depend on each other, cluster.",
    )
    for side in "ab":
        command.add_argument(side, metavar=side.upper(), help="a table of answers; A and B may be the same")
    for side in "ab":
        command.add_argument(
            f"--variant-{side}",
            metavar="VARIANT",
            help=f"which of {side.upper()}'s variants, if it has several: mixed/2, dense, or an id",
        )
    command.add_argument(
        "--benchmark",
        metavar="FILE",
        help="benchmark table that predictions are scored with, and that tells which questions share an image "
        "(default: that of the study)",
    )
    command.add_argument(
        "--scoring", choices=("clean", "upstream"), default="clean", help="of predictions (default: %(default)s)"
    )
    command.add_argument(
        "--resamples", type=_positive, default=2000, metavar="N", help="bootstrap draws and permutations (%(default)s)"
    )
    command.add_argument("--confidence", type=float, default=0.95, help="level of the interval (default: %(default)s)")
    command.add_argument("--seed", type=_seed, default=0, help="of the draws (default: %(default)s)")
    return command


def _add_model(command: argparse._ActionsContainer) -> None:
    command.add_argument("--revision", help="commit, branch or tag of a hub model (default: main)")
    command.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="let the model's own Python code run; --revision must then be a commit",
    )
    command.add_argument(
        "--decoder-path", metavar="PATH", help="where the list of decoder layers is in the model, if it is not found"
    )


def _add_device(command: argparse._ActionsContainer) -> None:
    command.add_argument(
        "--dtype", help="float32, bfloat16, float16, or auto, as the weights are stored (default: auto)"
    )
    command.add_argument(
        "--gpus", type=_count, metavar="N", help="over which the model is spread (default: 0, the CPU)"
    )


def _domain(text: str) -> tuple[str, str]:
    stated = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9_-]*)=(.+)", text)
    if stated:
        return stated[1], stated[2]
    name = Path(text).stem
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise argparse.ArgumentTypeError(f"'{name}' can be no name of a domain; write NAME={text}")
    return name, text


def _budget(text: str) -> int | float:
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number of layers nor a fraction of them") from None


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' are no numbers of layers; write them as 4,5") from None


def _seed(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"'{text}' is no seed; write a whole number from 0 on")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of at least 1")
    return int(text)


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"'{text}' is no number of at least 0")
    return int(text)
