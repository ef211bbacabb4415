"""Lets a page say `Pipeline.fit` or `lungpatch.read_image` for what is documented by another path.

Sphinx itself finds a short name only within the module that the docstring is in. A name that starts
with ``lungpatch.`` and does not exist is a warning, which fails the build.
"""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING, Any

from sphinx.util import logging
from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from docutils.nodes import Element, reference
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

logger = logging.getLogger(__name__)

_ROOT = "lungpatch."


def _object(name: str) -> Any:
    """Return what a dotted name stands for; None where there is nothing of that name."""
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError):
        return None


def documented_name(target: str, documented: list[str]) -> str | None:
    """Return the documented name, the shortest of several, of what a target stands for."""
    short = target.removeprefix(_ROOT)
    found = [name for name in documented if name.endswith(f".{short}")]
    if not found:  # documented by another path
        wanted, last = _object(_ROOT + short), short.rpartition(".")[2]
        same_last = (name for name in documented if name.rpartition(".")[2] == last)
        found = [name for name in same_last if wanted is not None and _object(name) is wanted]
    if len({id(_object(name)) for name in found}) != 1:
        return None
    return min(found, key=len)


def _resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element
) -> reference | None:
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    objects = env.domains.python_domain.objects
    name = documented_name(target, [name for name in objects if name.startswith(_ROOT)])
    if name is None:
        if target.startswith(_ROOT) and _object(target) is None:
            logger.warning("there is no %s", target, location=node)
        return None
    home = objects[name]
    return make_refnode(app.builder, node["refdoc"], home.docname, home.node_id, content, name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect it to references that Sphinx could not resolve."""
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
