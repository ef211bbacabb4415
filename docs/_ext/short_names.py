"""Lets a docstring say `Pipeline.fit` or `lungpatch.read_image` for what lives in a submodule.

Sphinx itself finds such a name only within the module that the docstring is in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from docutils.nodes import Element, reference
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment


def _resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element
) -> reference | None:
    if node.get("refdomain") != "py":
        return None
    short = node["reftarget"].removeprefix("lungpatch.")
    objects = env.domains.python_domain.objects
    found = [
        name for name in objects if name.startswith("lungpatch.") and name.endswith(f".{short}")
    ]
    if len(found) != 1:
        return None
    home = objects[found[0]]
    return make_refnode(app.builder, node["refdoc"], home.docname, home.node_id, content, found[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect it to references that Sphinx could not resolve."""
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
