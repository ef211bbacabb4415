"""The adult chest radiographs of the NIH Clinical Center: ChestX-ray8 and ChestX-ray14."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from lungpatch.datasets.dataset import Dataset
from lungpatch.datasets.tables import read_table
from lungpatch.errors import MissingInputError
from lungpatch.io.folders import find_images

if TYPE_CHECKING:
    import os

logger = logging.getLogger(__name__)

_SIDE = 1024  # pixels per side of the images that the boxes refer to
# The header says "Bbox [x,y,w,h]", whose commas make four columns.
_BOX_COLUMNS = ("Bbox [x", "y", "w", "h]")


def load_nih(path: str | os.PathLike[str]) -> Dataset:
    r"""Load a folder of ChestX-ray8 or ChestX-ray14.

    It holds ``Data_Entry_2017.csv`` (or ``Data_Entry_2017_v2020.csv``, which is preferred), the
    images anywhere below (``images/``, ``images_001/images/`` and so on), and optionally
    ``BBox_List_2017.csv``, ``train_val_list.txt`` and ``test_list.txt``.

    Terms: free to use; name the NIH Clinical Center as the source, link to the download site
    (https://nihcc.app.box.com/v/ChestXray-NIHCC) and cite the paper [1]_.

    Parameters
    ----------
    path : path of a folder

    Returns
    -------
    Dataset
        One image per line of the table, whether or not its file is there. Labels: ``normal`` for
        "No Finding", ``pneumonia`` where the findings name it, else ``other``; they were mined
        from reports, and "No Finding" does not say that a reader found the image normal. Columns
        ``findings`` (joined by ``|``), ``age`` and ``sex``. Splits (``training`` and ``test``)
        if the lists are there. Boxes, labelled with their finding, on some 880 images.

    Raises
    ------
    MissingInputError
        If there is no such folder or table, or it holds no image.
    ConfigurationError
        If a table lacks a column or a value, or names an image twice or an unknown one.

    See Also
    --------
    load_rsna : some of these images, with boxes around opacities.
    load_folder : a folder of your own.

    References
    ----------
    .. [1] X. Wang, Y. Peng, L. Lu et al., "ChestX-ray8: Hospital-Scale Chest X-ray Database and
       Benchmarks on Weakly-Supervised Classification and Localization of Common Thorax Diseases",
       CVPR 2017, doi:10.1109/CVPR.2017.369, arXiv:1705.02315.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "images").mkdir()
    >>> (folder / "images" / "00000001_000.png").touch()
    >>> _ = (folder / "Data_Entry_2017.csv").write_text(
    ...     "Image Index,Finding Labels,Patient ID,Patient Age,Patient Gender,View Position\n"
    ...     "00000001_000.png,Pneumonia|Effusion,1,57,M,PA\n")
    >>> _ = (folder / "BBox_List_2017.csv").write_text(
    ...     "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
    ...     "00000001_000.png,Pneumonia,512,256,128,64,,,\n")
    >>> images = load_nih(folder)
    >>> images
    Dataset('NIH ChestX-ray', 1 image of 1 patient; labels: pneumonia 1; views: PA 1;
    1 box on 1 image)
    >>> images.boxes(0, (1024, 1024))
    array([[256, 512, 320, 640]])
    """
    path = Path(path)
    # In alphabetical order the corrected table of 2020 is the last.
    tables = sorted(path.glob("Data_Entry_2017*.csv"))
    if not tables:
        raise MissingInputError(
            f"{path}: no Data_Entry_2017.csv in this folder; download it from the site of the "
            "images and put it beside them"
        )
    rows = read_table(
        tables[-1], ["Image Index", "Finding Labels", "Patient ID", "View Position", "Patient Age"]
    )
    sex = "Patient Sex" if "Patient Sex" in rows[0].values else "Patient Gender"
    number_of: dict[str, int] = {}
    for number, row in enumerate(rows):
        row.required("Patient ID")
        row.required("Finding Labels")
        if number_of.setdefault(row.required("Image Index"), number) != number:
            raise row.error("Image Index", "names an image a second time; download it again")

    present = {file.name: file for file in find_images(path)}
    missing = len(number_of.keys() - present.keys())
    if missing == len(rows):
        raise MissingInputError(
            f"{path}: holds none of the {len(rows)} images of {tables[-1].name}; unpack them there"
        )
    if missing:
        logger.warning("%d of %d images of %s are not there", missing, len(rows), tables[-1])

    relative_boxes: list[list[tuple[float, ...]]] = [[] for _ in rows]
    box_labels: list[list[str]] = [[] for _ in rows]
    box_table = path / "BBox_List_2017.csv"
    if box_table.exists():
        for row in read_table(box_table, ["Image Index", "Finding Label", *_BOX_COLUMNS]):
            name = row.required("Image Index")
            if name not in number_of:
                raise row.error("Image Index", f"names {name!r}, which {tables[-1].name} lacks")
            relative_boxes[number_of[name]].append(row.relative_box(_BOX_COLUMNS, side=_SIDE))
            box_labels[number_of[name]].append(row.values["Finding Label"])

    return Dataset(
        name="NIH ChestX-ray",
        images=[present.get(name, path / "images" / name) for name in number_of],
        labels=[_label(row.values["Finding Labels"]) for row in rows],
        patients=[row.values["Patient ID"] for row in rows],
        views=[row.values["View Position"] for row in rows],
        splits=_splits(path, number_of),
        columns={
            "findings": [row.values["Finding Labels"] for row in rows],
            "age": [row.values["Patient Age"] for row in rows],
            "sex": [row.values.get(sex, "") for row in rows],
        },
        relative_boxes=relative_boxes,
        box_labels=box_labels,
    )


def _label(findings: str) -> str:
    names = findings.split("|")
    if names == ["No Finding"]:
        return "normal"
    return "pneumonia" if "Pneumonia" in names else "other"


def _splits(path: Path, number_of: dict[str, int]) -> list[str]:
    splits = [""] * len(number_of)
    for file, split in (("train_val_list.txt", "training"), ("test_list.txt", "test")):
        if (path / file).exists():
            for name in (path / file).read_text(encoding="utf-8").split():
                if name in number_of:
                    splits[number_of[name]] = split
    return splits
