from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lungpatch import ChestImage
from lungpatch.datasets.dataset import Dataset
from lungpatch.datasets.labelled_folder import load_folder
from lungpatch.errors import ConfigurationError, InsufficientDataError, MissingInputError
from lungpatch.pipeline import Failure
from lungpatch.pipeline.configuration import build_pipeline


def of_patients(patients, labels=None):
    return Dataset(
        name="set",
        images=[Path(f"{i}.png") for i in range(len(patients))],
        patients=patients,
        labels=labels or ["normal"] * len(patients),
    )


def test_columns_are_read_only_text_and_unknown_is_empty():
    dataset = Dataset(name="set", images=[Path("a.png"), Path("1.2.840.5")], labels=["x", ""])
    assert dataset.image_ids.tolist() == ["a", "1.2.840.5"]
    assert (
        dataset.patients.tolist() == dataset.views.tolist() == dataset.splits.tolist() == ["", ""]
    )
    assert dataset.patient_by_image is None
    assert [boxes.shape for boxes in dataset.relative_boxes] == [(0, 4), (0, 4)]
    with pytest.raises(ValueError, match="read-only"):
        dataset.labels[0] = "y"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        dataset.labels = ["y", "y"]


def test_array_images_are_scaled_and_named():
    pixels = np.arange(28 * 28, dtype=np.uint16).reshape(28, 28).astype(np.uint8)
    dataset = Dataset(name="set", images=[pixels], image_ids=["first"], patients=["p"])
    (image,) = dataset
    assert isinstance(image, ChestImage)
    assert image.image_id == "first"
    np.testing.assert_array_equal(image.pixels, pixels.astype(np.float32) / 255)
    with pytest.raises(ConfigurationError, match="image_ids"):
        Dataset(name="set", images=[pixels])


def test_iteration_gives_paths_and_read_gives_images(cohort):
    dataset = load_folder(cohort / "normal")
    assert all(isinstance(item, Path) for item in dataset)
    assert dataset.read(0).image_id == dataset.image_ids[0]
    absent = Dataset(name="set", images=[Path("nowhere.png")])
    with pytest.raises(MissingInputError, match=r"nowhere\.png"):
        absent.read(0)


def test_lengths_must_agree():
    with pytest.raises(ConfigurationError, match="labels"):
        Dataset(name="set", images=[Path("a.png")], labels=["x", "y"])
    with pytest.raises(ConfigurationError, match="age"):
        Dataset(name="set", images=[Path("a.png")], columns={"age": []})


@pytest.mark.parametrize(
    "box", [(0.5, 0, 0.5, 1), (0, 0, 1.2, 1), (-0.1, 0, 1, 1), (0, np.nan, 1, 1), (0, 0, 1)]
)
def test_impossible_boxes_are_refused(box):
    with pytest.raises(ConfigurationError, match="a: "):
        Dataset(name="set", images=[Path("a.png")], relative_boxes=[[box]])


@given(
    box=st.tuples(*[st.floats(0, 1)] * 4).filter(lambda b: b[0] < b[2] and b[1] < b[3]),
    shape=st.tuples(st.integers(1, 400), st.integers(1, 400)),
)
def test_boxes_in_pixels_hold_pixels_of_the_image_nearest_to_the_box(box, shape):
    dataset = Dataset(name="set", images=[Path("a.png")], relative_boxes=[[box]])
    ((row0, col0, row1, col1),) = dataset.boxes(0, shape)
    assert 0 <= row0 < row1 <= shape[0]
    assert 0 <= col0 < col1 <= shape[1]
    exact = np.array(box) * np.array([*shape, *shape])
    assert np.abs(np.array([row0, col0, row1, col1]) - exact).max() <= 1.0


def test_boxes_on_whole_pixels_are_exact():
    box = (256 / 1024, 512 / 1024, 320 / 1024, 640 / 1024)
    dataset = Dataset(name="set", images=[Path("a.png")], relative_boxes=[[box]])
    assert dataset.boxes(0, (1024, 1024)).tolist() == [[256, 512, 320, 640]]
    assert dataset.boxes(0, (256, 512)).tolist() == [[64, 256, 80, 320]]


def test_a_box_thinner_than_a_pixel_is_the_pixel_that_holds_it():
    thin = [(0.318, 0.5, 0.320, 0.6), (np.nextafter(1.0, 0.0), 0.0, 1.0, 1.0)]
    dataset = Dataset(name="set", images=[Path("a.png")], relative_boxes=[thin])
    assert dataset.boxes(0, (77, 10)).tolist() == [[24, 5, 25, 6], [76, 0, 77, 10]]


def test_select_takes_masks_and_indices_with_every_column():
    dataset = Dataset(
        name="set",
        images=[Path(f"{n}.png") for n in "abc"],
        labels=["x", "y", "x"],
        columns={"age": ["1", "2", "3"]},
        relative_boxes=[[], [(0, 0, 1, 1)], []],
        box_labels=[[], ["B"], []],
    )
    assert dataset.select(dataset.labels == "x").image_ids.tolist() == ["a", "c"]
    turned = dataset.select([2, 1])
    assert turned.image_ids.tolist() == ["c", "b"]
    assert turned.columns["age"].tolist() == ["3", "2"]
    assert turned.box_labels == ((), ("B",))
    assert turned.boxes(1, (4, 4)).tolist() == [[0, 0, 4, 4]]
    assert len(dataset.select(dataset.labels == "z")) == len(dataset.select([])) == 0


@pytest.mark.parametrize("which", [[True], ["a"], [[0]], [7], [0.5], 1])
def test_select_refuses_anything_else(which):
    with pytest.raises(ConfigurationError, match="select"):
        of_patients(["1", "2"]).select(which)


@given(
    patients=st.lists(st.integers(0, 30).map(str), min_size=30, max_size=80),
    seed=st.integers(0, 2**32),
)
def test_split_keeps_patients_together_and_images_complete(patients, seed):
    dataset = of_patients(patients)
    n_patients = len(set(patients))
    fractions = {"training": 0.5, "validation": 0.25, "test": 0.25}
    assume(n_patients >= 6)
    parts = dataset.split_by_patient(fractions, seed=seed)
    owners = [set(part.patients.tolist()) for part in parts.values()]
    assert sum(map(len, owners)) == len(set().union(*owners)) == n_patients
    assert sorted(i for part in parts.values() for i in part.image_ids) == sorted(dataset.image_ids)
    for own, fraction in zip(owners, fractions.values(), strict=True):
        assert abs(len(own) - fraction * n_patients) < 1.5


def test_split_is_stratified_seeded_and_independent_of_order():
    patients = [str(i) for i in range(200)]
    labels = ["normal"] * 150 + ["pneumonia"] * 50
    dataset = of_patients(patients, labels)
    fractions = {"training": 0.8, "test": 0.2}
    parts = dataset.split_by_patient(fractions, seed=1)
    assert (parts["test"].labels == "pneumonia").sum() == 10
    assert (parts["test"].labels == "normal").sum() == 30

    def members(dataset, seed):
        return set(dataset.split_by_patient(fractions, seed=seed)["test"].patients.tolist())

    assert members(dataset, 1) == members(dataset.select(np.arange(200)[::-1]), 1)
    assert members(dataset, 1) != members(dataset, 2)


def test_split_refuses_unknown_patients_and_odd_fractions():
    dataset = of_patients(["1", "", "3"])
    with pytest.raises(ConfigurationError, match="1 of 3 images are not known, 1 first"):
        dataset.split_by_patient({"a": 0.5, "b": 0.5}, seed=0)
    with pytest.raises(ConfigurationError, match="not known"):
        _ = dataset.patient_by_image
    for fractions in ({}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": 1.0, "b": 0.0}):
        with pytest.raises(ConfigurationError, match="fractions"):
            of_patients(["1", "2"]).split_by_patient(fractions, seed=0)
    with pytest.raises(InsufficientDataError, match="too few"):
        of_patients(["1", "1"]).split_by_patient({"a": 0.5, "b": 0.5}, seed=0)


def test_two_images_of_one_name_need_one_patient():
    dataset = Dataset(name="set", images=[Path("x/1.png"), Path("y/1.png")], patients=["p", "q"])
    with pytest.raises(ConfigurationError, match="two images named 1"):
        _ = dataset.patient_by_image


def test_representation_counts():
    dataset = Dataset(
        name="set",
        images=[Path(f"{n}.png") for n in "abc"],
        labels=["x", "y", "x"],
        views=["AP", "", "PA"],
        patients=["1", "1", "2"],
        relative_boxes=[[(0, 0, 1, 1), (0, 0, 0.5, 1)], [], []],
    )
    assert repr(dataset) == (
        "Dataset('set', 3 images of 2 patients; labels: x 2, y 1; views: unknown 1, AP 1, PA 1; "
        "2 boxes on 1 image)"
    )
    assert repr(dataset.select([])) == "Dataset('set', 0 images, patients unknown)"


def test_a_pipeline_takes_a_dataset_and_a_broken_file_does_not_affect_the_others(
    cohort, fast_tables, tmp_path
):
    normal = load_folder(cohort / "normal")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    dataset = Dataset(
        name="set",
        images=[*normal.images, broken, tmp_path / "missing.png"],
        patients=[*normal.image_ids, "b", "m"],
    )
    pipeline = build_pipeline(fast_tables, origin="test")
    pipeline.fit(dataset, patients=dataset.patient_by_image)
    assert sum(pipeline.report_.images.values()) == len(normal)
    assert len(pipeline.report_.unused) == 2
    results = list(pipeline.detect_many(dataset.select(np.arange(len(dataset) - 3, len(dataset)))))
    assert [isinstance(result, Failure) for result in results] == [False, True, True]
