"""The RSNA Pneumonia Detection Challenge of 2018: NIH radiographs with boxes by radiologists."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from lungpatch.datasets.dataset import Dataset
from lungpatch.datasets.tables import read_table
from lungpatch.errors import ConfigurationError, MissingInputError
from lungpatch.io import DICOM_SUFFIXES
from lungpatch.io.folders import find_images

if TYPE_CHECKING:
    import os

logger = logging.getLogger(__name__)

_SIDE = 1024  # pixels; all images of the challenge have this size
_LABELS = {
    "Normal": "normal",
    "Lung Opacity": "pneumonia",
    "No Lung Opacity / Not Normal": "other",
}
_MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"


def load_rsna(path: str | os.PathLike[str]) -> Dataset:
    r"""Load the challenge's folder: the training images of stage 2 (the others have no labels).

    It holds ``stage_2_train_labels.csv``, ``stage_2_detailed_class_info.csv`` and
    ``stage_2_train_images/``. Only the header of each DICOM file is read, for the view; that takes
    about half a millisecond per file.

    Terms: any use, commercial or not, with attribution as the RSNA's terms of use ask [1]_; the
    images are the NIH's, see `load_nih`.

    Parameters
    ----------
    path : path of a folder

    Returns
    -------
    Dataset
        Labels: ``normal``, ``pneumonia`` ("Lung Opacity": an opacity suspicious for pneumonia)
        and ``other`` ("No Lung Opacity / Not Normal"); the column ``rsna_class`` has the
        challenge's words. Boxes are in the pneumonia images. **The challenge's patientId is
        another for each image**, though many images show the same patient: splits keep patients
        together only if RSNA's table ``pneumonia-challenge-dataset-mappings_2018.json`` is in the
        folder; patients are then those of the NIH.

    Raises
    ------
    MissingInputError
        If there is no such folder or table, or it holds no image.
    ConfigurationError
        If a table lacks a column or a value, or two tables disagree.

    See Also
    --------
    load_nih : all images of the NIH.
    load_folder : a folder of your own.

    References
    ----------
    .. [1] G. Shih, C. C. Wu, S. S. Halabi et al., "Augmenting the National Institutes of Health
       Chest Radiograph Dataset with Expert Annotations of Possible Pneumonia", Radiology:
       Artificial Intelligence 1(1), 2019, doi:10.1148/ryai.2019180041.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "stage_2_train_images").mkdir()
    >>> (folder / "stage_2_train_images" / "0a.dcm").touch()
    >>> _ = (folder / "stage_2_train_labels.csv").write_text(
    ...     "patientId,x,y,width,height,Target\n0a,256,512,64,128,1\n")
    >>> _ = (folder / "stage_2_detailed_class_info.csv").write_text(
    ...     "patientId,class\n0a,Lung Opacity\n")
    >>> load_rsna(folder)
    Dataset('RSNA pneumonia challenge', 1 image of 1 patient; labels: pneumonia 1;
    1 box on 1 image)
    """
    path = Path(path)
    class_of = _read_classes(path / "stage_2_detailed_class_info.csv")
    boxes = _read_boxes(path / "stage_2_train_labels.csv")
    names = list(boxes)
    unmatched = boxes.keys() ^ class_of.keys()
    if unmatched:
        raise ConfigurationError(
            f"{path}: stage_2_train_labels.csv and stage_2_detailed_class_info.csv do not list "
            f"the same patientId, {min(unmatched)} for one; download both again"
        )
    images = path / "stage_2_train_images"
    present = {file.stem: file for file in find_images(images)}
    missing = len(boxes.keys() - present.keys())
    if missing == len(names):
        raise MissingInputError(f"{images}: holds none of the challenge's training images")
    if missing:
        logger.warning("%d of %d training images are not in %s", missing, len(names), images)
    files = [present.get(name, images / f"{name}.dcm") for name in names]
    return Dataset(
        name="RSNA pneumonia challenge",
        images=files,
        labels=[_LABELS[class_of[name]] for name in names],
        patients=_read_patients(path / _MAPPING, names),
        views=[_view(file) for file in files],
        columns={"rsna_class": [class_of[name] for name in names]},
        relative_boxes=list(boxes.values()),
        box_labels=[["Lung Opacity"] * len(each) for each in boxes.values()],
    )


def _read_classes(table: Path) -> dict[str, str]:
    class_of: dict[str, str] = {}
    for row in read_table(table, ["patientId", "class"]):
        found = row.values["class"]
        if found not in _LABELS:
            raise row.error("class", f"must be one of {', '.join(_LABELS)}; got {found!r}")
        if class_of.setdefault(row.required("patientId"), found) != found:
            raise row.error("class", "disagrees with an earlier line; download it again")
    return class_of


def _read_boxes(table: Path) -> dict[str, list[tuple[float, float, float, float]]]:
    columns = ("x", "y", "width", "height")
    boxes: dict[str, list[tuple[float, float, float, float]]] = {}
    for row in read_table(table, ["patientId", *columns, "Target"]):
        found = boxes.setdefault(row.required("patientId"), [])
        if row.number("Target"):
            found.append(row.relative_box(columns, side=_SIDE))
    return boxes


def _read_patients(mapping: Path, names: list[str]) -> list[str]:
    """Return the NIH's patients if RSNA's mapping is there, else the challenge's ids."""
    if not mapping.exists():
        return names
    try:
        entries = json.loads(mapping.read_text(encoding="utf-8"))
        # An NIH image is named patient_number.png.
        patient_of = {
            str(entry["subset_img_id"]): str(int(entry["img_id"].split("_")[0]))
            for entry in entries
        }
        return [patient_of[name] for name in names]
    except KeyError as error:
        raise ConfigurationError(
            f"{mapping}: lacks {error}, which the challenge's tables or this format need; download "
            "it again, or remove it to go without the NIH's patients"
        ) from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{mapping}: cannot be read as RSNA's mapping ({error}); download it again"
        ) from error


def _view(file: Path) -> str:
    """Return the view position, empty if the file does not say it or cannot be read."""
    if file.suffix.lower() not in DICOM_SUFFIXES:
        return ""
    import pydicom

    try:
        head = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["ViewPosition"])
        return str(head.get("ViewPosition") or "")
    except Exception:
        return ""
