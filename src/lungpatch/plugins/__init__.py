"""How components get their names: built-in ones and those of installed plugins alike.

``hookspecs`` is what a plugin's author sees, ``manager`` finds and loads plugins, ``builtins`` is
our own plugin, ``registry`` turns names into components, ``settings`` checks what they are given.
"""
