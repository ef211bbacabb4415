import json

import numpy as np
import pytest

from lungpatch.containers import ChestImage, LungMask
from lungpatch.reports.segmentation import SegmentationSheets, draw_lungs, segmentation_record


@pytest.fixture
def image():
    return ChestImage(pixels=np.full((100, 200), 0.5, np.float32), image_id="a")


@pytest.fixture
def lungs():
    pixels = np.zeros((100, 200), bool)
    pixels[20:80, 20:60] = pixels[20:80, 120:180] = True
    return LungMask(pixels=pixels)


def test_a_record_has_the_shares_by_side(image, lungs):
    record = segmentation_record(lungs, source="a.png", seconds=0.5, reading=("as it is",))
    assert record == json.loads(json.dumps(record))
    assert record["reading"] == ["as it is"]
    assert record["right_fraction"] == 60 * 40 / 20000
    assert record["left_fraction"] == 60 * 60 / 20000
    assert record["fraction"] == pytest.approx(60 * 100 / 20000)
    assert (record["status"], record["reason"], record["seconds"]) == ("ok", None, 0.5)


def test_no_lungs_is_a_status_and_so_is_doubt(image, lungs):
    empty = LungMask(pixels=np.zeros((100, 200), bool), implausible="nothing there")
    assert segmentation_record(empty, source="a", seconds=0)["status"] == "no_lungs"
    doubtful = LungMask(pixels=lungs.pixels, implausible="one lung only")
    record = segmentation_record(doubtful, source="a", seconds=0)
    assert (record["status"], record["reason"]) == ("implausible_lungs", "one lung only")


def test_outlines_are_drawn_in_a_colour_a_side(image, lungs):
    rendering = draw_lungs(image, lungs)
    assert rendering.shape == (128, 256, 3)
    red, blue = (rendering[..., c].astype(int) for c in (0, 2))
    warm, cold = red > blue, blue > red
    assert warm[:, :100].any()
    assert not warm[:, 100:].any()
    assert cold[:, 100:].any()
    assert not cold[:, :100].any()


def test_sheets_are_written_as_they_fill_up(image, lungs, tmp_path):
    rendering = draw_lungs(image, lungs)
    with SegmentationSheets(tmp_path) as sheets:
        for number in range(49):
            sheets.add(rendering, str(number))
            assert len(sheets.paths) == (number >= 47)
    names = [path.name for path in sheets.paths]
    assert names == ["segmentations-001.png", "segmentations-002.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert "2 written" in repr(sheets)
