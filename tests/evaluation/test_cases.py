from pathlib import Path

import attrs
import numpy as np
import pytest
from PIL import Image

from lungpatch.datasets.dataset import Dataset
from lungpatch.datasets.splits import Split
from lungpatch.errors import ConfigurationError, InvalidImageError
from lungpatch.evaluation.cases import (
    GRID_SIZE,
    boxes_mask,
    check_patients,
    distinct_boxes,
    intersection,
    leave_out_training,
    listed_in,
    read_cases,
    to_evaluation_grid,
)
from lungpatch.segmenters.whole_image import WholeImageSegmenter


def _images(**columns):
    return Dataset(name="images", images=[Path(f"{i}.png") for i in range(4)], **columns)


def test_no_image_of_a_training_patient_is_evaluated():
    images = _images(
        labels=["normal", "normal", "pneumonia", "pneumonia"],
        patients=["1", "2", "1", "3"],
        columns={"rsna_class": ["", "", "Lung Opacity", "Normal"]},
    )
    split = Split(name="s", training={"0.png": "1"}, held={"1.png": "2"}, pixels_sha256="")
    kept, left_out = leave_out_training(images, split)
    assert kept.image_ids.tolist() == ["1", "3"]
    assert left_out == {"normal": 1, "opacity": 1}


def _four(patients, **changes):
    columns = {"rsna_class": ["", "", "Lung Opacity", "Normal"]}
    labels = ["normal", "normal", "pneumonia", "pneumonia"]
    return attrs.evolve(_images(labels=labels, patients=patients, columns=columns), **changes)


@pytest.mark.parametrize("spelling", ["{:08d}", "{}.0", " {}", "{}"])
@pytest.mark.parametrize("listed", ["{:08d}", "{}"])
def test_training_images_are_left_out_however_patients_are_written(spelling, listed):
    dataset = _four([spelling.format(number) for number in (1280, 2, 1280, 3)])
    training = {"0.png": listed.format(1280)}
    split = Split(name="s", training=training, held={"1.png": listed.format(2)}, pixels_sha256="")
    kept, left_out = leave_out_training(dataset, split)
    assert kept.image_ids.tolist() == ["1", "3"]
    assert left_out == {"normal": 1, "opacity": 1}


def test_training_images_are_left_out_by_patient_under_other_names():
    dataset = _four(["1", "2", "1", "3"], images=[Path(f"renamed-{i}.png") for i in range(4)])
    split = Split(name="s", training={"0.png": "1"}, held={}, pixels_sha256="")
    assert leave_out_training(dataset, split)[0].patients.tolist() == ["2", "3"]


def test_training_images_are_known_by_name_in_any_folder_and_format():
    paths = [Path("x/0.dcm"), Path("1.png"), Path("2.png"), Path("y/0.tiff")]
    dataset = _four(["7", "2", "3", "7"], images=paths, image_ids=["own", "1", "2", "other"])
    assert listed_in(dataset, ["0.png", "9.png"]).tolist() == [True, False, False, True]
    in_memory = _four(["7", "2", "3", "4"], images=[np.zeros((64, 64), np.uint8)] * 4)
    assert listed_in(in_memory, ["2.png"]).tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("training", "held"), [({"0.png": "1", "2.png": "8"}, {}), ({"0.png": "1"}, {"3.png": "3"})]
)
def test_files_of_the_split_under_other_patients_are_refused(training, held):
    dataset = _four(["1", "2", "5", "6"])
    split = Split(name="half", training=training, held=held, pixels_sha256="")
    name, patient = (training | held).popitem()
    found = dataset.patients[int(name[0])]
    message = (
        rf"images: 1 image of the split half is listed for another patient.*, {name[0]} first: "
        rf"{found} in the table of metadata, {patient} in the split"
    )
    with pytest.raises(ConfigurationError, match=message):
        leave_out_training(dataset, split)


def test_all_files_under_other_patients_are_counted():
    split = Split(name="half", training={"0.png": "9", "1.png": "8"}, held={}, pixels_sha256="")
    with pytest.raises(
        ConfigurationError, match="2 images of the split half are listed.* there, 0 first"
    ):
        check_patients(_four(["1", "2", "3", "4"]), split)


def test_an_evaluation_needs_every_patient():
    split = Split(name="half", training={"0.png": "1"}, held={}, pixels_sha256="")
    with pytest.raises(ConfigurationError, match="no patient is known.*column 'patient'"):
        leave_out_training(_four([""] * 4), split)
    with pytest.raises(
        ConfigurationError, match="patients of 1 of 4 images are not known, 2 first"
    ):
        leave_out_training(_four(["1", "2", "", "4"]), split)


def test_boxes_of_two_readers_are_one_lesion():
    first, second, elsewhere = (0, 0, 20, 20), (1, 1, 19, 21), (15, 15, 30, 30)
    boxes = distinct_boxes(np.array([first, second, elsewhere]))
    assert boxes.tolist() == [list(first), list(elsewhere)]
    assert distinct_boxes(np.empty((0, 4), np.int64)).shape == (0, 4)


def test_a_box_is_another_lesion_if_half_of_it_lies_outside():
    large, half, more = (0, 0, 20, 20), (10, 0, 30, 10), (9, 10, 29, 20)
    assert distinct_boxes(np.array([half, large])).tolist() == [list(large), list(half)]
    assert distinct_boxes(np.array([more, large])).tolist() == [list(large)]


def test_the_larger_box_is_the_one_of_more_pixels():
    wide, square = (0, 0, 10, 100), (50, 0, 90, 40)
    assert distinct_boxes(np.array([wide, square])).tolist() == [list(square), list(wide)]
    tall, square = (0, 0, 100, 10), (0, 50, 40, 90)
    assert distinct_boxes(np.array([tall, square])).tolist() == [list(square), list(tall)]


def test_overlap_and_mask_agree():
    one, other = np.array([2, 3, 9, 8]), np.array([5, 1, 20, 6])
    both = boxes_mask(one[None], (24, 24)) & boxes_mask(other[None], (24, 24))
    assert intersection(one, other) == both.sum() == 4 * 3


@pytest.mark.parametrize("side", [64, 256, 512])
def test_maps_of_any_size_come_to_one_grid(side):
    heatmap = np.zeros((side, side), dtype=np.float32)
    heatmap[: side // 2] = np.nan
    on_grid = to_evaluation_grid(heatmap)
    assert on_grid.shape == (GRID_SIZE, GRID_SIZE)
    assert np.isnan(on_grid[: GRID_SIZE // 2]).all()
    assert (on_grid[GRID_SIZE // 2 :] == 0).all()


def test_cases_are_read_on_one_grid(tmp_path):
    Image.fromarray(np.tile(np.arange(128, dtype=np.uint8), (64, 1))).save(tmp_path / "a.png")
    images = Dataset(
        name="one",
        images=[tmp_path / "a.png"],
        labels=["pneumonia"],
        patients=["7"],
        columns={"rsna_class": ["Lung Opacity"]},
        relative_boxes=[[(0.25, 0.5, 0.5, 1.0)]],
    )
    steps = []
    (case,) = read_cases(images, WholeImageSegmenter(), progress=lambda *step: steps.append(step))
    assert steps == [("truth", 1, 1, {})]
    assert case.pixels.shape == case.lungs.shape == (GRID_SIZE, GRID_SIZE)
    assert case.boxes.tolist() == [[64, 128, 128, 256]]
    assert case.relative_area == pytest.approx(1 / 8)
    assert case.localised
    assert (case.patient, case.kind) == ("7", "opacity")


def test_localisation_needs_lung_in_a_box_and_lung_outside(make_case):
    lungs = np.zeros((GRID_SIZE, GRID_SIZE), dtype=bool)
    lungs[10:20, 10:20] = True
    assert make_case(boxes=[(0, 0, 15, 15)], lungs=lungs).localised
    assert not make_case(boxes=[(0, 0, 30, 30)], lungs=lungs).localised
    assert not make_case(boxes=[(30, 30, 40, 40)], lungs=lungs).localised
    assert not make_case(lungs=lungs).localised


def test_an_image_that_cannot_be_read_stops_the_evaluation(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    images = Dataset(name="one", images=[tmp_path / "a.png"], columns={"rsna_class": [""]})
    with pytest.raises(InvalidImageError, match=r"a\.png"):
        read_cases(images, WholeImageSegmenter())
