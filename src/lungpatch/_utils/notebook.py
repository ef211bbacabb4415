"""Display of values in a notebook: a rendering and, below it, their repr.

Jupyter calls an object's ``_repr_html_`` or ``_repr_png_``; neither needs matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lungpatch._utils.html_page import figure, png

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class NotebookDisplay:
    """Base class that gives a class with a ``_rendering`` the methods that notebooks call.

    If ``_rendering`` returns None there is nothing to show, and a notebook prints the repr.

    Examples
    --------
    >>> import numpy as np
    >>> class Dot(NotebookDisplay):
    ...     def _rendering(self):
    ...         return np.zeros((1, 1), np.uint8)
    >>> Dot()._repr_png_()[1:4]
    b'PNG'
    """

    __slots__ = ()

    def _rendering(self) -> NDArray[np.uint8] | None:
        raise NotImplementedError

    def _repr_png_(self) -> bytes | None:
        rendering = self._rendering()
        return None if rendering is None else png(rendering)

    def _repr_html_(self) -> str | None:
        rendering = self._rendering()
        if rendering is None:
            return None
        return figure(rendering, caption=repr(self), alt=repr(self))
