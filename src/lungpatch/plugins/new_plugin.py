"""Writes the package of a new plugin, which installs, passes its checks and is found as it is.

The texts lie in the folder ``template``: ``common`` for every kind, and a folder a kind.
"""

from __future__ import annotations

import re
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from lungpatch._utils.files import atomic_folder
from lungpatch.errors import ConfigurationError
from lungpatch.plugins.hookspecs import KINDS

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from lungpatch.protocols import Kind

_SUMMARIES: dict[Kind, str] = {
    "segmenter": "Dark regions that do not touch the border.",
    "sampler": "Patches side by side, those whose middle is lung.",
    "extractor": "Mean and deviation of the grey levels of cells.",
    "model": "The mean of all normal patches, whatever it is given.",
    "scorer": "Mean absolute difference, to a power.",
    "thresholder": "Standard deviations above the mean of normal scores.",
}
_MORE_DEPENDENCIES: dict[Kind, tuple[str, ...]] = {"segmenter": ("scikit-image", "scipy")}
_NAME = re.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*")


def new_plugin(name: str, *, kind: Kind, into: Path) -> Path:
    """Write the package of a plugin with one component.

    Parameters
    ----------
    name : str
        Of the component: lower-case letters, digits and single hyphens. The package is called
        ``lungpatch-NAME``.
    kind : {"segmenter", "sampler", "extractor", "model", "scorer", "thresholder"}
    into : pathlib.Path
        Folder in which the folder ``lungpatch-NAME`` is made.

    Returns
    -------
    pathlib.Path
        The new folder.

    Raises
    ------
    ConfigurationError
        If the name or the kind cannot be one, or the folder is there already.

    Examples
    --------
    >>> import tempfile
    >>> folder = new_plugin("soft-edges", kind="scorer", into=Path(tempfile.mkdtemp()))
    >>> sorted(path.name for path in folder.iterdir())
    ['README.md', 'example.toml', 'pyproject.toml', 'src', 'tests']
    """
    if kind not in KINDS:
        raise ConfigurationError(f"there is no kind {kind!r}: choose one of {', '.join(KINDS)}")
    name = name.removeprefix("lungpatch-")
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be a component's name: take lower-case letters, digits and single "
            "hyphens, such as soft-edges"
        )
    folder = into / f"lungpatch-{name}"
    if folder.exists():
        raise ConfigurationError(f"{folder} is there already: choose another name, or move it")
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
    """Return what the placeholders of the templates stand for."""
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


def _template(place: str) -> Traversable:
    return resources.files("lungpatch.plugins").joinpath("template", *f"{place}.tmpl".split("/"))
