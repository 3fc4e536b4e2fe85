"""Pages that a browser shows by themselves: for the report.

It shows Markdown as it is written, and cuts the top of an image that is higher than the window (Snakemake 9.27).
"""

from __future__ import annotations

import base64
import html

from markdown_it import MarkdownIt

STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.25rem; margin-top: 2rem } h3 { font-size: 1.05rem }
table { border-collapse: collapse; font-size: 0.9rem; display: block; overflow-x: auto }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid #ddd; white-space: nowrap }
img { display: block; width: 100%; height: auto }
th { text-align: left } code, pre { font-size: 0.85rem; background: #f4f4f4 } pre { padding: 0.6rem; overflow-x: auto }
"""


def page(text: str) -> str:
    """A whole HTML page, without anything from elsewhere.

    Args:
        text: Markdown with tables, which begins with a heading. HTML in it is shown as text: names come from others.
    """
    return _whole(
        text.splitlines()[0].lstrip("# "), MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    )


def picture(png: bytes, title: str) -> str:
    """A whole HTML page that shows an image as wide as its text would be, and scrolls where that is too high.

    Args:
        png: the image, a PNG file's bytes, which become part of the page.
        title: of the page, and what stands for the image where it cannot be seen.
    """
    source = base64.b64encode(png).decode("ascii")
    return _whole(title, f'<img src="data:image/png;base64,{source}" alt="{html.escape(title)}">\n')


def _whole(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f"<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
