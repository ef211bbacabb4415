"""Draws the two diagrams of the documentation, and the table of rooms, from data.

``python docs/_ext/diagrams.py`` writes ``_static/flow.svg``, ``_static/architecture.svg`` and the
table in ``architecture.md``. The floors are the layers that import-linter checks (pyproject.toml).
A test compares the files with what this script would write, and the data with the code.
"""

from __future__ import annotations

import html
import re
import textwrap
import tomllib
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parents[1]
PYPROJECT = DOCS.parent / "pyproject.toml"


class Step(NamedTuple):
    """One step of the flow."""

    name: str
    part: str
    """The protocol of the component that does it, or what the pipeline does itself."""
    value: str
    """The class of what comes out."""
    room: str
    is_component: bool


FLOW = (
    (
        "Pipeline.prepare: no model needed",
        (
            Step("image", "read, resize", "ChestImage", "io", False),
            Step("lung mask", "Segmenter", "LungMask", "segmenters", True),
            Step("patches", "PatchSampler", "PatchBatch", "samplers", True),
        ),
    ),
    (
        "Pipeline.score: no threshold needed",
        (
            Step("reconstruction", "ReconstructionModel", "Reconstruction", "models", True),
            Step("scores", "Scorer", "PatchScores", "scorers", True),
            Step("anomaly map", "overlaps averaged", "AnomalyMap", "pipeline", False),
        ),
    ),
    (
        "Pipeline.detect: both, then thresholds from normal images. detect_folder: also reports",
        (
            Step("decision", "Thresholder", "Decision", "thresholders", True),
            Step("localisation", "regions above threshold", "Localisation", "pipeline", False),
            Step("report", "record, overlay, maps", "Detection", "reports", False),
        ),
    ),
)

JOBS = {
    "__main__": "lets python -m lungpatch run the command line",
    "cli": "the command line and the demo: parses, calls, prints",
    "reference": "reproduces the paper; only the command line imports it",
    "archive": "detects in folders of images, writes folders of results and reads them back",
    "evaluation": "compares results with ground truth",
    "testing": "checks that components keep their contracts",
    "sklearn": "a pipeline as an estimator of scikit-learn",
    "pipeline": "the flow: steps, fitting, thresholds, results, saving, configuration",
    "models": "reconstruct a patch as if it were normal",
    "segmenters": "find the lungs",
    "samplers": "cut images into patches",
    "features": "describe patches by feature maps",
    "scorers": "measure how far a patch is from its reconstruction",
    "thresholders": "set thresholds on scores of normal images",
    "plugins": "find components by name, built in or installed",
    "datasets": "folders, public data sets, splits, synthetic chests",
    "networks": "PyTorch: networks, losses, training, lesions painted while training",
    "io": "reads files and arrays into a ChestImage",
    "reports": "writes results: records, overlays, figures, maps",
    "protocols": "the contracts of the six kinds of components",
    "containers": "the values that flow through a pipeline, one class per step",
    "synthesis": "paints synthetic lesions",
    "_utils": "files, pages, renderings, progress, devices",
    "errors": "every exception",
    "_version": "the version",
}
"""What each room does."""

COMPONENTS = {"segmenters", "samplers", "features", "models", "scorers", "thresholders"}
"""Rooms that hold components: found by name, exchangeable, open to plugins."""

WIDTH = 800
STYLE = """
text { text-anchor: middle; fill: #1f2328; font: 15px system-ui, sans-serif; }
.title { font-weight: 600; font-size: 17px; }
.code { font-family: ui-monospace, monospace; font-size: 14px; }
.quiet { fill: #59636e; }
.small { font-size: 13px; }
.left { text-anchor: start; }
.paper { fill: #ffffff; }
.box { fill: #f6f8fa; stroke: #d1d9e0; }
.component { stroke: #2f9e62; stroke-width: 2; }
.arrow { fill: none; stroke: #818b98; stroke-width: 1.5; }
.tip { fill: #818b98; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6e8eb; }
  .quiet { fill: #a6adb5; }
  .paper { fill: #131416; }
  .box { fill: #1c1e21; stroke: #3a3f45; }
  .component { stroke: #2f9e62; }
}
"""


def read_floors() -> list[list[str]]:
    """Return the rooms of each floor, the lowest floor first."""
    table = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
    (layers,) = (
        contract["layers"]
        for contract in table["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    return [re.split(r"\s*\|\s*", layer) for layer in reversed(layers)]


def draw_flow() -> str:
    """Return the diagram of the flow as SVG."""
    box, gap, row_height, height = 244, 34, 150, 96
    drawing = []
    for row, (caption, steps) in enumerate(FLOW):
        top = row_height * row + 34
        drawing.append(_text(box / 2 + 12, top - 11, caption, "quiet small left"))
        for column, step in enumerate(steps):
            left = column * (box + gap)
            middle = left + box / 2
            drawing += [
                _rect(left + 1, top, box - 2, height, component=step.is_component),
                _text(middle, top + 26, step.name, "title"),
                _text(middle, top + 49, step.part, "quiet"),
                _text(middle, top + 69, step.value, "code"),
                _text(middle, top + 87, f"lungpatch.{step.room}", "quiet small"),
            ]
            if column:
                drawing.append(_arrow(f"M{left - gap}.5 {top + height / 2:g}H{left - 1}"))
        if row:
            right, left = 2 * (box + gap) + box / 2, box / 2
            start, turn = top - row_height + height, top - 31
            drawing.append(_arrow(f"M{right:g} {start}V{turn}H{left:g}V{top - 2}"))
    title = "The flow: " + ", ".join(step.name for _, steps in FLOW for step in steps)
    return _svg(title, drawing, row_height * len(FLOW))


def draw_architecture() -> str:
    """Return the diagram of the rooms on their floors as SVG."""
    left, per_row, gap, pad = 46, 4, 8, 5
    drawing: list[str] = []
    floors = read_floors()
    top = 8.0
    for number, rooms in reversed(list(enumerate(floors, start=1))):
        rows = [rooms[start : start + per_row] for start in range(0, len(rooms), per_row)]
        first = top
        for row in rows:
            width = (WIDTH - left - gap * (len(row) - 1) - 2) / len(row)
            jobs = [textwrap.wrap(JOBS[room], int(width / 7.1)) for room in row]
            height = 27 + 17 * max(map(len, jobs)) + pad
            for column, (room, job) in enumerate(zip(row, jobs, strict=True)):
                start = left + column * (width + gap)
                middle = start + width / 2
                drawing.append(_rect(start, top, width, height, component=room in COMPONENTS))
                drawing.append(_text(middle, top + 20, room, "code"))
                drawing += [
                    _text(middle, top + 38 + 17 * line, words, "quiet small")
                    for line, words in enumerate(job)
                ]
            top += height + gap
        drawing.append(_text(14, (first + top - gap) / 2 + 5, str(number), "quiet"))
    drawing.append(_arrow(f"M32 8V{top - gap - 2:g}"))
    return _svg("The rooms of lungpatch on their floors; a room imports downwards", drawing, top)


def room_table() -> str:
    """Return the rooms, their floors, jobs and what they may import as a Markdown table."""
    lines = ["| room | floor | job | may import |", "|---|---|---|---|"]
    for number, rooms in reversed(list(enumerate(read_floors(), start=1))):
        below = {1: "none", 2: "floor 1"}.get(number, f"floors 1 to {number - 1}")
        lines += [f"| `{room}` | {number} | {JOBS[room]} | {below} |" for room in rooms]
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """Return a page with the table between its two comments replaced."""
    begin, end = "<!-- rooms -->\n", "<!-- end of rooms -->"
    before, rest = page.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}{room_table()}{end}{after}"


def _svg(title: str, drawing: list[str], height: float) -> str:
    size = f'viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}"'
    tip = (
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto"><path class="tip" d="M0 0L10 5L0 10z"/></marker></defs>'
    )
    paper = f'<rect class="paper" width="{WIDTH}" height="{height:g}"/>'
    lines = [
        f'<svg {size} role="img" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{html.escape(title)}</title>",
        f"<style>{STYLE}</style>",
        tip,
        paper,
        *drawing,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _rect(left: float, top: float, width: float, height: float, *, component: bool) -> str:
    kind = "box component" if component else "box"
    size = f'width="{width:g}" height="{height:g}" rx="7"'
    return f'<rect class="{kind}" x="{left:g}" y="{top:g}" {size}/>'


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{html.escape(words)}</text>'


def _arrow(path: str) -> str:
    return f'<path class="arrow" marker-end="url(#tip)" d="{path}"/>'


def main() -> None:
    """Write the diagrams and the table."""
    (DOCS / "_static" / "flow.svg").write_text(draw_flow(), encoding="utf-8")
    (DOCS / "_static" / "architecture.svg").write_text(draw_architecture(), encoding="utf-8")
    page = DOCS / "architecture.md"
    page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
