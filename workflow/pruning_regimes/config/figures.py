"""What a schema cannot say of the figures' styles: widths, criteria that the study has, colours that exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pruning_regimes.jobs.errors import ConfigError, brief, nearest
from pruning_regimes.tables.contracts import TOKEN_GROUPS

WIDTHS = {"page": 7.2, "column": 3.5}  # inches, as most journals and conferences have them
# Figures whose colours are those of domains and benchmark groups, of token groups, and of a colour map for cells.
OF_DOMAINS = ("similarity", "domain_effect")
OF_TOKENS = ("token_groups",)
SHADED = ("blocks", "layers", "overlap")
BLUES = "Blues"  # the default


def check_figures(config: Mapping[str, Any]) -> None:
    """Check the styles of all figures.

    Raises: ConfigError naming the key, the value and the nearest valid choice.
    """
    criteria = list(config["criteria"])
    groups = dict.fromkeys([*config["domains"], *(entry["group"] for entry in config["benchmarks"].values())])
    for figure, style in config["figures"].items():
        at = f"figures.{figure}"
        if isinstance(style["width"], str) and style["width"] not in WIDTHS:
            raise ConfigError(
                f"{at}.width: '{brief(style['width'])}' is neither a number of inches nor a known width; "
                f"{nearest(style['width'], WIDTHS)}"
            )
        for criterion in style.get("criteria", []):
            _check_known(f"{at}.criteria", "criterion", criterion, criteria)
        if figure == "examples":
            _check_examples(at, style, config)
        if figure in SHADED:
            _check_colormap(f"{at}.palette", style["palette"])
        elif "palette" in style:
            names = TOKEN_GROUPS if figure in OF_TOKENS else groups if figure in OF_DOMAINS else criteria
            _check_palette(f"{at}.palette", style["palette"], names)


def _check_examples(at: str, style: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Whose answers are shown, to which benchmarks."""
    for key, section in (("model", "models"), ("criterion", "criteria")):
        if key in style:
            _check_known(f"{at}.{key}", key, style[key], config[section])
    for benchmark in style.get("benchmarks", []):
        _check_known(f"{at}.benchmarks", "benchmark", benchmark, config["benchmarks"])


def _check_known(at: str, kind: str, name: str, names: Iterable[str]) -> None:
    if name not in names:
        raise ConfigError(f"{at}: the study has no {kind} '{brief(name)}'; {nearest(name, names)}")


def _check_colormap(at: str, name: str) -> None:
    if name == BLUES:
        return
    # Only where it is needed, since reading the plotting libraries takes long.
    import matplotlib

    if name not in matplotlib.colormaps:
        raise ConfigError(f"{at}: matplotlib has no colour map '{brief(name)}'; {nearest(name, matplotlib.colormaps)}")


def _check_palette(at: str, palette: str | Mapping[str, str], names: Iterable[str]) -> None:
    from matplotlib.colors import is_color_like
    from seaborn.palettes import MPL_QUAL_PALS, SEABORN_PALETTES, color_palette

    if isinstance(palette, str):
        try:
            color_palette(palette, 1)
        except ValueError as error:
            known = [*SEABORN_PALETTES, *MPL_QUAL_PALS]
            raise ConfigError(f"{at}: seaborn has no palette '{brief(palette)}'; {nearest(palette, known)}") from error
        return
    names = list(names)
    for name, colour in palette.items():
        if name not in names:
            raise ConfigError(f"{at}: '{brief(name)}' is not in the figure; {nearest(name, names)}")
        if not is_color_like(colour):
            raise ConfigError(f"{at}.{name}: '{brief(colour)}' is no colour; write a name or '#RRGGBB'.")
