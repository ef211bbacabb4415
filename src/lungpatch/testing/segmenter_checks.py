"""What a segmenter promises; see `lungpatch.protocols.Segmenter`."""

# ruff: noqa: D401, D403 - the first line of a check's docstring is the promise that reports print

from __future__ import annotations

from typing import TYPE_CHECKING

from lungpatch.containers import LungMask
from lungpatch.testing.common_checks import COMMON_CHECKS
from lungpatch.testing.comparing import (
    arrays_of,
    require_deterministic,
    require_random_states_kept,
    require_unchanged,
)
from lungpatch.testing.runner import Check, Subject, explained, require, run_checks
from lungpatch.testing.samples import lungless_images, phantom_image, segmenter_images

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from lungpatch.protocols import Segmenter
    from lungpatch.testing.results import CheckReport


def check_segmenter(
    segmenter: Segmenter, *, expected_failures: Mapping[str, str] | None = None
) -> CheckReport:
    """Check that a segmenter keeps what its contract promises.

    Parameters
    ----------
    segmenter : Segmenter
        Only copies of it are used.
    expected_failures : mapping of str to str, optional
        Names of checks that it is not meant to pass, and the reasons.

    Returns
    -------
    CheckReport

    Raises
    ------
    ConfigurationError
        If ``segmenter`` is a class, or ``expected_failures`` names no check.

    Examples
    --------
    >>> from lungpatch.segmenters import ThresholdSegmenter
    >>> check_segmenter(ThresholdSegmenter()).raise_on_failure()
    ThresholdSegmenter(): 12 checks, 12 passed
    """
    return run_checks("segmenter", SEGMENTER_CHECKS, segmenter, expected_failures)


def returns_lung_mask(subject: Subject) -> None:
    """segment returns a LungMask."""
    found = subject.fresh().segment(phantom_image())
    require(
        isinstance(found, LungMask),
        f"It returned {type(found).__name__}. Write return lungpatch.LungMask(pixels=mask).",
    )


def mask_has_image_shape(subject: Subject) -> None:
    """The mask has the shape of its image, whatever that is."""
    segmenter = subject.fresh()
    for image in segmenter_images():
        shape = segmenter.segment(image).pixels.shape
        require(
            shape == image.shape,
            f"An image of {image.shape} gave a mask of {shape}. Bring the mask back to "
            "image.shape, rows first.",
        )


def lungless_image_is_no_error(subject: Subject) -> None:
    """An image without lungs is no error."""
    segmenter = subject.fresh()
    for image in lungless_images():
        with explained("Return a mask of False where nothing looks like a lung."):
            segmenter.segment(image)


def lungless_image_gives_empty_mask(subject: Subject) -> None:
    """An image of one grey level gives an empty mask."""
    segmenter = subject.fresh()
    for image in lungless_images():
        try:
            fraction = segmenter.segment(image).fraction
        except Exception:
            continue  # lungless_image_is_no_error reports it
        require(
            fraction == 0.0,
            f"{fraction:.1%} of a {image.image_id} image are called lung. Return a mask of False "
            "where nothing looks like a lung.",
        )


def inputs_unchanged(subject: Subject) -> None:
    """segment does not change the image."""
    image = phantom_image()
    require_unchanged({"image": image}, lambda: subject.fresh().segment(image))


def deterministic(subject: Subject) -> None:
    """The same image gives the same mask, whatever was segmented before."""
    segmenter = subject.fresh()

    def call() -> dict[str, np.ndarray]:
        masks = [arrays_of(segmenter.segment(image)) for image in segmenter_images()[:2]]
        return masks[0]

    require_deterministic(call, "Keep nothing of an image, and draw nothing at random.")


def global_random_state_kept(subject: Subject) -> None:
    """segment does not change the global random state."""
    segmenter = subject.fresh()
    require_random_states_kept(lambda: segmenter.segment(phantom_image()))


SEGMENTER_CHECKS = (
    *COMMON_CHECKS,
    Check(returns_lung_mask, required=True),
    Check(mask_has_image_shape),
    Check(lungless_image_is_no_error),
    Check(lungless_image_gives_empty_mask),
    Check(inputs_unchanged),
    Check(deterministic),
    Check(global_random_state_kept),
)
