"""The exceptions of lungpatch.

Each message names the file, setting or component that is wrong, and says what is wrong with it and
what to do. Each class also derives from the built-in exception that a Python user would catch, so
that ``except ValueError`` works.
"""


class LungpatchError(Exception):
    """Base class of all exceptions of this library.

    Examples
    --------
    >>> from lungpatch.errors import InvalidImageError, LungpatchError
    >>> issubclass(InvalidImageError, LungpatchError)
    True
    """


class InvalidImageError(LungpatchError, ValueError):
    """A file or array is not a usable radiograph.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch import as_chest_image
    >>> as_chest_image(np.zeros((64, 64), np.uint8))
    Traceback (most recent call last):
    ...
    lungpatch.errors.InvalidImageError: array: ...
    """


class MissingInputError(LungpatchError, FileNotFoundError):
    """A path does not exist, or a folder has no file of the requested kind.

    Examples
    --------
    >>> from lungpatch import read_image
    >>> read_image("nowhere.png")
    Traceback (most recent call last):
    ...
    lungpatch.errors.MissingInputError: nowhere.png: ...
    """

    def __str__(self) -> str:
        # OSError prints (errno, text) tuples; the message alone is what a user reads.
        return str(self.args[0]) if self.args else ""


class DestinationError(LungpatchError, OSError):
    """Results cannot be written to the place that was given.

    Examples
    --------
    >>> import lungpatch
    >>> lungpatch.detect_folder("images/", "README.md/results")         # doctest: +SKIP
    Traceback (most recent call last):
    ...
    lungpatch.errors.DestinationError: README.md/results: cannot be a folder, ...
    """

    def __str__(self) -> str:
        # OSError prints (errno, text) tuples; the message alone is what a user reads.
        return str(self.args[0]) if self.args else ""


class DicomServerError(LungpatchError, ConnectionError):
    """A DICOMweb server cannot be reached, refuses, or answers with half of what was asked for.

    Examples
    --------
    >>> import lungpatch
    >>> server = lungpatch.DicomServer(url="http://localhost:1/dicom-web")
    >>> lungpatch.pull_images(server, {"PatientID": "P7"}, "images")   # doctest: +SKIP
    Traceback (most recent call last):
    ...
    lungpatch.errors.DicomServerError: http://localhost:1/dicom-web: cannot be reached ...
    """

    def __str__(self) -> str:
        # OSError prints (errno, text) tuples; the message alone is what a user reads.
        return str(self.args[0]) if self.args else ""


class InvalidMaskError(LungpatchError, ValueError):
    """A lung mask is missing, unreadable, or of another shape than its image.

    Examples
    --------
    >>> from lungpatch.containers.lung_coordinates import split_lungs
    >>> split_lungs([[1, 0]])
    Traceback (most recent call last):
    ...
    lungpatch.errors.InvalidMaskError: a lung mask is an array of bool with shape (H, W), ...
    """


class ConfigurationError(LungpatchError, ValueError):
    """A setting is unknown, of the wrong type, or out of range.

    Examples
    --------
    >>> from lungpatch import load_preset
    >>> load_preset("papr")
    Traceback (most recent call last):
    ...
    lungpatch.errors.ConfigurationError: no preset 'papr'; there is: default, paper
    """


class InsufficientDataError(LungpatchError, ValueError):
    """There are too few images, patients or patches.

    Examples
    --------
    >>> from lungpatch import load_preset
    >>> load_preset("paper").fit([])
    Traceback (most recent call last):
    ...
    lungpatch.errors.InsufficientDataError: fit needs images of at least 3 patients ...
    """


class NotFittedError(LungpatchError, ValueError, AttributeError):
    """A component was used before ``fit``.

    Examples
    --------
    >>> from lungpatch import load_preset
    >>> load_preset("paper").detect("image.png")
    Traceback (most recent call last):
    ...
    lungpatch.errors.NotFittedError: this pipeline is not fitted: ...
    """


class UnknownComponentError(LungpatchError, LookupError):
    """No plugin has a component of that name.

    Examples
    --------
    >>> from lungpatch import Registry
    >>> Registry(plugins=[]).find("scorer", "sda")
    Traceback (most recent call last):
    ...
    lungpatch.errors.UnknownComponentError: there is no scorer 'sda'; did you mean 'sad'? ...
    """


class AmbiguousComponentError(LungpatchError, LookupError):
    """Two plugins have a component of that name.

    Examples
    --------
    >>> from lungpatch import Registry, hookimpl
    >>> class Plugin:
    ...     def __init__(self, name):
    ...         self.__name__ = name
    ...     @hookimpl
    ...     def lungpatch_register(self, register):
    ...         register.scorer("mine", "nowhere:Scorer", summary="An example.")
    >>> Registry(plugins=[Plugin("a"), Plugin("b")]).find("scorer", "mine")
    Traceback (most recent call last):
    ...
    lungpatch.errors.AmbiguousComponentError: ...
    """


class PluginError(LungpatchError, RuntimeError):
    """A plugin has registered a component that cannot be used.

    Examples
    --------
    >>> from lungpatch import Registry, hookimpl
    >>> class Plugin:
    ...     __name__ = "broken"
    ...     @hookimpl
    ...     def lungpatch_register(self, register):
    ...         register.scorer("mine", "nowhere:Scorer", summary="An example.")
    >>> Registry(plugins=[Plugin()]).load("scorer", "mine")
    Traceback (most recent call last):
    ...
    lungpatch.errors.PluginError: ... cannot be imported: ...
    """


class SavedPipelineError(LungpatchError, ValueError):
    """A saved pipeline is missing, incomplete, altered, or from a newer format.

    Examples
    --------
    >>> from lungpatch import load_pipeline
    >>> load_pipeline("nowhere.lungpatch")
    Traceback (most recent call last):
    ...
    lungpatch.errors.SavedPipelineError: nowhere.lungpatch: no saved pipeline is there ...
    """


class MissingExtraError(LungpatchError, ImportError):
    """An optional package is not installed; the message says how to install it.

    Examples
    --------
    >>> from lungpatch.errors import MissingExtraError
    >>> try:
    ...     raise MissingExtraError('pip install "lungpatch[plot]"')
    ... except ImportError as error:  # also an ImportError
    ...     print(error)
    pip install "lungpatch[plot]"
    """
