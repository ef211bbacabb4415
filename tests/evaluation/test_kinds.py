"""What is taken as normal and as positive, by readings, labels or boxes."""

from pathlib import Path

import numpy as np
import pytest

from lungpatch.datasets.dataset import Dataset
from lungpatch.evaluation.kinds import ALL_POSITIVE, N_SHOWN, Kinds
from lungpatch.evaluation.sections import (
    BOXES,
    COMPARED,
    FOLDER_TEST,
    POOLED,
    WITHIN,
    describe_left_out,
    measurable,
    reasons_left_out,
)


def _images(number=4, **columns):
    return Dataset(name="images", images=[Path(f"{i}.png") for i in range(number)], **columns)


BOX = [(0.1, 0.1, 0.5, 0.5)]


def test_kinds_by_folder_and_reading():
    images = _images(
        labels=["normal", "pneumonia", "pneumonia", "pneumonia"],
        # An image of the normal folder stays one, whatever readers said.
        columns={"rsna_class": ["Lung Opacity", "Lung Opacity", "Normal", "No Lung Opacity"]},
    )
    kinds = Kinds.of(images)
    assert kinds.known_by == "readings"
    assert kinds.names.tolist() == ["normal", "opacity", "read-normal", "other"]
    assert [kinds.role_of(i) for i in range(4)] == ["normal", "positive", "reference", "neither"]
    assert kinds.counts() == {"opacity": 1, "read-normal": 1, "normal": 1, "other": 1}
    assert "1 image with the label normal" in kinds.describe()


@pytest.mark.parametrize("spelling", ["normal", "Normal", "NORMAL"])
@pytest.mark.parametrize("columns", [{}, {"rsna_class": [""] * 4}])
def test_without_readings_every_other_label_is_positive(spelling, columns):
    labels = [spelling, "effusion", "", "effusion"]
    kinds = Kinds.of(_images(labels=labels, columns=columns))
    assert kinds.known_by == "labels"
    assert kinds.names.tolist() == ["normal", "effusion", "no label", "effusion"]
    assert dict(kinds.roles) == {
        "effusion": "positive",
        "normal": "reference",
        "no label": "neither",
    }
    words = kinds.describe()
    assert "1 image with the label normal" in words
    assert "all other labels (effusion 2)" in words
    assert "1 image without a label" in words


def test_a_label_named_like_a_reading_is_a_label():
    kinds = Kinds.of(_images(labels=["other", "read-normal", "opacity", "normal"]))
    assert [kinds.role_of(i) for i in range(4)] == ["positive"] * 3 + ["reference"]


def test_with_boxes_alone_no_image_is_normal():
    kinds = Kinds.of(_images(relative_boxes=[BOX, (), (), BOX]))
    assert kinds.known_by == "boxes"
    assert kinds.names.tolist() == ["boxed", "no box", "no box", "boxed"]
    assert not kinds.has("reference", "normal")
    assert "2 images with a box" in kinds.describe()
    assert "not taken as normal" in kinds.describe()


@pytest.mark.parametrize(
    ("columns", "positive", "reference"),
    [
        ({"columns": {"rsna_class": ["Normal"] * 4}}, "read as opacity", "read as normal"),
        ({"labels": ["scar"] * 4}, "of any other label", "labelled normal"),
        ({"relative_boxes": [BOX] * 4}, "with a box", "no images"),
    ],
)
def test_what_is_compared_has_words(columns, positive, reference):
    kinds = Kinds.of(_images(**columns))
    assert positive in kinds.positive_words
    assert reference in kinds.reference_words


def test_several_positive_kinds_are_also_one_group():
    kinds = Kinds.of(_images(labels=["a", "normal", "b", "b"]))
    groups = kinds.groups()
    assert list(groups) == [ALL_POSITIVE, "b", "a", "normal"]  # the most frequent first
    assert groups[ALL_POSITIVE].tolist() == [True, False, True, True]
    alone = kinds.select(np.array([False, True, True, True])).groups()
    assert list(alone) == ["b", "normal"]


def test_many_labels_are_not_all_listed():
    labels = [f"label {number:02d}" for number in range(N_SHOWN + 3)]
    words = Kinds.of(_images(len(labels), labels=labels)).describe()
    assert "label 00 1" in words
    assert f"label {N_SHOWN:02d}" not in words
    assert "3 more" in words


def test_what_can_be_measured_depends_on_the_images(make_case):
    everything = set(COMPARED + FOLDER_TEST + WITHIN + POOLED + BOXES)
    opacity = make_case(0, boxes=[(0, 0, 30, 30)])
    read_normal, normal = make_case(1, kind="read-normal"), make_case(2, kind="normal")
    assert measurable([opacity, read_normal, normal]) == everything
    assert measurable([opacity, read_normal]) == everything - set(FOLDER_TEST)
    assert measurable([opacity, normal]) == set(WITHIN + POOLED + BOXES)
    assert measurable([make_case(0), read_normal, normal]) == set(COMPARED + FOLDER_TEST)
    # A box that holds all of the lungs.
    whole = make_case(0, boxes=[(0, 0, 256, 256)])
    assert measurable([whole]) == set(BOXES)


def test_what_cannot_be_measured_has_a_reason(make_case):
    opacity = make_case(0, boxes=[(0, 0, 256, 256)])
    read = Kinds.of(_images(1, columns={"rsna_class": ["Lung Opacity"]}))
    reasons = reasons_left_out([opacity], read)
    assert reasons["image AUROC"] == "there are no images read as normal"
    assert "and images labelled normal" in reasons["folder test"]
    assert "lung both in and outside" in reasons["pixel AUROC"]
    assert "best box IoU" not in reasons
    labelled = Kinds.of(_images(1, labels=["effusion"]))
    assert reasons_left_out([make_case(0)], labelled)["image AP"] == (
        "there are no images labelled normal"
    )
    assert "rsna_class" in reasons_left_out([make_case(0)], labelled)["folder test"]
    normal = make_case(0, kind="read-normal")
    reasons = reasons_left_out([normal], Kinds.of(_images(1, labels=["normal"])))
    assert reasons["image AUROC"] == "there are no images of any other label"
    assert reasons["AUPRO"] == reasons["sensitivity at 1"] == "no image has a box"
    boxed = Kinds.of(_images(1, relative_boxes=[BOX]))
    assert "no label is known" in reasons_left_out([opacity], boxed)["image AUROC"]


def test_metrics_of_one_reason_are_said_together():
    reasons = {"image AUROC": "no label", "folder test": "one source", "image AP": "no label"}
    assert describe_left_out(reasons) == [
        "Not computed, since no label: image AUROC, image AP.",
        "Not computed, since one source: folder test.",
    ]
    (said,) = describe_left_out(dict.fromkeys((*WITHIN, *BOXES[1:]), "no box"))
    listed = ", ".join(BOXES[1:])
    assert said == (
        f"Not computed, since no box: all of 'Localisation within each image', {listed}."
    )
