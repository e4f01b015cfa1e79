"""Building blocks of the page. Plain text goes in and is escaped; what is HTML already is named so."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path


def paragraph(text: str, css: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{css}">{escape(text)}</p>' if css else f"<p>{escape(text)}</p>"


def missing(text: str, makes_it: str = "") -> str:
    """One line on what isn't there, and the command that makes it."""
    made = f" {command_line(makes_it)} makes it." if makes_it else ""
    return f'<p class="missing">{escape(text)}{made}</p>'


def section(title: str, anchor: str, html: str) -> str:
    """A chapter of the page."""
    return f'<section id="{anchor}"><h2>{escape(title)}</h2>\n{html}\n</section>\n'


def picture(source: str, alt: str, caption_html: str, css: str, title: str = "") -> str:
    """A figure with an optional title above it; ``source`` is a data URI."""
    heading = f"<h4>{escape(title)}</h4>" if title else ""
    return (
        f'<figure class="{css}">{heading}<img src="{source}" alt="{escape(alt)}">'
        f"<figcaption>{caption_html}</figcaption></figure>\n"
    )


def video(path: Path, label: str) -> str:
    """A video that is part of the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure class="clip"><video controls loop muted playsinline preload="metadata" aria-label="{escape(label)}" '
        f'src="data:video/mp4;base64,{data}"></video><figcaption>{escape(label)}</figcaption></figure>\n'
    )


def table(header: Sequence[str], rows_html: Sequence[Sequence[str]], css: str = "") -> str:
    """A table; the cells are HTML."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows_html)
    inside = f"<thead><tr>{head}</tr></thead><tbody>\n{body}</tbody>"
    return f'<div class="scroll"><table class="{css}">{inside}</table></div>\n'


def bullets(texts: Sequence[str]) -> str:
    """A list of plain sentences."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>\n"


def folded(title: str, text: str) -> str:
    """Preformatted text behind a title that opens it."""
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>\n"


def command_line(line: str) -> str:
    """A command line that breaks between its words only."""
    return f"<code>{' '.join(f'<span>{escape(word)}</span>' for word in line.split(' '))}</code>"
