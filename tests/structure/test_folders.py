"""The package's folders are stages: each imports only from those below it, and none of its files lies beside them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.helpers import ROOT

PACKAGE = ROOT / "workflow" / "pruning_regimes"
# From the top to the bottom. CONTRIBUTING.md says what each is for.
ORDER = (
    *("cli", "docs", "api", "figures", "config", "report", "checkpoints", "regimes", "criteria", "measurement"),
    *("calibration", "benchmarks", "demo", "evaluation", "inference", "models", "scoring", "tables", "jobs"),
)


def imported(text: str) -> Iterator[tuple[int, str]]:
    """Line and folder of each import of the package in a module, within functions too."""
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == PACKAGE.name and (folder := rest.split(".")[0]) in ORDER:
                yield node.lineno, folder


def upwards(folder: str, text: str) -> list[str]:
    """Imports of folders above one's own."""
    return [
        f"line {line} of a module in {folder} imports {other}, which is above it"
        for line, other in imported(text)
        if ORDER.index(other) < ORDER.index(folder)
    ]


def test_every_folder_has_its_place() -> None:
    assert sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__") == sorted(
        ORDER
    )
    assert [path.name for path in PACKAGE.iterdir() if path.is_file()] == ["__init__.py"]


@pytest.mark.parametrize("folder", ORDER)
def test_a_folder_imports_only_from_those_below_it(folder: str) -> None:
    files = sorted((PACKAGE / folder).rglob("*.py"))
    assert len(files) > 1
    found = {str(file.relative_to(PACKAGE)): upwards(folder, file.read_text()) for file in files}
    assert {file: faults for file, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    "text",
    [
        "from pruning_regimes import figures",
        "from pruning_regimes.figures.style import theme",
        "import pruning_regimes.figures.style",
        "def late():\n    from pruning_regimes.figures import style",
    ],
)
def test_an_import_upwards_is_found(text: str) -> None:
    assert len(upwards("models", text)) == 1 and not upwards("cli", text)


def test_each_folder_has_tests_of_its_own() -> None:
    tests = ROOT / "tests"
    assert [folder for folder in ORDER if not list((tests / folder).glob("test_*.py"))] == []
    # Helpers, and what is of no one folder, lie in folders too.
    assert [path.name for path in tests.glob("test_*.py")] == []
