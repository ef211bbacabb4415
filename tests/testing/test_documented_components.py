"""Every component whose code the documentation shows keeps its contract."""

import ast
import re
from pathlib import Path

import attrs
import pytest

from lungpatch import testing

ROOT = Path(__file__).parents[2]
PYTHON = re.compile(r"^```python\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
KINDS = {
    "segment": "segmenter",
    "sample": "sampler",
    "extract": "extractor",
    "reconstruct": "model",
    "score": "scorer",
    "threshold_": "thresholder",
}
"""Kind of component by the method that only classes of this kind have."""


@attrs.frozen
class Documented:
    """A component class in the code of a page."""

    where: str
    class_name: str
    kind: str
    code: tuple[str, ...]

    def __str__(self):
        return f"{self.where}:{self.class_name}"

    def check(self):
        """Check it as its authors would; other statements of the page are not run."""
        names = {}
        for code in self.code:
            exec(compile(_definitions(code), self.where, "exec"), names)
        return getattr(testing, f"check_{self.kind}")(names[self.class_name]())


def _definitions(code):
    kept = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef)
    body = [statement for statement in ast.parse(code).body if isinstance(statement, kept)]
    return ast.Module(body=body, type_ignores=[])


def _code(path):
    text = path.read_text(encoding="utf-8")
    return (text,) if path.suffix == ".py" else tuple(PYTHON.findall(text))


def components_in(code, where):
    """Return the component classes that blocks of code define."""
    found = []
    for number, block in enumerate(code, start=1):
        for statement in ast.parse(block).body:
            if isinstance(statement, ast.ClassDef):
                members = {m.name for m in statement.body if isinstance(m, ast.FunctionDef)}
                found += [
                    Documented(where, statement.name, kind, tuple(code[:number]))
                    for member, kind in KINDS.items()
                    if member in members
                ]
    return found


FILES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *(
        path
        for path in sorted((ROOT / "docs").rglob("*.md"))
        if not {"_build", "gallery"} & set(path.relative_to(ROOT).parts)
    ),
    *sorted((ROOT / "examples").rglob("*.py")),
]
COMPONENTS = [
    component
    for path in FILES
    if path.exists()
    for component in components_in(_code(path), path.relative_to(ROOT).as_posix())
]


def test_components_are_found():
    assert {str(component) for component in COMPONENTS} >= {
        "docs/plugins.md:MedianScorer",
        "docs/write-a-plugin.md:EdgesScorer",
        "docs/testing-plugins.md:EdgeScorer",
        "examples/extending/own_scorer.py:BlurredScorer",
    }


@pytest.mark.parametrize("component", COMPONENTS, ids=str)
def test_a_documented_component_keeps_its_contract(component):
    component.check().raise_on_failure()


def test_a_wrong_one_would_be_found():
    (code,) = (c.code for c in COMPONENTS if str(c) == "docs/plugins.md:MedianScorer")
    wrong = [block.replace(".mean(axis=1)", "[:, 0]") for block in code]
    assert wrong != list(code)
    (component,) = components_in(wrong, "wrong")
    assert [result.name for result in component.check().wrong] == ["every_channel_counts"]
