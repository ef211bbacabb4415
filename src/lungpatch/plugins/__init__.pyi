from .hookspecs import Entry as Entry
from .hookspecs import Register as Register
from .hookspecs import hookimpl as hookimpl
from .registry import Registry as Registry
from .registry import default_registry as default_registry
from .registry import plugin_report as plugin_report

__all__ = [
    "Entry",
    "Register",
    "Registry",
    "default_registry",
    "hookimpl",
    "plugin_report",
]
