import os
import sys
from pathlib import Path

# Threads that spin while they wait slow the gallery's small networks down several times.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import gallery_order
import inventories

import lungpatch

project = "lungpatch"
author = "The lungpatch developers"
copyright = author
release = version = lungpatch.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "link_check",
    "run_blocks",
    "short_names",
]
html_theme = "furo"
html_title = f"lungpatch {version}"
html_static_path = ["_static"]
html_css_files = ["lungpatch.css"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "substitution"]
myst_substitutions = {"version": version}
myst_heading_anchors = 3
default_role = "py:obj"
numpydoc_show_class_members = False
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
intersphinx_mapping = inventories.write_inventories(HERE / "_build" / "inventories")
run_pages = ["tutorial"]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r".*\.py$",
    "subsection_order": [f"../examples/{group}" for group in gallery_order.ORDER],
    "within_subsection_order": gallery_order.GalleryOrder,
    # Shown at 260 pixels and more, on screens of twice the density.
    "thumbnail_size": (640, 448),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "min_reported_time": 3600,
    "write_computation_times": False,
}
# The class that sorts the gallery is not kept in Sphinx's cache, and need not be.
suppress_warnings = ["config.cache"]
