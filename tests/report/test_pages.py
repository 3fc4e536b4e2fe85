"""What the report has besides figures: pages of Markdown, and where the numbers come from."""

from __future__ import annotations

from typing import Any

from pruning_regimes.report import origins, pages

MADE = {
    "package_version": "1.0",
    "git_commit": None,
    "python": "3.11",
    "libraries": {"torch": "2.9"},
    "date": "2026-01-02",
}


def made(**more: Any) -> dict[str, Any]:
    return {**MADE, **more}


def text(*answers: dict[str, Any]) -> str:
    statistics = {"seed": 0, "resamples": 10, "confidence": 0.9, "margin": 0.05, "keep": 0.9}
    return origins.markdown(
        {"a": made(model={"path": "x/a", "revision": "abc"}), "b": made(model={"path": "x|b", "protected": [0, 1]})},
        {"math": made(config={"source": "demo"})},
        {"chart": made(config={"source": "demo", "samples": 8})},
        answers,
        made(**statistics),
        {"seed": 0, "models": {"a": {"path": "/home/somebody/models/a"}}},
    )


def test_the_origins_name_models_data_and_statistics() -> None:
    found = text()
    assert "| model | path | revision | protected |\n|---|---|---|---|\n| a | x/a | abc |  |\n" in found
    assert "| b | x\\|b |  | 0, 1 |" in found
    assert "| chart | demo | 8 |" in found and "| retention | 0 | 10 | 0.9 | 0.05 | 0.9 |" in found


def test_the_config_is_there_without_the_folders_of_a_machine() -> None:
    assert "```yaml\nseed: 0\nmodels:\n  a:\n    path: a\n```" in text()


def test_each_combination_of_versions_has_a_line_with_its_days() -> None:
    other = made(libraries={"torch": "2.10"}, git_commit="0123456789abcdef")
    lines = [line for line in text(made(date="2026-03-04"), other).splitlines() if line.startswith("- ")]
    assert lines == [
        "- 6 tables of 2026-01-02 to 2026-03-04: pruning-regimes 1.0, Python 3.11, torch 2.9.",
        "- 1 table of 2026-01-02: pruning-regimes 1.0 (commit 0123456789ab), Python 3.11, torch 2.10.",
    ]


def test_a_page_is_whole_and_shows_html_as_text() -> None:
    found = pages.page("# One & two\n\n| a | b |\n|---|---:|\n| <script>x</script> | 1 |\n")
    assert found.startswith("<!doctype html>") and "<title>One &amp; two</title>" in found
    assert "<td>&lt;script&gt;x&lt;/script&gt;</td>" in found and "<script" not in found
    assert "<link" not in found and "http" not in found


def test_a_picture_is_a_whole_page_as_wide_as_text() -> None:
    found = pages.picture(b"\x89PNG", "a <b>")
    assert found.startswith("<!doctype html>") and "<title>a &lt;b&gt;</title>" in found
    assert '<img src="data:image/png;base64,iVBORw==" alt="a &lt;b&gt;">' in found
    assert "http" not in found
