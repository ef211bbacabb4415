"""Draws the diagrams of the documentation, and the table of rooms, from data.

``python docs/_ext/diagrams.py`` writes ``_static/flow.svg``, ``_static/architecture.svg``,
``_static/decisions.svg`` and the table in ``architecture.md``. The floors are the layers that
import-linter checks (pyproject.toml). A test compares the files with what this script would write,
and the data with the code.
"""

from __future__ import annotations

import html
import re
import textwrap
import tomllib
from pathlib import Path
from typing import NamedTuple

from lungpatch.thresholders import ConformalThresholder, conformal_p_values

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
    "networks": "networks of PyTorch and ONNX, losses, training, lesions painted in it",
    "io": "reads files and arrays into a ChestImage",
    "reports": "writes records, overlays, maps, worklist, DICOM",
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
.right { text-anchor: end; }
.paper { fill: #ffffff; }
.box { fill: #f6f8fa; stroke: #d1d9e0; }
.component { stroke: #2f9e62; stroke-width: 2; }
.dot { fill: #818b98; }
.above { fill: #d97706; }
.new { fill: #7c3aed; }
.flagged { fill: #d97706; opacity: 0.2; }
.line { stroke: #818b98; stroke-width: 1.5; }
.drop { stroke: #7c3aed; stroke-width: 1.5; stroke-dasharray: 5 4; }
.threshold { stroke: #d97706; stroke-width: 3; }
.arrow { fill: none; stroke: #818b98; stroke-width: 1.5; }
.tip { fill: #818b98; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6e8eb; }
  .quiet { fill: #a6adb5; }
  .paper { fill: #131416; }
  .box { fill: #1c1e21; stroke: #3a3f45; }
  .component { stroke: #2f9e62; }
  .new { fill: #a78bfa; }
  .drop { stroke: #a78bfa; }
}
"""


NORMAL_SCORES = (
    1.4, 1.8, 2.1, 2.4, 2.6, 2.9, 3.1, 3.4, 3.6, 3.9, 4.1, 4.4, 4.8, 5.1, 5.5, 6.0, 6.9, 7.6, 8.8,
)  # fmt: skip
"""Of 19 imaginary normal patients, one score each."""

NEW_SCORE = 6.4
"""Of an imaginary new image."""

DECISION_RATES = (0.2, 0.1, 0.05)


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


def draw_decisions() -> str:
    """Return the diagram of a p-value, and of thresholds at three rates, as SVG."""
    count = len(NORMAL_SCORES)
    as_high = sum(score >= NEW_SCORE for score in NORMAL_SCORES)
    (p_value,) = conformal_p_values([NEW_SCORE], NORMAL_SCORES)
    axis, bottom, row_height = 128, 218, 46
    end = bottom + row_height * len(DECISION_RATES)
    drop = _across(NEW_SCORE)
    drawing = [
        _text(12, 24, f"{count} normal patients, one dot each, and a new image", "title left"),
        _text(drop, 56, "new image", ""),
        f'<path class="drop" d="M{drop:g} 66V{end - 14:g}"/>',
        f'<path class="line" d="M{_across(1):g} {axis}H788"/>',
        _text(788, axis + 22, "anomaly score", "quiet small right"),
        *(_dot(score, axis, "above" if score >= NEW_SCORE else "dot") for score in NORMAL_SCORES),
        _diamond(drop, axis - 17),
        _text(12, axis + 22, f"{as_high} of {count} dots lie at or right of it:", "small left"),
        _text(12, axis + 46, f"p = (1 + {as_high}) / ({count} + 1) = {p_value:.2f}", "title left"),
    ]
    for number, rate in enumerate(DECISION_RATES):
        middle = bottom + row_height * number
        at = _across(ConformalThresholder(alpha=rate).fit(NORMAL_SCORES).threshold_)
        verdict = "flagged" if p_value <= rate else "not flagged"
        drawing += [
            f'<rect class="flagged" x="{at:g}" y="{middle - 15:g}" width="{788 - at:g}" '
            'height="30"/>',
            f'<path class="line" d="M{_across(1):g} {middle}H788"/>',
            *(_dot(score, middle, "dot", radius=3.5) for score in NORMAL_SCORES),
            f'<path class="threshold" d="M{at:g} {middle - 15}V{middle + 15}"/>',
            _diamond(drop, middle),
            _text(12, middle - 3, f"at rate {rate:g}", "left"),
            _text(12, middle + 14, verdict, "small left quiet"),
        ]
    title = (
        f"{as_high} of {count} normal patients score at least as high as a new image, so its "
        f"p-value is {p_value:.2f}: it is flagged at rates from {p_value:.2f}; the lower the rate, "
        "the further right the threshold"
    )
    return _svg(title, drawing, end)


def _across(score: float) -> float:
    """Where a score lies between the left and the right of the diagram."""
    return 120 + 660 * (score - 1) / 8.2


def _dot(score: float, y: float, kind: str, radius: float = 7) -> str:
    return f'<circle class="{kind}" cx="{_across(score):g}" cy="{y:g}" r="{radius:g}"/>'


def _diamond(x: float, y: float) -> str:
    return f'<path class="new" d="M{x:g} {y - 9:g}l8 9l-8 9l-8 -9z"/>'


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
    (DOCS / "_static" / "decisions.svg").write_text(draw_decisions(), encoding="utf-8")
    page = DOCS / "architecture.md"
    page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
