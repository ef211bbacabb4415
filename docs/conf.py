import lungpatch

project = "lungpatch"
author = "The lungpatch developers"
copyright = author
release = version = lungpatch.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
]
html_theme = "furo"
html_title = "lungpatch"
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
default_role = "py:obj"
numpydoc_show_class_members = False
autodoc_default_options = {"members": True, "show-inheritance": False}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
