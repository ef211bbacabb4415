"""What the stages of a reproduction share."""

import attrs
import numpy as np
import pytest

from lungpatch.errors import ConfigurationError
from lungpatch.reference import PatchTable, ReproductionSettings, Study, phantom_dataset
from lungpatch.reference.images import PreparedImages, prepare_images
from lungpatch.reference.patch_table import LUNG_SAMPLER, NORMAL, OPACITY, OUTSIDE, UNREAD
from lungpatch.segmenters import WholeImageSegmenter

ROLES = ["training", "validation", "test", "held", "", "pneumonia", "pneumonia", "pneumonia"]


def _prepared(dataset, size=64):
    kept = prepare_images(
        dataset,
        size=size,
        segmenter=WholeImageSegmenter(),
        sampler=LUNG_SAMPLER,
        progress=lambda *_: None,
    )
    return PreparedImages(dataset=dataset, size=size, **kept.arrays), kept.values


@pytest.fixture(scope="module")
def dataset():
    return phantom_dataset(5, 3, seed=0, size=64)


def _study(dataset, *, progress=lambda *_: None, n_evaluated=2):
    return Study(
        images=_prepared(dataset)[0],
        roles=np.array(ROLES),
        settings=ReproductionSettings(n_evaluated=n_evaluated),
        segmenter=WholeImageSegmenter(),
        progress=progress,
    )


def _without_boxes(dataset):
    count = len(dataset)
    return attrs.evolve(dataset, relative_boxes=[()] * count, box_labels=[()] * count)


def test_images_by_what_they_are_for(dataset):
    study = _study(dataset)
    assert study.images_for("training", "held") == [0, 3]
    assert study.normal_images == [2, 3]
    assert study.pneumonia_images == [5, 6, 7]


def test_images_with_boxes_are_evaluated_where_there_are_some(dataset):
    boxes = list(dataset.relative_boxes)
    labels = list(dataset.box_labels)
    boxes[5], labels[5] = (), ()
    study = _study(attrs.evolve(dataset, relative_boxes=boxes, box_labels=labels))
    assert study.has_boxes
    assert study.evaluated_images == [6, 7]
    assert study.kinds == (NORMAL, OPACITY, OUTSIDE)


def test_without_boxes_half_of_the_evaluated_images_are_normal(dataset):
    study = _study(_without_boxes(dataset), n_evaluated=4)
    assert not study.has_boxes
    assert study.evaluated_images == [2, 3, 5, 6]
    assert study.kinds == (NORMAL, UNREAD, OUTSIDE)


def test_patches_of_pneumonia_images(dataset):
    table = PatchTable(
        image=[2, 5, 7],
        corners=np.zeros((3, 2)),
        kinds=[NORMAL] * 3,
        lung_fraction=np.ones(3),
        grey=np.zeros(3),
        scores=np.zeros(3),
    )
    assert _study(dataset).of_pneumonia(table).tolist() == [False, True, True]


def test_normal_patches_are_the_same_every_time(dataset):
    study = _study(dataset)
    found = []
    for _ in range(2):
        with study.normal_patches() as stores:
            found.append({role: next(store.batches(99)).pixels for role, store in stores.items()})
    for one, other in zip(*(each.values() for each in found), strict=True):
        np.testing.assert_array_equal(one, other)
    # 64 pixels hold windows of 32 at 0, 20 and, flush with the border, 32, in both directions.
    assert {role: len(pixels) for role, pixels in found[0].items()} == {
        "training": 9,
        "validation": 9,
        "test": 9,
    }


def test_random_numbers_depend_on_seed_and_stream_only(dataset):
    study = _study(dataset)
    draws = [study.rng(stream).integers(2**62) for stream in ("a", "b", "a")]
    assert draws[0] == draws[2] != draws[1]


def test_epochs_are_reported_as_progress(dataset):
    reported = []
    study = _study(dataset, progress=lambda *arguments: reported.append(arguments))
    reported.clear()
    study.on_epoch("model")(2, 5, {"train_loss": 0.5})
    assert reported == [("model", 2, 5, {"train_loss": 0.5})]


def test_an_unreadable_image_does_not_affect_the_others(tmp_path, dataset):
    broken = attrs.evolve(dataset, images=[tmp_path / "missing.png", *dataset.images[1:]])
    whole, _ = _prepared(dataset)
    images, values = _prepared(broken)
    assert values["status"] == {"ok": 7, "unreadable": 1}
    assert len(values["unreadable"]) == 1
    assert "missing.png" in values["unreadable"][0]
    assert values["median_side"] == images.median_side == 64
    assert images.usable.tolist() == [False] + [True] * 7
    assert (images.native_side[0], images.n_patches[0]) == (0, 0)
    assert np.isnan(images.lung_grey[0])
    np.testing.assert_array_equal(images.lung_grey[1:], whole.lung_grey[1:])
    assert not images.lungs(0).any()
    assert images.lungs(1).all()


@pytest.mark.parametrize(("setting", "value"), [("seed", -1), ("n_evaluated", 0), ("seed", 1.5)])
def test_settings_are_checked_in_one_line(setting, value):
    with pytest.raises(ConfigurationError, match=f"ReproductionSettings: '{setting}'") as caught:
        ReproductionSettings(**{setting: value})
    assert "\n" not in str(caught.value)
