from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from lungpatch.containers import ChestImage
from lungpatch.datasets.phantom import phantom_chest
from lungpatch.errors import InvalidMaskError
from lungpatch.io import read_image
from lungpatch.segmenters import plausibility
from lungpatch.segmenters.plausibility import (
    Range,
    _between,
    _border,
    _Lung,
    _pair,
    _probability,
    _upper_less_lower,
    implausibility,
)
from lungpatch.segmenters.threshold import ThresholdSegmenter
from lungpatch.segmenters.unet import UNetSegmenter
from lungpatch.synthesis import OPACITY_KINDS

DATA = Path(
    os.environ.get("LUNGPATCH_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
SIDE = 256
ROW, COLUMN = np.mgrid[:SIDE, :SIDE]


def lung(row: float, column: float, height: float, width: float) -> np.ndarray:
    """Half an ellipse: rounded apex at the top, flat base."""
    across = ((ROW - row - height) / height) ** 2 + ((COLUMN - column) / (width / 2)) ** 2 < 1
    return across & (row + height > ROW)


RIGHT, LEFT = lung(50, 80, 130, 70), lung(50, 176, 130, 70)
PAIR = RIGHT | LEFT


def image_of(mask: np.ndarray) -> ChestImage:
    """Dark lungs in a body that is brighter below."""
    pixels = np.where(mask, 0.2, 0.5) + 0.3 * ROW / SIDE
    return ChestImage(pixels=pixels.astype(np.float32), image_id="drawn")


def reason(mask: np.ndarray, image: ChestImage | None = None) -> str:
    found = implausibility(image or image_of(mask), mask)
    assert found is not None
    return found


def bones(rng: np.random.Generator, fingers: np.ndarray, *, lengths: float) -> ChestImage:
    """Bright bones that spread from a wrist or an ankle, in grey flesh, on dark ground."""
    flesh, bone = np.zeros((2, SIDE, SIDE))
    start = np.array([0.75 * SIDE, SIDE / 2])
    for angle in np.radians(fingers + rng.normal(0, 3, len(fingers))):
        ahead = np.array([-np.cos(angle), np.sin(angle)])
        along = (ROW - start[0]) * ahead[0] + (COLUMN - start[1]) * ahead[1]
        aside = np.abs((ROW - start[0]) * ahead[1] - (COLUMN - start[1]) * ahead[0])
        inside = (along > 0) & (along < lengths * SIDE)
        flesh[inside & (aside < 13)] = 0.4
        bone[inside & (aside < 6) & (along % 40 > 4)] = 0.5
    shank = (start[0] - 20 < ROW) & (np.abs(COLUMN - start[1]) < 32)
    flesh[shank] = 0.4
    bone[shank & (np.abs(np.abs(COLUMN - start[1]) - 14) < 9)] = 0.5
    pixels = ndimage.gaussian_filter(flesh + bone, 2) + rng.normal(0.05, 0.01, (SIDE, SIDE))
    return ChestImage(pixels=np.clip(pixels, 0, 1).astype(np.float32), image_id="bones")


def fires(image: ChestImage, segmenter: UNetSegmenter) -> bool:
    """No lungs are found, or implausible ones."""
    mask = segmenter.segment(image).pixels
    probability = segmenter.probability(image)
    return not mask.any() or implausibility(image, mask, probability=probability) is not None


def test_a_drawn_pair_is_plausible_and_an_empty_mask_no_business_of_this() -> None:
    assert implausibility(image_of(PAIR), PAIR) is None
    assert implausibility(image_of(PAIR), np.zeros_like(PAIR)) is None


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("opacity", [None, *OPACITY_KINDS])
def test_true_lungs_of_phantoms_are_plausible(seed: int, opacity: str | None) -> None:
    case = phantom_chest(seed, size=128, opacity=opacity)
    assert implausibility(case.image, case.lungs) is None


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (lung(50, 100, 20, 40) | lung(50, 150, 20, 40), "lungs cover 2 % of the image"),
        (np.isin(np.arange(SIDE * SIDE), 9).reshape(SIDE, SIDE), "lungs cover 0.002 %"),
        (COLUMN != 128, "lungs cover 100 % of the image"),
        (PAIR & (ROW % 40 < 30), "lungs in 8 pieces"),
        (RIGHT, "one lung only"),
        (RIGHT | lung(120, 176, 20, 30), "one lung only"),
        (RIGHT | lung(90, 176, 65, 45), "right lung 3.0 times as large as the left"),
        (LEFT | lung(90, 80, 65, 60), "left lung 2.0 times as high as the right"),
        (lung(50, 80, 130, 48) | lung(50, 176, 130, 95), "left lung 2.0 times as wide as"),
        (lung(90, 70, 80, 100) | lung(90, 186, 80, 100), "lung only 0.8 times as high as wide"),
        (lung(10, 90, 105, 70) | lung(120, 166, 105, 70), "one lung lies above the other"),
        (lung(50, 95, 130, 68) | lung(50, 161, 130, 68), "hardly any space between the lungs"),
        (lung(50, 40, 130, 50) | lung(50, 216, 130, 50), "lungs far apart"),
        (PAIR[::-1], "lungs hardly narrower at the top"),
        (np.roll(PAIR, 76, axis=0), "lungs along 56 % of the image's lower border"),
        (lung(30, 0, 190, 130) | lung(30, 186, 190, 90), "% of the image's left border"),
    ],
)
def test_each_measure_has_its_reason(mask: np.ndarray, expected: str) -> None:
    assert expected in reason(mask)


def test_a_ragged_outline_is_a_reason() -> None:
    teeth = (COLUMN < 90) | (COLUMN > 166) | (ROW % 16 < 8)
    assert "ragged outline" in reason(PAIR & teeth)


def test_an_inverted_or_turned_image_is_named_as_such() -> None:
    usual = image_of(PAIR)
    inverted = ChestImage(pixels=1 - usual.pixels, image_id="inverted")
    assert "is the image inverted?" in reason(PAIR, inverted)
    # The lungs themselves look the same from both ends here.
    mask = PAIR & PAIR[::-1]
    assert implausibility(image_of(mask), mask) is None
    upset = ChestImage(pixels=image_of(mask).pixels[::-1], image_id="upset")
    assert "is the image upside down?" in reason(mask, upset)


@pytest.mark.parametrize("side", [32, 64, 300])
def test_an_undecided_network_is_a_reason_at_any_resolution(side: int) -> None:
    image = image_of(PAIR)
    sure = np.full((side, side), 0.97, np.float32)
    assert implausibility(image, PAIR, probability=sure) is None
    unsure = sure.copy()
    unsure[:, : side // 2] = 0.6
    found = implausibility(image, PAIR, probability=unsure)
    assert found is not None
    assert found.startswith("segmenter undecided over 5")


@pytest.mark.parametrize(
    ("undecided", "doubt"), [(0.0, 0.0), (0.12, 0.0), (0.2, 0.5), (0.28, 1.0), (0.36, 1.5)]
)
def test_doubts_grow_with_the_part_that_is_undecided(undecided: float, doubt: float) -> None:
    inside = np.full(100, 0.9, np.float32)  # sure from here on
    inside[: round(100 * undecided)] = 0.899
    ((found, _),) = _probability(inside)
    assert found == pytest.approx(doubt)


def test_a_measure_at_its_limit_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = PAIR & PAIR[:, ::-1]  # the same to both sides
    half = np.full((SIDE, SIDE), 0.97, np.float32)
    half[:, : SIDE // 2] = 0.6
    for limit, implausible in ((0.5, True), (0.51, False)):
        monkeypatch.setattr(plausibility, "UNDECIDED", Range(0.0, limit))
        found = implausibility(image_of(mask), mask, probability=half)
        assert (found == "segmenter undecided over 50 % of the lungs") is implausible


def test_small_doubts_add_up() -> None:
    mask = RIGHT | lung(95, 176, 84, 50)
    image = image_of(mask)
    unsure = np.random.default_rng(0).random((64, 64)) < 0.24
    probability = np.where(unsure, 0.8, 0.97).astype(np.float32)
    assert implausibility(image, mask) is None
    assert implausibility(image_of(PAIR), PAIR, probability=probability) is None
    found = implausibility(image, mask, probability=probability)
    assert found is not None
    assert found.startswith("unusual in several ways: ")
    assert found.count(";") == 2


def block(row: int, column: int, height: int, width: int) -> np.ndarray:
    """A mask of the size that is measured with one rectangle of lung."""
    mask = np.zeros((64, 64), bool)
    mask[row : row + height, column : column + width] = True
    return mask


def test_a_lung_is_measured_by_hand() -> None:
    mask = block(8, 10, 40, 12)
    mask[8:18, 10:16] = False  # the upper quarter is half as wide
    lung = _Lung.measure("right", mask)
    assert (lung.area, lung.height, lung.width) == (420, 40, 12)
    assert lung.outline == 2 * (40 + 12)  # a step is no longer than the box around it
    assert lung.taper == 60 / 120
    rows, columns = np.nonzero(mask)
    assert lung.centre == pytest.approx((rows.mean(), columns.mean()))
    at_the_border = _Lung.measure("left", block(0, 0, 10, 64))
    assert at_the_border.outline == 2 * (10 + 64)


def test_what_lies_between_is_measured_by_hand() -> None:
    right, left = block(8, 10, 40, 12), block(18, 40, 40, 16)
    lungs = [_Lung.measure(name, mask) for name, mask in (("right", right), ("left", left))]
    pixels = np.zeros((64, 64), np.float32)
    pixels[18:48, 22:40] = 1.0  # the rows that both lungs have, between their columns
    doubts = {reason: doubt for doubt, reason in _between(pixels, *lungs)}
    space = 30 * 18 / (40 * 12 + 40 * 16)
    contrast = 1.0 / pixels.std()
    tilt = 10 / (47.5 - 15.5)
    assert contrast > 0.45
    assert list(doubts.values()) == pytest.approx(
        [0.0, 0.0, max(0.0, (tilt - 0.25) / 0.3), 0.0, max(0.0, (space - 0.5) / 0.45)]
    )


def test_halves_of_an_area_are_compared_by_hand() -> None:
    pixels = np.repeat(np.arange(64, dtype=np.float32)[:, None], 64, axis=1)
    # Rows 10 to 12 against 13 to 16, and one row by itself.
    assert _upper_less_lower(pixels, block(10, 5, 7, 3)) == 11.0 - 14.5
    assert _upper_less_lower(pixels, block(10, 5, 1, 3)) == 0.0


def test_a_pair_is_compared_by_hand() -> None:
    right, left = (
        _Lung.measure("right", block(8, 10, 48, 10)),
        _Lung.measure("left", block(8, 40, 32, 20)),
    )
    doubts = list(_pair(right, left))
    ratios = [640 / 480, 48 / 32, 20 / 10]
    limits = [(1.4, 2.6), (1.25, 1.8), (1.3, 1.9)]
    for (doubt, reason), ratio, (usual, limit) in zip(doubts, ratios, limits, strict=False):
        assert doubt == pytest.approx(max(0.0, (ratio - usual) / (limit - usual)))
        assert f"{ratio:.1f} times" in reason
    assert doubts[0][1].startswith("left lung 1.3 times as large as the right")
    assert doubts[1][1].startswith("right lung 1.5 times as high as the left")
    assert doubts[2][1].startswith("left lung 2.0 times as wide as the right")
    by_shape = {reason: doubt for doubt, reason in doubts[3:]}
    assert by_shape["right lung only 4.8 times as high as wide"] == 0.0
    assert by_shape["left lung only 1.6 times as high as wide"] == 0.0
    assert by_shape["lungs hardly narrower at the top than below"] == pytest.approx(0.22 / 0.17)


@pytest.mark.parametrize(
    ("mask", "name", "doubt"),
    [
        (block(0, 0, 5, 32), "upper", 0.4 / 0.45),
        (block(59, 0, 5, 32), "lower", 0.4 / 0.45),
        (block(0, 0, 40, 5), "left", 0.125 / 0.2),
        (block(0, 59, 40, 5), "right", 0.125 / 0.2),
    ],
)
def test_each_border_has_its_own_fraction(mask: np.ndarray, name: str, doubt: float) -> None:
    found = {reason.split()[-2]: doubt for doubt, reason in _border(mask)}
    assert list(found) == ["upper", "lower", "left", "right"]
    assert found[name] == pytest.approx(doubt)


def test_lungs_one_pixel_from_the_border_are_not_along_it() -> None:
    assert [doubt for doubt, _ in _border(block(1, 1, 62, 62))] == [0.0] * 4
    assert min(doubt for doubt, _ in _border(block(0, 0, 64, 64))) > 1


def test_a_range_grows_from_the_usual_to_the_limit_either_way() -> None:
    upwards, downwards = Range(1.0, 3.0), Range(0.5, 0.1)
    assert [upwards.doubt(value) for value in (0, 1, 2, 3, 5)] == [0, 0, 0.5, 1, 2]
    assert [downwards.doubt(value) for value in (0.9, 0.5)] == [0, 0]
    assert downwards.doubt(0.1) == pytest.approx(1)


LIMITS = {
    "MIN_COVER": 0.06,
    "MAX_COVER": 0.7,
    "MAX_LOOSE": 0.1,
    "MIN_LUNG_RATIO": 0.1,
    "MAX_DOUBT": 2.0,
    "SURE": 0.9,
    "SIZES": Range(1.4, 2.6),
    "HEIGHTS": Range(1.25, 1.8),
    "WIDTHS": Range(1.3, 1.9),
    "SHAPE": Range(1.35, 0.92),
    "TILT": Range(0.25, 0.55),
    "NARROW_SPACE": Range(0.2, 0.12),
    "WIDE_SPACE": Range(0.5, 0.95),
    "CONTRAST": Range(0.45, 0.03),
    "BRIGHT_TOP": Range(0.0, 0.3),
    "ENDS": Range(0.1, 0.55),
    "FLANKS": Range(0.5, 0.7),
    "TAPER": Range(0.78, 0.95),
    "OUTLINE": Range(1.1, 1.6),
    "UNDECIDED": Range(0.12, 0.28),
}


def test_the_limits_are_those_that_were_set_on_images() -> None:
    """On 608 images of chests and on others: a change needs them again."""
    kinds = (Range, float)
    found = {name: value for name, value in vars(plausibility).items() if isinstance(value, kinds)}
    assert found == LIMITS


@pytest.mark.parametrize(
    "mask", [np.zeros((SIDE, 9), bool), PAIR.astype(np.uint8), PAIR.astype(np.float32)]
)
def test_a_mask_that_does_not_fit_the_image_is_refused(mask: np.ndarray) -> None:
    with pytest.raises(InvalidMaskError, match=r"drawn: the lung mask must be bool"):
        implausibility(image_of(PAIR), mask)


@given(
    mask=arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))),
    grey=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=60)
def test_any_mask_of_any_image_has_an_answer(mask: np.ndarray, grey: int) -> None:
    pixels = np.random.default_rng(grey).random(mask.shape, np.float32)
    found = implausibility(ChestImage(pixels=pixels, image_id="any"), mask, probability=pixels)
    assert found is None or found
    if not mask.any():
        assert found is None


@given(row=st.integers(-40, 60), column=st.integers(-30, 30), mirrored=st.booleans())
@settings(deadline=None, max_examples=30)
def test_neither_place_nor_mirroring_makes_a_pair_implausible(
    row: int, column: int, mirrored: bool
) -> None:
    mask = np.roll(PAIR, (row, column), axis=(0, 1))
    mask = mask[:, ::-1] if mirrored else mask
    assert implausibility(image_of(mask), mask) is None


def test_the_network_is_caught_on_what_is_no_frontal_image() -> None:
    unet = UNetSegmenter(device="cpu")
    rng = np.random.default_rng(0)
    images = [
        bones(rng, np.array([-50, -20, -3, 14, 30]), lengths=0.55),
        bones(rng, np.array([-16, -8, 0, 8, 16]), lengths=0.65),
    ]
    for scale in (0, 2, 4, 8, 32):
        noise = ndimage.gaussian_filter(rng.random((SIDE, SIDE)), scale)
        noise = (noise - noise.min()) / np.ptp(noise)
        images.append(ChestImage(pixels=noise.astype(np.float32), image_id=f"noise {scale}"))
    images.append(ChestImage(pixels=(ROW / SIDE).astype(np.float32), image_id="gradient"))
    missed = [image.image_id for image in images if not fires(image, unet)]
    assert missed == []


@pytest.mark.parametrize(
    "name", ["astronaut", "brick", "camera", "coins", "grass", "gravel", "moon", "page", "text"]
)
def test_the_network_is_caught_on_photographs(name: str) -> None:
    from skimage import data
    from skimage.color import rgb2gray

    photograph = getattr(data, name)()
    grey = rgb2gray(photograph) if photograph.ndim == 3 else photograph / 255
    image = ChestImage(pixels=grey.astype(np.float32), image_id=name)
    assert fires(image, UNetSegmenter(device="cpu"))


@pytest.mark.parametrize("folder", ["cxr/normal", "cxr/pneumonia", "kermany/pneumonia"])
def test_real_images_are_plausible_and_what_is_made_of_them_is_not(folder: str) -> None:
    if not (DATA / folder).is_dir():
        pytest.skip(f"real data needed: no {DATA / folder}")
    unet = UNetSegmenter(device="cpu")
    fired = []
    for path in sorted((DATA / folder).iterdir())[:40:5]:
        image = read_image(path)
        lungs, probability = unet.segment(image).pixels, unet.probability(image)
        assert implausibility(image, lungs, probability=probability) is None, path.stem
        pixels = image.pixels
        for no_image in (1 - pixels, np.rot90(pixels), pixels[:, : pixels.shape[1] // 2]):
            changed = ChestImage(pixels=np.ascontiguousarray(no_image), image_id=path.stem)
            fired.append(fires(changed, unet))
    assert np.mean(fired) >= 0.9


def test_rough_but_right_masks_are_plausible() -> None:
    if not (DATA / "cxr").is_dir():
        pytest.skip(f"real data needed: no {DATA / 'cxr'}")
    threshold, unet = ThresholdSegmenter(), UNetSegmenter(device="cpu")
    right = flagged = 0
    for path in sorted((DATA / "cxr/normal").iterdir())[:60:3]:
        image = read_image(path)
        rough, good = threshold.segment(image).pixels, unet.segment(image).pixels
        if 2 * (rough & good).sum() > 0.8 * (rough.sum() + good.sum()):
            right += 1
            flagged += implausibility(image, rough) is not None
    assert right >= 10
    assert flagged <= 1
