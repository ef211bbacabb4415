"""Makes a plugin available for a while, as if it were installed."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from lungpatch.errors import PluginError
from lungpatch.plugins.hookspecs import Register, hookimpl
from lungpatch.plugins.manager import GROUP, RESTRICT
from lungpatch.plugins.registry import Registry, default_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DISTRIBUTION = "temporary-plugin"
_MODULE = "lungpatch_temporary_plugin"


@contextmanager
def temporary_plugin(plugin: ModuleType | Callable[[Register], None]) -> Iterator[Registry]:
    """Make a plugin available within a ``with`` block, as if it were installed.

    Within the block its components are found by name in configurations, saved pipelines and on the
    command line. Other plugins are not found meanwhile. The environment and the module search path
    are changed within the block, so do not use it in several threads at once.

    Parameters
    ----------
    plugin : module or callable
        A module with a ``lungpatch_register`` hook, or such a function alone.

    Yields
    ------
    Registry
        The built-in components and those of the plugin. Within the block,
        `lungpatch.plugins.registry.default_registry` returns it too.

    Raises
    ------
    PluginError
        If the plugin cannot be loaded or registers something invalid.

    Examples
    --------
    >>> from lungpatch.scorers import SADScorer
    >>> def register(register):
    ...     register.scorer("mine", SADScorer, summary="Mean absolute difference.")
    >>> with temporary_plugin(register) as registry:
    ...     "mine" in registry.names("scorer")
    True
    """
    module = plugin if isinstance(plugin, ModuleType) else _module_of(plugin)
    name = module.__name__
    earlier = sys.modules.get(name)
    restriction = os.environ.get(RESTRICT)
    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder) / f"{_DISTRIBUTION.replace('-', '_')}-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {_DISTRIBUTION}\nVersion: 0\n", encoding="utf-8"
        )
        (info / "entry_points.txt").write_text(
            f"[{GROUP}]\n{name.rpartition('.')[2]} = {name}\n", encoding="utf-8"
        )
        sys.path.append(folder)
        sys.modules[name] = module
        os.environ[RESTRICT] = _DISTRIBUTION
        default_registry.cache_clear()
        try:
            registry = default_registry()
            for failure in registry.failures():
                raise PluginError(f"{name}: {failure.error}")
            yield registry
        finally:
            default_registry.cache_clear()
            sys.path.remove(folder)
            if earlier is None:
                del sys.modules[name]
            else:
                sys.modules[name] = earlier
            if restriction is None:
                del os.environ[RESTRICT]
            else:
                os.environ[RESTRICT] = restriction


def _module_of(function: Callable[[Register], None]) -> ModuleType:
    def lungpatch_register(register: Register) -> None:
        function(register)

    module = ModuleType(_MODULE)
    vars(module)["lungpatch_register"] = hookimpl(lungpatch_register)
    return module
