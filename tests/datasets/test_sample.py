"""The eight images that come with lungpatch."""

import csv
import hashlib
from itertools import chain, islice
from pathlib import Path

import attrs
import numpy as np
import pytest
from PIL import Image

import lungpatch
from lungpatch.datasets import load_split, sample
from lungpatch.evaluation import evaluate

CXR = Path(__file__).resolve().parents[3] / "shared" / "data" / "cxr"
MAX_BYTES = 1_500_000
SHA256 = {
    "00000193_019": "8be1f9212c6b58f09d9fee838db78cd640e72c0a6aa8003a71bbf811cd544235",
    "00000211_013": "9d26b86aae9fb53a7504604b1de9cb67479fa2e793308450472a1294c3e7a60a",
    "00000218_000": "175ea752287f5f23c519486e25818c5c01b9e733a9e8368cddec31994d9f91ba",
    "00000915_005": "8c1f6654796f70373fc4530e3ba85b3554bb91fa9262a2a62b8819d35ebb3afe",
    "00001021_000": "2c9e649650866bc0b12521e379527cee559011ac3afbdaaab3fea2c56a525cd1",
    "00001455_000": "0b6182041ee7662695a681241fcaa7e4eea85679bc719e5282709e26e3e281b1",
    "00001706_001": "437bedaf11e3e20b92a29c63a3563adb1df293f6453f3b2d50f58099c990a6ea",
    "00002548_003": "61ea9f2bb96510c9deb996bf78f44b7ea4b6baa3d43e646a54e075b2046ae591",
}


@pytest.fixture(scope="module")
def images():
    return sample()


def test_the_images_are_those_that_were_chosen(images):
    digests = {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in images.images}
    assert digests == SHA256
    for file in images.images:
        with Image.open(file) as image:
            assert (image.size, image.mode) == ((512, 512), "L")


def test_they_are_small(images):
    folder = images.images[0].parent
    assert sum(file.stat().st_size for file in folder.iterdir()) <= MAX_BYTES


def test_half_are_normal_and_the_others_have_boxes(images):
    assert len(set(images.patients.tolist())) == len(images) == 8
    assert (images.columns["age"].astype(int) >= 18).all()
    normal = images.labels == "normal"
    assert normal.sum() == 4
    assert (images.columns["rsna_class"] == np.where(normal, "Normal", "Lung Opacity")).all()
    boxed = np.array([len(boxes) > 0 for boxes in images.relative_boxes])
    assert (boxed == ~normal).all()
    for group in (normal, ~normal):
        assert set(images.views[group].tolist()) == {"PA", "AP"}


def test_none_of_them_trained_or_calibrated_anything_shipped(images):
    """The shipped pipelines were made from the images of this split, of both of its parts."""
    split = load_split("cxr-half")
    used = split.patients("training") | split.patients("held")
    assert not used & set(images.patients.tolist())
    assert not split.patient_by_image.keys() & set(images.image_ids.tolist())


@pytest.mark.skipif(not CXR.is_dir(), reason="needs ../shared/data/cxr")
def test_they_were_chosen_by_the_rule_in_their_readme(images):
    def rows_of(name):
        with (CXR / name).open(newline="", encoding="utf-8") as handle:
            return list(csv.DictReader(handle))

    table = sorted(rows_of("metadata.csv"), key=lambda row: row["file"])
    trained = {row["patient"] for row in table if (CXR / "normal" / row["file"]).exists()}
    boxes = [row for row in rows_of("boxes.csv") if row["source"] == "rsna"]
    boxed = {row["file"] for row in boxes}
    findings = {row["file"] for row in rows_of("chestxdet_films.csv") if row["n_findings"] != "0"}
    groups = {("Lung Opacity", "PA"): [], ("Lung Opacity", "AP"): [], ("Normal", "AP"): [],
              ("Normal", "PA"): []}  # fmt: skip
    seen = set()
    for row in table:
        read, file = row["rsna_class"], row["file"]
        wanted = file in boxed if read == "Lung Opacity" else file not in findings
        if (
            (read, row["view"]) in groups
            and (CXR / "pneumonia" / file).exists()
            and int(row["age"]) >= 18
            and row["patient"] not in trained | seen
            and wanted
        ):
            seen.add(row["patient"])
            groups[read, row["view"]].append(file)
    assert len(groups["Normal", "AP"]) == 1
    first = {key: list(islice(files, 2)) for key, files in groups.items()}
    first["Normal", "PA"] = groups["Normal", "PA"][:3]
    assert sorted(chain.from_iterable(first.values())) == [file.name for file in images.images]
    with (images.images[0].parent / "boxes.csv").open(newline="", encoding="utf-8") as handle:
        mine = list(csv.DictReader(handle))
    names = {file.name for file in images.images}
    assert mine == [{key: row[key] for key in mine[0]} for row in boxes if row["file"] in names]


def test_whom_to_name_goes_along(images):
    assert "NIH Clinical Center" in repr(images)
    for part in ("NIH Clinical Center", "Wang et al., CVPR 2017", "RSNA 2018", "Shih et al., 2019"):
        assert part in images.select([0]).attribution
    readme = (images.images[0].parent / "README.md").read_text(encoding="utf-8")
    for part in ("NIH Clinical Center", "doi:10.1109/CVPR.2017.369", "doi:10.1148/ryai.2019180041"):
        assert part in readme
    assert "None of them trained or calibrated" in readme


def test_detect_and_evaluate_take_them(images, fitted):
    found = list(fitted.detect_many(images))
    assert all(isinstance(detection, lungpatch.Detection) for detection in found)
    result = evaluate({"mine": fitted}, images, None, segmenter=lungpatch.UNetSegmenter(), seed=0)
    assert result.kinds.counts()["opacity"] == 4
    assert len(result.cases) == 8


def test_whom_to_name_is_shown_only_where_it_is_known(images):
    assert repr(attrs.evolve(images, attribution="")).endswith("6 boxes on 4 images)")
