import json
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from lungpatch.containers import (
    AnomalyMap,
    ChestImage,
    LungMask,
    PatchBatch,
    PatchScores,
    Reconstruction,
)
from lungpatch.containers.lung_coordinates import lung_zone
from lungpatch.pipeline import Detection
from lungpatch.pipeline.localisation import MIN_REGION_FRACTION, localise
from lungpatch.pipeline.regions import Location, Region, find_regions

FRAME = 96
THRESHOLD = 2.0
NAMED = 0.2


def detection_of(heatmap, lungs, *, native_shape=None, threshold=THRESHOLD) -> Detection:
    """What a pipeline would return for this map on the model grid; no patch is kept."""
    anomaly_map = AnomalyMap(heatmap=np.asarray(heatmap, np.float32))
    native_shape = native_shape or lungs.shape
    none = np.zeros((0, 8, 8), np.float32)
    return Detection(
        image=ChestImage(pixels=np.zeros(native_shape, np.float32), image_id="image"),
        resized=ChestImage(pixels=np.zeros(lungs.shape, np.float32), image_id="image"),
        lungs=LungMask(pixels=lungs),
        patches=PatchBatch(
            pixels=none,
            corners=np.zeros((0, 2), np.int64),
            lung=none > 0,
            image_shape=lungs.shape,
            image_id="image",
        ),
        reconstruction=Reconstruction(target=none[:, None], expected=none[:, None]),
        scores=PatchScores(values=np.zeros(0), support=none > 0),
        anomaly_map=anomaly_map,
        decision=None,
        localisation=localise(anomaly_map, threshold),
        status="ok" if lungs.any() else "no_lungs",
        seconds=0.0,
    )


def two_lungs(*, right=True, left=True) -> np.ndarray:
    """Rectangles of 60 rows: the right lung of 24 columns, the left one of 20."""
    lungs = np.zeros((FRAME, FRAME), bool)
    lungs[15:75, 20:44] = right
    lungs[15:75, 52:72] = left
    return lungs


def mapped(lungs, *spots) -> np.ndarray:
    """Scores of 1 in the lungs and 3 in the spots (row0, row1, col0, col1)."""
    heatmap = np.where(lungs, 1.0, np.nan)
    for row0, row1, col0, col1 in spots:
        heatmap[row0:row1, col0:col1] = 3.0
    return heatmap


def drawn_lungs() -> np.ndarray:
    """Two lungs with curved borders, of different size."""
    rows, columns = np.indices((FRAME, FRAME))
    right = ((rows - 45) / 30) ** 2 + ((columns - 30) / 13) ** 2 < 1
    left = ((rows - 43) / 27) ** 2 + ((columns - 66) / 11) ** 2 < 1
    return right | left


def random_map(seed, lungs) -> np.ndarray:
    """A smooth random map, scored in most of the lungs; some of it above the threshold."""
    rng = np.random.default_rng(seed)
    heatmap = ndimage.gaussian_filter(rng.normal(size=lungs.shape), rng.uniform(1.0, 5.0))
    heatmap = 1.0 + heatmap / heatmap[lungs].std()
    return np.where(lungs & (rng.random(lungs.shape) > 0.02), heatmap, np.nan).astype(np.float32)


seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=30, deadline=None)


# ------------------------------------------------------------------------- worked by hand


@pytest.mark.parametrize(
    ("spots", "text"),
    [
        # 12 x 12 of 60 x 24 pixels; columns 20 to 31 are the half away from the heart.
        (
            [(60, 72, 20, 32)],
            "right lower zone, lateral, 10 % of the right lung, peak 3 (threshold 2)",
        ),
        (
            [(20, 25, 52, 62)],
            "left upper zone, medial, 4 % of the left lung, peak 3 (threshold 2)",
        ),
        # Rows 45 to 54 are in the middle zone, 55 to 64 in the lower one.
        (
            [(45, 65, 52, 72)],
            "left middle and lower zones, medial to lateral, 33 % of the left lung, "
            "peak 3 (threshold 2)",
        ),
        (
            [(15, 75, 20, 44)],
            "right upper to lower zones, medial to lateral, 100 % of the right lung, "
            "peak 3 (threshold 2)",
        ),
        ([(40, 45, 70, 72)], "left middle zone, lateral, under 1 % of the left lung, "
         "peak 3 (threshold 2)"),
        (
            [(36, 54, 38, 60)],
            "both lungs, middle zone, medial, 8 % of the right lung and 12 % of the left lung, "
            "peak 3 (threshold 2)",
        ),
        ([(80, 90, 40, 60)], "outside the lungs, peak 3 (threshold 2)"),
    ],
)  # fmt: skip
def test_words_of_regions_worked_by_hand(spots, text):
    lungs = two_lungs()
    summary = detection_of(mapped(lungs, *spots), lungs).regions
    assert [region.text for region in summary.regions] == [text]
    assert str(summary) == text


def test_numbers_of_a_region_worked_by_hand():
    lungs = two_lungs()
    heatmap = mapped(lungs, (50, 65, 20, 36))
    heatmap[60, 30] = 5.0
    region = detection_of(heatmap, lungs, native_shape=(2 * FRAME, 4 * FRAME)).regions.regions[0]
    assert region.lung_fractions == {"right": 15 * 16 / (60 * 24), "left": 0.0}
    assert region.zone_fractions == pytest.approx({"upper": 0, "middle": 1 / 3, "lower": 2 / 3})
    assert region.lateral_fraction == pytest.approx(12 / 16)
    assert region.mean_score == pytest.approx((239 * 3.0 + 5.0) / 240)
    # The native pixels of model pixel (60, 30) are rows 120 and 121, columns 120 to 123.
    assert (region.peak.row, region.peak.column) == (121, 122)
    assert region.peak.side == "right"
    assert region.peak.u == pytest.approx((60.5 - 15) / 60, abs=1e-4)
    assert region.peak.v == pytest.approx(1 - (30.5 - 20) / 24, abs=1e-4)


def test_a_peak_that_is_flat_lies_in_its_middle():
    lungs = two_lungs()
    peak = detection_of(mapped(lungs, (20, 31, 54, 65)), lungs).regions.regions[0].peak
    assert (peak.row, peak.column) == (25, 59)


def test_the_maximum_is_named_below_the_threshold_too():
    lungs = two_lungs()
    heatmap = np.where(lungs, 1.0, np.nan)
    heatmap[20, 54] = 1.7
    summary = detection_of(heatmap, lungs).regions
    assert summary.regions == ()
    assert (summary.maximum.row, summary.maximum.column) == (20, 54)
    assert summary.fractions_above == {"right": 0.0, "left": 0.0}
    assert str(summary) == "nothing above 2; maximum: left upper zone, medial, 1.7"


def test_three_regions_are_printed_and_the_others_counted():
    lungs = two_lungs()
    spots = [(row, row + 4, column, column + 4) for row in (20, 40, 60) for column in (24, 60)]
    summary = detection_of(mapped(lungs, *spots), lungs).regions
    assert len(summary.regions) == 6
    assert len(summary.lines) == 4
    assert summary.lines[3] == "and 3 more"


# --------------------------------------------------------------------------- what is missing


@pytest.mark.parametrize(("kept", "missing"), [("right", "left"), ("left", "right")])
def test_one_lung_alone(kept, missing):
    lungs = two_lungs(**{missing: False})
    column = 30 if kept == "right" else 60
    summary = detection_of(mapped(lungs, (60, 70, column, column + 5)), lungs).regions
    (region,) = summary.regions
    assert region.sides == (kept,)
    assert region.lung_fractions[missing] is summary.fractions_above[missing] is None
    assert summary.fractions_above[kept] == region.lung_fractions[kept] > 0
    assert region.text.startswith(f"{kept} lower zone")


def test_no_lungs_and_nothing_scored():
    lungs = np.zeros((FRAME, FRAME), bool)
    summary = detection_of(np.full(lungs.shape, np.nan), lungs).regions
    assert (summary.regions, summary.maximum, str(summary)) == ((), None, "not scored")
    assert summary.fractions_above == {"right": None, "left": None}


def test_scores_without_lungs_is_outside_the_lungs():
    lungs = np.zeros((FRAME, FRAME), bool)
    summary = detection_of(mapped(lungs, (10, 20, 10, 20)), lungs).regions
    (region,) = summary.regions
    assert region.sides == region.zones == ()
    assert region.position is region.lateral_fraction is summary.maximum.zone is None
    assert region.text == "outside the lungs, peak 3 (threshold 2)"
    json.dumps(region.to_dict(), allow_nan=False)


def test_scores_just_beside_a_lung_is_named_after_it():
    lungs = two_lungs()
    heatmap = mapped(lungs, (57, 67, 19, 20))  # as resampled patches leave it
    (region,) = detection_of(heatmap, lungs).regions.regions
    assert region.lung_fractions == {"right": 0.0, "left": 0.0}
    assert region.text == (
        "right lower zone, lateral, under 1 % of the right lung, peak 3 (threshold 2)"
    )
    assert (region.peak.row, region.peak.column) == (61, 19)


def test_lungs_that_were_not_scored_are_not_above():
    lungs = two_lungs()
    heatmap = mapped(lungs, (15, 75, 52, 72))
    heatmap[45:, 52:72] = np.nan
    assert detection_of(heatmap, lungs).regions.fractions_above == {"right": 0.0, "left": 0.5}


# -------------------------------------------------------------------------------- properties


@few
@given(seed=seeds)
def test_numbers_agree_with_a_count_of_pixels(seed):
    lungs = drawn_lungs()
    found = detection_of(random_map(seed, lungs), lungs)
    heatmap = found.anomaly_map.heatmap
    u, v = found.lungs.frame.coordinates()
    labels, _ = ndimage.label(heatmap > THRESHOLD, np.ones((3, 3)))
    smallest = MIN_REGION_FRACTION * heatmap.size
    assert len(found.regions.regions) == (np.bincount(labels.flat)[1:] >= smallest).sum()
    for region, box in zip(found.regions.regions, found.native_boxes, strict=True):
        row, column = region.peak.row, region.peak.column
        pixels = np.argwhere(labels == labels[row, column])
        np.testing.assert_array_equal(np.append(pixels.min(0), pixels.max(0) + 1), box)
        values = np.array([heatmap[tuple(pixel)] for pixel in pixels], float)
        assert region.peak.score == heatmap[row, column] == values.max()
        assert region.mean_score == pytest.approx(values.mean())
        for side, lung in (("right", found.lungs.right), ("left", found.lungs.left)):
            inside = sum(bool(lung[tuple(pixel)]) for pixel in pixels)
            assert region.lung_fractions[side] == pytest.approx(inside / lung.sum())
        zones = [lung_zone(float(u[tuple(pixel)])) for pixel in pixels]
        for zone, fraction in region.zone_fractions.items():
            assert fraction == pytest.approx(zones.count(zone) / len(zones))
        assert region.lateral_fraction == pytest.approx(
            np.mean([v[tuple(p)] >= 0.5 for p in pixels])
        )


@few
@given(seed=seeds)
def test_fractions_of_regions_add_up_to_that_of_the_mask(seed):
    lungs = drawn_lungs()
    found = detection_of(random_map(seed, lungs), lungs)
    for side, lung in (("right", found.lungs.right), ("left", found.lungs.left)):
        above = found.localisation.pred_mask[lung].mean()
        assert found.regions.fractions_above[side] == pytest.approx(above)
        assert sum(region.lung_fractions[side] for region in found.regions.regions) == (
            pytest.approx(above)
        )


@few
@given(seed=seeds)
def test_words_agree_with_the_numbers(seed):
    lungs = drawn_lungs()
    for region in detection_of(random_map(seed, lungs), lungs).regions.regions:
        record = json.loads(json.dumps(region.to_dict(), allow_nan=False))
        words = record["text"].split(", ")
        for zone, fraction in record["zone_fractions"].items():
            spoken = zone in words[0] or (zone == "middle" and "upper to lower" in words[0])
            assert spoken == (fraction >= NAMED)
        lateral = record["lateral_fraction"]
        assert ("lateral" in words[1], "medial" in words[1]) == (
            lateral >= NAMED,
            lateral <= 1 - NAMED,
        )
        (side,) = record["sides"]
        assert words[0].startswith(side)
        percent = int(re.match(r"under 1|\d+", words[2])[0].replace("under 1", "0"))
        assert abs(percent - 100 * record["lung_fractions"][side]) <= (0.5 if percent else 1.0)
        assert words[2].endswith(f"% of the {side} lung")
        assert words[3] == f"peak {record['peak']['score']:.3g} (threshold 2)"
        assert record["peak"]["zone"] == lung_zone(record["peak"]["u"])


@few
@given(seed=seeds, shift=st.tuples(st.integers(-12, 18), st.integers(-14, 16)))
def test_a_shifted_image_has_the_same_locations_elsewhere(seed, shift):
    lungs = drawn_lungs()
    heatmap = random_map(seed, lungs)
    before = detection_of(heatmap, lungs).regions
    moved = detection_of(np.roll(heatmap, shift, (0, 1)), np.roll(lungs, shift, (0, 1))).regions
    assert len(moved.regions) == len(before.regions)
    assert moved.fractions_above == before.fractions_above
    for old, new in zip(before.regions, moved.regions, strict=True):
        assert new.lung_fractions == old.lung_fractions
        assert new.zone_fractions == pytest.approx(old.zone_fractions, abs=0.15)
        assert_same_location(old.peak, new.peak)
        assert (new.peak.row, new.peak.column) == (
            old.peak.row + shift[0],
            old.peak.column + shift[1],
        )


@few
@given(seed=seeds)
def test_a_mirrored_image_swaps_the_sides(seed):
    lungs = drawn_lungs()
    heatmap = random_map(seed, lungs)
    other = {"right": "left", "left": "right"}
    before = detection_of(heatmap, lungs).regions
    mirrored = detection_of(heatmap[:, ::-1], lungs[:, ::-1]).regions
    assert mirrored.fractions_above == {
        other[side]: x for side, x in before.fractions_above.items()
    }
    assert_same_location(before.maximum, mirrored.maximum, side=other[before.maximum.side])
    for old, new in zip(before.regions, mirrored.regions, strict=True):
        assert new.sides == tuple(other[side] for side in old.sides)
        assert new.lung_fractions == {other[side]: x for side, x in old.lung_fractions.items()}
        assert_same_location(old.peak, new.peak, side=other[old.peak.side])
        assert new.peak.column == FRAME - 1 - old.peak.column


@few
@given(seed=seeds, factors=st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_the_size_of_the_image_scales_the_pixel_and_nothing_else(seed, factors):
    lungs = drawn_lungs()
    heatmap = random_map(seed, lungs)
    small = detection_of(heatmap, lungs).regions
    shape = (FRAME * factors[0], FRAME * factors[1])
    found = detection_of(heatmap, lungs, native_shape=shape)
    assert found.regions.fractions_above == small.fractions_above
    for old, new in zip(small.regions, found.regions.regions, strict=True):
        assert new.text == old.text
        assert (new.peak.row // factors[0], new.peak.column // factors[1]) == (
            old.peak.row,
            old.peak.column,
        )
        assert found.native_heatmap[new.peak.row, new.peak.column] == np.float32(new.peak.score)


@few
@given(seed=seeds)
def test_lungs_drawn_larger_have_the_same_locations(seed):
    lungs = drawn_lungs()
    heatmap = random_map(seed, lungs)
    once = detection_of(heatmap, lungs).regions
    twice = detection_of(
        np.kron(heatmap, np.ones((2, 2))), np.kron(lungs, np.ones((2, 2))) > 0
    ).regions
    assert twice.fractions_above == pytest.approx(once.fractions_above)
    for old, new in zip(once.regions, twice.regions, strict=True):
        assert new.lung_fractions == pytest.approx(old.lung_fractions)
        assert_same_location(old.peak, new.peak, tolerance=0.04)


@few
@given(seed=seeds, shape=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_any_mask_and_any_map_can_be_described(seed, shape):
    rng = np.random.default_rng(seed)
    lungs = rng.random(shape) < rng.random()
    heatmap = np.where(rng.random(shape) < rng.random(), rng.normal(size=shape), np.nan)
    found = detection_of(heatmap, lungs, native_shape=(7, 50), threshold=0.5)
    summary = find_regions(
        found.anomaly_map.heatmap,
        found.localisation.pred_mask,
        found.lungs.frame,
        threshold=0.5,
        native_shape=(7, 50),
    )
    assume(summary.maximum is not None)
    record = [region.to_dict() for region in summary.regions] + [summary.maximum.to_dict()]
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert [region.peak.score for region in summary.regions] == (
        found.localisation.box_scores.tolist()
    )
    for region in summary.regions:
        assert 0 <= region.peak.row < 7
        assert 0 <= region.peak.column < 50


def assert_same_location(old: Location, new: Location, *, side=None, tolerance=0.02):
    """Equal score and side, and lung coordinates to within what a pixel's width allows."""
    assert new.score == old.score
    assert new.side == (side or old.side)
    assert new.u == pytest.approx(old.u, abs=tolerance)
    # A level of the lung's narrow tips holds few pixels.
    if 0.1 < old.u < 0.9:
        assert new.v == pytest.approx(old.v, abs=2 * tolerance)


# ------------------------------------------------------------------------------------ objects


def test_regions_are_found_once_and_say_what_they_are():
    lungs = two_lungs()
    found = detection_of(mapped(lungs, (60, 72, 20, 32)), lungs)
    assert found.regions is found.regions
    assert repr(found.regions) == f"RegionSummary(1 region; {found.regions.regions[0].text})"
    assert isinstance(found.regions.regions[0], Region)
