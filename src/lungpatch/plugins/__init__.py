"""Finds components by name: the built-in ones and those of installed plugins alike.

``hookspecs`` is what the author of a plugin sees, ``manager`` finds and loads plugins, ``builtins``
is our own plugin, ``registry`` turns names into components, ``settings`` checks what they are given
and ``new_plugin`` writes the package of a new plugin.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
