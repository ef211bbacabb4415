from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungpatch.datasets.dataset import Dataset
from lungpatch.datasets.splits import Split
from lungpatch.errors import ConfigurationError, InvalidImageError
from lungpatch.evaluation.cases import (
    GRID_SIZE,
    boxes_mask,
    distinct_boxes,
    intersection,
    kinds_of,
    leave_out_training,
    read_cases,
    to_evaluation_grid,
)
from lungpatch.segmenters.whole_image import WholeImageSegmenter


def _images(**columns):
    return Dataset(name="images", images=[Path(f"{i}.png") for i in range(4)], **columns)


def test_kinds_by_folder_and_reading():
    images = _images(
        labels=["normal", "pneumonia", "pneumonia", "pneumonia"],
        # An image of the normal folder stays one, whatever readers said.
        columns={"rsna_class": ["Lung Opacity", "Lung Opacity", "Normal", "No Lung Opacity"]},
    )
    assert kinds_of(images).tolist() == ["normal", "opacity", "read-normal", "other"]


def test_kinds_need_the_readings():
    with pytest.raises(ConfigurationError, match="no column 'rsna_class'"):
        kinds_of(_images())


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


def test_boxes_of_two_readers_are_one_lesion():
    first, second, elsewhere = (0, 0, 20, 20), (1, 1, 19, 21), (15, 15, 30, 30)
    boxes = distinct_boxes(np.array([first, second, elsewhere]))
    assert boxes.tolist() == [list(first), list(elsewhere)]
    assert distinct_boxes(np.empty((0, 4), np.int64)).shape == (0, 4)


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
    (case,) = read_cases(images, WholeImageSegmenter())
    assert case.pixels.shape == case.lungs.shape == (GRID_SIZE, GRID_SIZE)
    assert case.boxes.tolist() == [[64, 128, 128, 256]]
    assert case.relative_area == pytest.approx(1 / 8)
    assert case.localised
    assert (case.patient, case.kind) == ("7", "opacity")


def test_an_image_that_cannot_be_read_stops_the_evaluation(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    images = Dataset(name="one", images=[tmp_path / "a.png"], columns={"rsna_class": [""]})
    with pytest.raises(InvalidImageError, match=r"a\.png"):
        read_cases(images, WholeImageSegmenter())
