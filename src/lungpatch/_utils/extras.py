"""Optional packages, and the error that says how to install one."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from lungpatch.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterable


def import_extra(module: str, *, needed_by: str, extra: str, otherwise: str = "") -> Any:
    """Import a module of an optional package.

    Parameters
    ----------
    module : str
        The full name of the module, such as ``"matplotlib.pyplot"``.
    needed_by : str
        The subject of the error message, such as ``"plotting"``.
    extra : str
        The extra of lungpatch that installs the package.
    otherwise : str
        What else the user can do; added to the message.

    Returns
    -------
    module

    Raises
    ------
    MissingExtraError
        If the package is not installed.

    Examples
    --------
    >>> import_extra("json", needed_by="this example", extra="none").dumps([1])
    '[1]'
    >>> import_extra("no_such_package", needed_by="this example", extra="plot")
    Traceback (most recent call last):
    ...
    lungpatch.errors.MissingExtraError: this example needs no_such_package, which is not installed:
    pip install "lungpatch[plot]"
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtraError(
            f"{needed_by} needs {package}, which is not installed: "
            f'pip install "lungpatch[{extra}]"{otherwise}'
        ) from error


def require_package(module: str, *, needed_by: str, install: str) -> None:
    """Check that an optional package is installed, without importing it.

    Components call it when they are created, so that a missing package is reported before any
    work is done.

    Parameters
    ----------
    module : str
        The name of the module that the package installs.
    needed_by : str
        The subject of the error message.
    install : str
        The argument of ``pip install``.

    Raises
    ------
    MissingExtraError
        If the package is not installed.

    Examples
    --------
    >>> require_package("json", needed_by="this example", install="json")
    """
    if importlib.util.find_spec(module) is None:
        raise MissingExtraError(
            f"{needed_by} needs {module}, which is not installed: pip install {install}"
        )


def require_extra(extra: str, modules: Iterable[str], *, needed_by: str) -> None:
    """Check that the packages of an extra are installed, without importing them.

    Long work calls it first, so that nothing is computed in vain.

    Parameters
    ----------
    extra : str
        The extra of lungpatch that installs them.
    modules : iterable of str
        The names of their modules.
    needed_by : str
        The subject of the error's sentence.

    Raises
    ------
    MissingExtraError
        If one is not installed.

    Examples
    --------
    >>> require_extra("plot", ["json"], needed_by="this example")
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise MissingExtraError(
            f"{needed_by} needs {', '.join(missing)}, which {verb} not installed: "
            f'pip install "lungpatch[{extra}]"'
        )
