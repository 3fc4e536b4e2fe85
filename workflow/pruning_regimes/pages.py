"""Markdown as a page that a browser shows by itself: for the report, which shows Markdown as it is written."""

from __future__ import annotations

import html

from markdown_it import MarkdownIt

STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.25rem; margin-top: 2rem } h3 { font-size: 1.05rem }
table { border-collapse: collapse; font-size: 0.9rem } th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid #ddd }
th { text-align: left } code, pre { font-size: 0.85rem; background: #f4f4f4 } pre { padding: 0.6rem; overflow-x: auto }
"""


def page(text: str) -> str:
    """A whole HTML page, without anything from elsewhere.

    Args:
        text: Markdown with tables, which begins with a heading. HTML in it is shown as text: names come from others.
    """
    title = html.escape(text.splitlines()[0].lstrip("# "))
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
