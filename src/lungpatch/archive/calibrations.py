"""The calibrations that a folder of results was decided with, so that it can be decided again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from lungpatch._utils.files import write_json
from lungpatch._version import __version__
from lungpatch.errors import InvalidImageError
from lungpatch.pipeline import Calibration

if TYPE_CHECKING:
    from pathlib import Path

FILE = "calibrations.json"


@attrs.frozen(kw_only=True)
class StoredCalibration:
    """A calibration of a folder of results, and the pipeline whose it is.

    Parameters
    ----------
    pipeline : str
        What the user calls it.
    lungpatch : str
        The version that ran it.
    calibration : Calibration

    Examples
    --------
    >>> StoredCalibration(pipeline="default", lungpatch="0.1",
    ...                   calibration=pipeline.calibration_)           # doctest: +SKIP
    """

    pipeline: str
    lungpatch: str
    calibration: Calibration


def store_calibration(folder: Path, calibration: Calibration, *, name: str, digest: str) -> str:
    """Note in a folder of results which fitted pipeline makes them.

    Parameters
    ----------
    folder : pathlib.Path
        Exists.
    calibration : Calibration
        Of that pipeline.
    name : str
        What the user calls it.
    digest : str
        `lungpatch.pipeline.pipeline_digest` of it.

    Returns
    -------
    str
        The key of its entry in ``calibrations.json``; the same pipeline has always the same.

    Raises
    ------
    InvalidImageError
        If the file holds something else.

    Examples
    --------
    >>> store_calibration(Path("found"), pipeline.calibration_, name="default",
    ...                   digest=pipeline_digest(pipeline))            # doctest: +SKIP
    '5f0c9e1b2a7d4c83'
    """
    key = digest[:16]
    path = folder / FILE
    entries = _read(path) if path.exists() else {}
    entry = {
        "pipeline": name,
        "lungpatch": __version__,
        "calibration": attrs.asdict(calibration),
    }
    write_json(path, entries | {key: entry})
    return key


def read_calibrations(folder: Path) -> dict[str, StoredCalibration]:
    """Return the calibrations of a folder of results by their keys.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    dict of str to StoredCalibration
        Empty if the folder has none.

    Raises
    ------
    InvalidImageError
        If the file holds something else.

    Examples
    --------
    >>> import pathlib
    >>> read_calibrations(pathlib.Path("nowhere"))
    {}
    """
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        return {key: _stored(entry) for key, entry in _read(path).items()}
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise _not_ours(path, error) from error


def _stored(entry: Any) -> StoredCalibration:
    return StoredCalibration(
        pipeline=str(entry["pipeline"]),
        lungpatch=str(entry["lungpatch"]),
        calibration=Calibration.from_record(entry["calibration"]),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise _not_ours(path, error) from error
    if not isinstance(content, dict):
        raise _not_ours(path, "not a JSON object")
    return content


def _not_ours(path: Path, reason: object) -> InvalidImageError:
    return InvalidImageError(
        f"{path}: does not hold calibrations ({reason}); give another folder, or remove the file "
        "and detect again"
    )
