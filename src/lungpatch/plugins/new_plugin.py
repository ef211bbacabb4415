"""Writes the package of a new plugin, ready to be installed, checked and found.

The texts are in the folder ``template``: ``common`` for all kinds, and one folder per kind.
"""

from __future__ import annotations

import re
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from lungpatch._utils.files import atomic_folder
from lungpatch._utils.suggestions import did_you_mean
from lungpatch.errors import ConfigurationError
from lungpatch.plugins.hookspecs import KINDS

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from lungpatch.protocols import Kind

_SUMMARIES: dict[Kind, str] = {
    "segmenter": "Dark regions that do not touch the border.",
    "sampler": "Adjacent patches, those whose middle pixel is lung.",
    "extractor": "Mean and deviation of the grey levels in each cell.",
    "model": "Expects the mean of all normal patches everywhere.",
    "scorer": "Mean absolute difference, to a power.",
    "thresholder": "A number of standard deviations above the mean of normal scores.",
}
_MORE_DEPENDENCIES: dict[Kind, tuple[str, ...]] = {"segmenter": ("scikit-image", "scipy")}
_NAME = re.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*")


def new_plugin(name: str, *, kind: Kind, into: Path) -> Path:
    """Write the package of a plugin with one component.

    Parameters
    ----------
    name : str
        Name of the component: lower-case letters, digits and single hyphens. The package is called
        ``lungpatch-NAME``.
    kind : {"segmenter", "sampler", "extractor", "model", "scorer", "thresholder"}
    into : pathlib.Path
        Folder in which the folder ``lungpatch-NAME`` is created.

    Returns
    -------
    pathlib.Path
        The new folder.

    Raises
    ------
    ConfigurationError
        If the name is invalid, the kind is unknown, or the folder exists.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = new_plugin("soft-edges", kind="scorer", into=Path(tempfile.mkdtemp()))
    >>> sorted(path.name for path in folder.iterdir())
    ['README.md', 'example.toml', 'pyproject.toml', 'src', 'tests']
    """
    if kind not in KINDS:
        raise ConfigurationError(
            f"there is no kind {kind!r}{did_you_mean(kind, KINDS)} Kinds: {', '.join(KINDS)}"
        )
    name = name.removeprefix("lungpatch-")
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be the name of a component: take lower-case letters, digits and "
            "single hyphens, such as soft-edges"
        )
    folder = into / f"lungpatch-{name}"
    if folder.exists():
        raise ConfigurationError(f"{folder} exists already: choose another name, or move it")
    values = _values(name, kind)
    module = values["module"]
    destinations = {
        "common/pyproject.toml": "pyproject.toml",
        "common/README.md": "README.md",
        "common/__init__.py": f"src/{module}/__init__.py",
        "common/py.typed": f"src/{module}/py.typed",
        f"{kind}/component.py": f"src/{module}/{kind}.py",
        f"{kind}/test.py": f"tests/test_{module}.py",
        f"{kind}/example.toml": "example.toml",
    }
    with atomic_folder(folder, replace=False) as temporary:
        for source, destination in destinations.items():
            text = _template(source).read_text(encoding="utf-8")
            path = temporary / destination
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(text).substitute(values), encoding="utf-8")
    return folder


def _values(name: str, kind: Kind) -> dict[str, str]:
    """Return the values of the placeholders in the templates."""
    summary = _SUMMARIES[kind]
    words = "".join(word.capitalize() for word in name.split("-"))
    class_name = words.removesuffix(kind.capitalize()) + kind.capitalize()
    dependencies = sorted({"attrs", "lungpatch", "numpy", *_MORE_DEPENDENCIES.get(kind, ())})
    return {
        "name": name,
        "kind": kind,
        "distribution": f"lungpatch-{name}",
        "module": "lungpatch_" + name.replace("-", "_"),
        "class_name": class_name,
        "summary": summary,
        "lower_summary": summary[0].lower() + summary[1:],
        "dependencies": ", ".join(f'"{package}"' for package in dependencies),
    }


def _template(path: str) -> Traversable:
    return resources.files("lungpatch.plugins").joinpath("template", *f"{path}.tmpl".split("/"))
