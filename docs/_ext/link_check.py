"""Checks every link within the built site, offline; warns of pages and anchors that do not exist.

With ``-W`` such a warning fails the build. Links to other sites are not checked.
"""

from __future__ import annotations

import posixpath
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx

logger = logging.getLogger(__name__)

# Pages that hold no prose of ours, and only links that Sphinx made.
_GENERATED = ("_modules/", "genindex.html", "py-modindex.html", "search.html")


class _Page(HTMLParser):
    """The targets that a page links to, and the anchors in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.anchors |= {name for key in ("id", "name") if (name := found.get(key))}
        for key in ("href", "src"):
            if target := found.get(key):
                self.targets.add(target)


def broken_links(site: Path) -> list[str]:
    """Return a line ``page: target`` for every link of the site that leads nowhere."""
    pages = {
        path.relative_to(site).as_posix(): _Page(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
    }
    broken = []
    for name, page in pages.items():
        if name.startswith(_GENERATED):
            continue
        for target in sorted(page.targets):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            path = unquote(parts.path)
            wanted = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
            wanted = name if not path else wanted
            if wanted.startswith("../") or not (site / wanted).is_file():
                broken.append(f"{name}: {target}")
            # Sphinx writes "#" alone for a link to the top.
            elif parts.fragment and wanted in pages:
                gone = unquote(parts.fragment) not in pages[wanted].anchors
                broken += [f"{name}: {target}"] if gone else []
    return broken


def _check(app: Sphinx, failure: Exception | None) -> None:
    if failure is None and app.builder.name == "html":
        for line in broken_links(Path(app.outdir)):
            logger.warning("broken link in %s", line, type="lungpatch", subtype="link")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the check to the end of the build."""
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
