"""The fixtures that plugin authors opt in to, and the results of checks."""

import numpy as np
import pytest

from lungpatch.scorers.sad import SADScorer
from lungpatch.testing import CheckReport, CheckResult, samples
from lungpatch.testing.fixtures import (  # noqa: F401 - used by name, as pytest does
    phantom_image,
    phantom_lungs,
    phantom_patches,
    phantom_reconstruction,
    phantom_source,
)


def test_image_and_lungs_are_of_one_image(request):
    image = request.getfixturevalue("phantom_image")
    lungs = request.getfixturevalue("phantom_lungs")
    assert image.shape == lungs.pixels.shape == (256, 256)
    assert lungs.left.any()
    assert lungs.right.any()


def test_patches_are_cut_from_the_image_they_name(request):
    patches = request.getfixturevalue("phantom_patches")
    image = samples.phantom_image(patches.image_shape)
    assert patches.image_id == image.image_id
    assert len(patches) == 15
    for pixels, (row, column) in zip(patches.pixels, patches.corners, strict=True):
        np.testing.assert_array_equal(pixels, image.pixels[row : row + 32, column : column + 32])


def test_the_reconstruction_is_near_and_not_equal(request):
    patches = request.getfixturevalue("phantom_patches")
    reconstruction = request.getfixturevalue("phantom_reconstruction")
    scores = SADScorer(region="patch").score(patches, reconstruction).values
    assert scores.shape == (15,)
    assert (scores > 0).all()


def test_the_source_gives_each_patch_once(request):
    source = request.getfixturevalue("phantom_source")
    batches = list(source.batches(10, rng=np.random.default_rng(0)))
    assert sum(map(len, batches)) == len(source) == 64


def test_a_report_is_wrong_if_a_check_failed_or_passed_against_expectation():
    statuses = ("passed", "failed", "expected failure", "unexpected pass", "not run")
    results = tuple(CheckResult(name=status, status=status, message="m") for status in statuses)
    report = CheckReport(component="Mine()", results=results)
    assert [result.name for result in report.wrong] == ["failed", "unexpected pass"]
    assert not report.ok
    with pytest.raises(AssertionError, match="unexpected pass"):
        report.raise_on_failure()
    fine = CheckReport(component="Mine()", results=(results[0], results[2]))
    assert fine.ok
    assert fine.raise_on_failure() is fine
