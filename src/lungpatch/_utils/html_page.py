"""Self-contained HTML pages: no scripts, no other files, nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

from lungpatch._utils.files import atomic_write

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

_STYLE = """
:root { color-scheme: light dark; --text: #1d2127; --faint: #5b6470; --ground: #ffffff;
  --panel: #f3f5f7; --line: #d9dee4; }
@media (prefers-color-scheme: dark) { :root { --text: #e7eaee; --faint: #a0a9b5;
  --ground: #14171b; --panel: #1d2127; --line: #363d46; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text);
  font: 1.0625rem/1.6 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 1.25rem; }
h2 { font-size: 1.375rem; line-height: 1.3; margin: 2.75rem 0 0.75rem; }
p { max-width: 42rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin: 0 0 1.5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 1.5rem 0.4rem 0;
  border-bottom: 1px solid var(--line); }
th { color: var(--faint); font-weight: 600; }
td.number, th.number { text-align: right; }
figure { margin: 0 0 1.75rem; }
figure img { display: block; max-width: 100%; height: auto; border-radius: 4px;
  background: var(--panel); }
figcaption { max-width: 42rem; margin-top: 0.5rem; color: var(--faint); font-size: 0.9375rem; }
.figures { display: grid; gap: 1rem; margin: 0 0 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(max(9.5rem, 22%), 1fr)); }
.figures figure { margin: 0; }
pre { overflow-x: auto; margin: 0 0 1rem; padding: 0.75rem 1rem; border-radius: 4px;
  background: var(--panel); font: 0.9375rem/1.6 ui-monospace, monospace; }
a { color: inherit; }
"""


class HtmlPage:
    """A page that is filled from top to bottom and written as one file.

    All text is escaped. The page is light or dark as the reader's system is.

    Parameters
    ----------
    title : str
        Title of the window and of the page.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> page = HtmlPage("Chests")
    >>> page.paragraph("Scores < 1 are usual.")
    >>> page.table([("a", 0.5)], header=("image", "score"))
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "page.html"
    >>> page.write(file)
    >>> "Scores &lt; 1 are usual." in file.read_text()
    True
    """

    def __init__(self, title: str) -> None:
        self._title = html.escape(title)
        self._parts = [f"<h1>{self._title}</h1>"]

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def paragraph(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def table(self, rows: Iterable[Sequence[object]], *, header: Sequence[str]) -> None:
        """Add a table.

        Parameters
        ----------
        rows : iterable of sequences
            Cells, with numbers already formatted. Columns that hold only numbers (or text such as
            ``"0.93"`` or ``"12 %"``) are aligned to the right.
        header : sequence of str

        Raises
        ------
        ValueError
            If a row is not as long as the header.
        """
        cells = [[str(cell) for cell in row] for row in rows]
        for row in cells:
            if len(row) != len(header):
                raise ValueError(f"a row has {len(row)} cells, the header {len(header)}: {row}")
        kinds = [
            ' class="number"' if cells and all(_is_number(row[column]) for row in cells) else ""
            for column in range(len(header))
        ]
        lines = [_table_row("th", header, kinds)] + [_table_row("td", row, kinds) for row in cells]
        self._parts.append(
            f'<div class="wide"><table>\n<thead>{lines[0]}</thead>\n<tbody>\n'
            + "\n".join(lines[1:])
            + "\n</tbody>\n</table></div>"
        )

    def figure(self, rendering: NDArray[np.uint8], *, caption: str, alt: str) -> None:
        """Add an image, embedded as PNG.

        Parameters
        ----------
        rendering : ndarray of uint8, shape (H, W) or (H, W, 3)
        caption : str
            Printed below the image; may be empty.
        alt : str
            Text that describes the image, for readers who cannot see it.
        """
        self._parts.append(figure(rendering, caption=caption, alt=alt))

    def figures(self, figures: Iterable[tuple[NDArray[np.uint8], str, str]]) -> None:
        """Add small images side by side, as many in a row as there is room for, at most four.

        Parameters
        ----------
        figures : iterable of (ndarray of uint8, str, str)
            Rendering, caption and alternative text of each, as of `figure`.
        """
        inner = "\n".join(
            figure(rendering, caption=caption, alt=alt) for rendering, caption, alt in figures
        )
        self._parts.append(f'<div class="figures">\n{inner}\n</div>')

    def link(self, text: str, target: str) -> None:
        """Add a paragraph that links to a file beside the page."""
        self._parts.append(f'<p><a href="{html.escape(target)}">{html.escape(text)}</a></p>')

    def code(self, text: str) -> None:
        """Add lines to be typed."""
        self._parts.append(f"<pre>{html.escape(text)}</pre>")

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        body = "\n".join(self._parts)
        text = (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{self._title}</title>\n<style>{_STYLE}</style>\n</head>\n"
            f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
        )
        with atomic_write(path) as temporary:
            # A file name that is not valid text holds code points that UTF-8 cannot encode.
            temporary.write_text(text, encoding="utf-8", errors="replace")


def png(rendering: NDArray[np.uint8]) -> bytes:
    r"""Encode a rendering as PNG.

    Parameters
    ----------
    rendering : ndarray of uint8, shape (H, W) or (H, W, 3)

    Returns
    -------
    bytes

    Examples
    --------
    >>> import numpy as np
    >>> png(np.zeros((2, 2), np.uint8))[:4]
    b'\x89PNG'
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rendering).save(buffer, format="PNG")
    return buffer.getvalue()


def figure(rendering: NDArray[np.uint8], *, caption: str, alt: str) -> str:
    """Return the HTML of a figure with its image embedded as PNG.

    Parameters
    ----------
    rendering : ndarray of uint8, shape (H, W) or (H, W, 3)
    caption : str
        Printed below the image; may be empty.
    alt : str
        Text that describes the image, for readers who cannot see it.

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np
    >>> figure(np.zeros((2, 3), np.uint8), caption="a < b", alt="black")
    '<figure><img src="data:image/png;base64,..." width="3" height="2" alt="black"
    style="max-width:100%;height:auto"><figcaption>a &lt; b</figcaption></figure>'
    """
    data = base64.b64encode(png(rendering)).decode("ascii")
    height, width = rendering.shape[:2]
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return (
        f'<figure><img src="data:image/png;base64,{data}" width="{width}" height="{height}" '
        f'alt="{html.escape(alt)}" style="max-width:100%;height:auto">{below}</figure>'
    )


def _table_row(tag: str, cells: Sequence[str], kinds: Sequence[str]) -> str:
    inner = "".join(
        f"<{tag}{kind}>{html.escape(cell)}</{tag}>" for cell, kind in zip(cells, kinds, strict=True)
    )
    return f"<tr>{inner}</tr>"


def _is_number(text: str) -> bool:
    try:
        float(text.removesuffix("%").replace(",", ""))
    except ValueError:
        return False
    return True
