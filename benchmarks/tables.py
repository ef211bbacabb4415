"""The tables that the documentation includes, and whether they are up to date.

    python benchmarks/tables.py                  # which tables are older than what they rest on
    python benchmarks/tables.py --confirm NAME   # the numbers of NAME were checked: they still hold

A benchmark that is run with `--publish` writes its table to docs/detectors-run/NAME.inc, and to
sources.json beside it the digests of what the numbers rest on: weights, settings and code.
Comments, docstrings and layout do not count. The exit status is 1 if a table is out of date. The
test suite fails on weights and settings that have changed since then; code that has changed is
reported by this command only, since few changes of code change a number.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from lungpatch._utils.files import atomic_write, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT = Path(__file__).parents[1]
TABLES = ROOT / "docs" / "detectors-run"

_LUNGS = "src/lungpatch/weights/lung_unet.safetensors"
_PHOTOGRAPHS = "src/lungpatch/weights/imagenet_lite0.safetensors"
_SPLIT = "src/lungpatch/datasets/manifests/cxr-half.json"
_PRESETS = "src/lungpatch/presets/*.toml"
_CONFIGURATIONS = "benchmarks/detectors/*.toml"
_SHIPPED = ("src/lungpatch/weights/default.lungpatch/*", "src/lungpatch/weights/paper.lungpatch/*")
INPUTS = {
    "controls": (_LUNGS, _SPLIT, "src/lungpatch/presets/paper.toml"),
    "detectors": (_LUNGS, _SPLIT, _PRESETS, _CONFIGURATIONS),
    "detectors_short": (_LUNGS, _SPLIT, _PRESETS, _CONFIGURATIONS),
    "curve": (_LUNGS, _SPLIT, "benchmarks/detectors/lesion-head-lung.toml"),
    "choice": (_LUNGS, _SPLIT, _PRESETS, "benchmarks/detectors/lesion-head-lung.toml"),
    "intensity": (_LUNGS, _SPLIT, _PRESETS, _CONFIGURATIONS),
    "peers": (_LUNGS, _SPLIT, _PRESETS, _CONFIGURATIONS),
    "whole_image": (_LUNGS,),
    "lung_network": (_LUNGS,),
    "confounders-default": (_LUNGS, _SPLIT, "src/lungpatch/presets/default.toml"),
    "confounders-paper": (_LUNGS, _SPLIT, "src/lungpatch/presets/paper.toml"),
    "fuzz_reading": (),
    "killed_fit": (_LUNGS, "src/lungpatch/presets/default.toml"),
    "decisions": (_LUNGS, *_SHIPPED),
    "decisions_short": (_LUNGS, *_SHIPPED),
    "ablation": (_LUNGS, _PHOTOGRAPHS, _SPLIT, "src/lungpatch/presets/default.toml"),
    "across_sources": (_LUNGS, "src/lungpatch/weights/default.lungpatch/*"),
    "leave_one_source_out": (_LUNGS, _SPLIT, "src/lungpatch/presets/default.toml"),
    "contamination": (_LUNGS, "src/lungpatch/weights/default.lungpatch/*"),
    "detection": (_LUNGS, "src/lungpatch/presets/paper.toml"),
    "patch_extraction": (),
    "ssim": (),
    "lung_segmentation": (_LUNGS,),
    "site_calibration": (_LUNGS, "src/lungpatch/weights/default.lungpatch/*"),
    "conformal": (),
    "conformal_lists": (),
    "conformal_contamination": (),
    "worklist": (),
    "archive": (_LUNGS, "src/lungpatch/weights/default.lungpatch/*"),
    "archive_scores": (_LUNGS, "src/lungpatch/weights/default.lungpatch/*"),
    "archive_network": (_LUNGS, "src/lungpatch/weights/default.lungpatch/*"),
    "archive_peers": (_LUNGS, "src/lungpatch/weights/default.lungpatch/*"),
    "archive_kills": (_LUNGS, "src/lungpatch/weights/default.lungpatch/*"),
    "archive_memory": (_LUNGS, "src/lungpatch/weights/default.lungpatch/*"),
    "planning_parts": (_LUNGS, "src/lungpatch/weights/default.lungpatch/*"),
    "planning_sums": (_LUNGS, "src/lungpatch/weights/default.lungpatch/*"),
    "planning_simulation": (),
}
"""Weights and settings that each table rests on."""

CODE = (
    "containers", "datasets", "evaluation", "features", "io", "models", "networks", "pipeline",
    "samplers", "scorers", "segmenters", "synthesis", "thresholders",
)  # fmt: skip
"""Packages of lungpatch that compute numbers."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--confirm", nargs="+", metavar="NAME", default=[], choices=INPUTS)
    for name in parser.parse_args().confirm:
        record_sources(name)
    old = {name: [*changed_inputs(name), *changed_code(name)] for name in INPUTS}
    for name, changes in old.items():
        print(f"{name}: {'changed since: ' + ', '.join(changes) if changes else 'up to date'}")
    raise SystemExit(any(old.values()))


def markdown_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = [_row(head), "|---" * len(head) + "|", *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def write_table(name: str, text: str, out: Path | None, *, publish: bool) -> None:
    """Print a table, write it to ``out/NAME.inc``, and into the documentation if wanted."""
    print(text)
    if out is not None:
        _write(out / f"{name}.inc", text)
    if publish:
        _write(TABLES / f"{name}.inc", text)
        record_sources(name)


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def record_sources(name: str, root: Path = ROOT) -> None:
    """Note what the numbers of a table rest on, as it is now."""
    recorded = _recorded(root)
    recorded[name] = {"inputs": input_digests(name, root), "code": code_digests(root)}
    write_json(_sources(root), dict(sorted(recorded.items())))


def changed_inputs(name: str, root: Path = ROOT) -> list[str]:
    """Return the weights and settings that have changed since a table was written."""
    return _changes(_recorded(root).get(name, {}).get("inputs", {}), input_digests(name, root))


def changed_code(name: str, root: Path = ROOT) -> list[str]:
    """Return the packages whose code has changed since a table was written."""
    return _changes(_recorded(root).get(name, {}).get("code", {}), code_digests(root))


def _changes(then: dict[str, str], now: dict[str, str]) -> list[str]:
    return sorted(path for path in then.keys() | now.keys() if then.get(path) != now.get(path))


def _sources(root: Path) -> Path:
    return root / TABLES.relative_to(ROOT) / "sources.json"


def _recorded(root: Path) -> dict[str, dict[str, dict[str, str]]]:
    path = _sources(root)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def input_digests(name: str, root: Path = ROOT) -> dict[str, str]:
    """Return the digest of each file of weights or settings that a table rests on."""
    paths = sorted(path for pattern in INPUTS[name] for path in root.glob(pattern))
    return {path.relative_to(root).as_posix(): _digest(_content(path)) for path in paths}


def code_digests(root: Path = ROOT) -> dict[str, str]:
    """Return the digest of the code of each of the packages in `CODE`."""
    packages = {name: root / "src" / "lungpatch" / name for name in CODE}
    return {
        name: _digest(*(_content(path) for path in sorted(folder.rglob("*.py"))))
        for name, folder in packages.items()
    }


def _content(path: Path) -> bytes:
    """Return what counts of a file: of code and settings, not their comments and layout."""
    content = path.read_bytes()
    if path.suffix == ".toml":
        return json.dumps(tomllib.loads(content.decode()), sort_keys=True).encode()
    if path.suffix == ".py":
        return ast.dump(_WithoutText().visit(ast.parse(content))).encode()
    return content


class _WithoutText(ast.NodeTransformer):
    """Removes docstrings, and the strings below constants that document them."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        constant = isinstance(node.value, ast.Constant)
        return None if constant and isinstance(node.value.value, str) else node


def _digest(*contents: bytes) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main()
