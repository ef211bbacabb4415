"""The paediatric radiographs of Kermany et al. (2018), as Kaggle and Mendeley lay them out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from lungpatch.datasets.dataset import Dataset
from lungpatch.errors import ConfigurationError, MissingInputError
from lungpatch.io.folders import find_images

if TYPE_CHECKING:
    import os

_SPLITS = {"train": "training", "val": "validation", "validation": "validation", "test": "test"}
_LABELS = {"normal": "normal", "pneumonia": "pneumonia"}
_NAMES = (
    re.compile(r"(?P<patient>person\d+)_(?P<cause>bacteria|virus)_\d+", re.IGNORECASE),
    re.compile(r"(?:NORMAL2-)?(?P<patient>IM-\d+)-\d+", re.IGNORECASE),
    re.compile(r"(?:NORMAL|(?P<cause>BACTERIA|VIRUS))-(?P<patient>\d+)-\d+", re.IGNORECASE),
)


def load_chest_xray(path: str | os.PathLike[str]) -> Dataset:
    """Load the folder ``chest_xray``: ``{train,val,test}/{NORMAL,PNEUMONIA}``.

    Names may be in upper or lower case, ``val`` may be ``validation`` or missing (as in Mendeley's
    archive), ``chest_xray`` may lie within ``chest_xray``, and ``NORMAL`` and ``PNEUMONIA`` may
    lie in no split. ``__MACOSX`` and hidden files are ignored.

    Licence: CC BY 4.0. Described in [1]_; the data are [2]_.

    Parameters
    ----------
    path : path of a folder

    Returns
    -------
    Dataset
        Labels ``normal`` and ``pneumonia``; splits ``training``, ``validation`` and ``test``; the
        column ``cause`` is ``bacteria``, ``virus`` or empty. Patients are taken
        from file names (``person123_bacteria_4``, ``IM-0115-0001``, ``NORMAL2-IM-0115-0001``,
        ``BACTERIA-1008087-0001``). Where the names leave open whether two images show the same
        patient (the same number in two splits, or with and without ``NORMAL2``), they count as
        one patient.

    Raises
    ------
    MissingInputError
        If there is no such folder, or its layout is another one.
    ConfigurationError
        If a split holds a folder of another class.

    See Also
    --------
    load_pneumoniamnist : the same images as small squares.
    load_folder : a folder of your own.

    References
    ----------
    .. [1] D. S. Kermany, M. Goldbaum, W. Cai et al., "Identifying Medical Diagnoses and Treatable
       Diseases by Image-Based Deep Learning", Cell 172(5), 2018,
       doi:10.1016/j.cell.2018.02.010.
    .. [2] D. Kermany, K. Zhang, M. Goldbaum, doi:10.17632/rscbjbr9sj.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp(), "chest_xray")
    >>> for name in ("train/NORMAL/IM-0115-0001.jpeg", "test/PNEUMONIA/person3_virus_5.jpeg"):
    ...     (folder / name).parent.mkdir(parents=True)
    ...     (folder / name).touch()
    >>> images = load_chest_xray(folder)
    >>> images
    Dataset('chest_xray', 2 images of 2 patients; labels: normal 1, pneumonia 1;
    splits: test 1, training 1)
    >>> images.patients
    array(['person3', 'IM-0115'], dtype='<U7')
    """
    path = Path(path)
    files: list[Path] = []
    splits, labels, patients, causes = [], [], [], []
    for split_folder, split in _split_folders(path):
        for class_folder in _visible_folders(split_folder):
            label = _LABELS.get(class_folder.name.lower())
            if label is None:
                raise ConfigurationError(
                    f"{class_folder}: is neither NORMAL nor PNEUMONIA; move it away, or use "
                    "load_folder, which takes any classes"
                )
            for file in find_images(class_folder):
                patient, cause = _parse_name(file.stem)
                files.append(file)
                splits.append(split)
                labels.append(label)
                patients.append(patient)
                causes.append(cause)
    if not files:
        raise _not_found(path)
    return Dataset(
        name="chest_xray",
        images=files,
        labels=labels,
        patients=patients,
        splits=splits,
        columns={"cause": causes},
    )


def _split_folders(path: Path) -> list[tuple[Path, str]]:
    """Return the folders that hold NORMAL and PNEUMONIA, and the split of each."""
    for root in (path, path / "chest_xray", path / "chest_xray" / "chest_xray"):
        folders = {folder.name.lower(): folder for folder in _visible_folders(root)}
        found = [(folders[name], _SPLITS[name]) for name in sorted(folders.keys() & _SPLITS)]
        if found:
            return found
        if folders.keys() & _LABELS:
            return [(root, "")]
    raise _not_found(path)


def _visible_folders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return sorted(
        child
        for child in path.iterdir()
        if child.is_dir() and not child.name.startswith(".") and child.name != "__MACOSX"
    )


def _parse_name(stem: str) -> tuple[str, str]:
    """Return patient and cause, each empty where the name does not say it."""
    for pattern in _NAMES:
        if match := pattern.match(stem):
            groups = match.groupdict()
            return groups["patient"], (groups.get("cause") or "").lower()
    return "", ""


def _not_found(path: Path) -> MissingInputError:
    if not path.is_dir():
        return MissingInputError(f"{path}: no such folder; check the path")
    return MissingInputError(
        f"{path}: holds no folders train, val and test with NORMAL and PNEUMONIA in them; give "
        "the unpacked folder chest_xray, or use load_folder"
    )
