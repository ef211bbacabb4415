"""Distractors: bright objects that are no lesions, and the negatives of training."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungpatch.errors import InvalidMaskError
from lungpatch.synthesis import DISTRACTORS, LesionSynthesiser, paint_distractors


def chest(side: int = 96) -> tuple[np.ndarray, np.ndarray]:
    lung = np.zeros((side, side), bool)
    lung[side // 8 : -side // 8, side // 8 : 3 * side // 8] = True
    lung[side // 8 : -side // 8, -3 * side // 8 : -side // 8] = True
    return np.where(lung, 0.25, 0.6).astype(np.float32), lung


@settings(max_examples=30, deadline=None)
@given(kind=st.sampled_from(DISTRACTORS), seed=st.integers(0, 10_000), side=st.integers(24, 120))
def test_only_brighter_and_valid(kind, seed, side):
    image, lung = chest(side)
    before = image.copy()
    painted = paint_distractors(image, lung, np.random.default_rng(seed), kind=kind)
    assert painted.dtype == np.float32
    assert painted.shape == image.shape
    assert painted.max() <= 1
    assert (painted >= image - 1e-6).all()
    assert np.array_equal(image, before), "the image itself was changed"


@pytest.mark.parametrize("kind", DISTRACTORS)
def test_each_kind_is_seen_most_of_the_time(kind):
    image, lung = chest()
    seen = [
        (paint_distractors(image, lung, np.random.default_rng(s), kind=kind) - image).max() > 0.02
        for s in range(20)
    ]
    assert np.mean(seen) >= 0.7


def test_sizes_follow_the_image():
    areas = []
    for side in (64, 256):
        image, lung = chest(side)
        changed = [
            (paint_distractors(image, lung, np.random.default_rng(s), kind="device") > image + 0.05)
            for s in range(40)
        ]
        areas.append(np.mean(changed))
    assert areas[1] == pytest.approx(areas[0], rel=0.4)


def test_same_generator_same_objects():
    image, lung = chest()
    first, again, other = (
        paint_distractors(image, lung, np.random.default_rng(s)) for s in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_kinds_are_drawn_about_as_often_as_said():
    image, lung = chest(32)
    untouched = sum(
        np.array_equal(
            LesionSynthesiser(distractor_fraction=0.3).distract(
                image, lung, np.random.default_rng(s)
            ),
            image,
        )
        for s in range(300)
    )
    assert untouched / 300 == pytest.approx(0.7, abs=0.08)


def test_bad_input_is_refused():
    image, lung = chest(32)
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidMaskError, match="empty"):
        paint_distractors(image, np.zeros_like(lung), rng)
    with pytest.raises(ValueError, match="one shape"):
        paint_distractors(image[1:], lung, rng)
    with pytest.raises(ValueError, match="unknown kind"):
        paint_distractors(image, lung, rng, kind="spoon")  # type: ignore[arg-type]
