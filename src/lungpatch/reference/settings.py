"""The paper's numbers, each with its section, and how much work a reproduction does."""

from __future__ import annotations

import attrs
from attrs import validators

from lungpatch._utils.component import plain_errors

GRID_SIZE = 256
"""Data preparation: images are resized to 256x256."""

PATCH_SIZE = 32
"""Data preparation: patches of 32x32 pixels."""

STRIDE = 20
"""Data preparation: the window moves by 20 pixels, for both classes."""

KINDS = ("normal lung", "lung with opacity", "outside the lung")
"""Table 1: the kinds of patches of a pneumonia image, in the order of SAD that it expects."""

N_NORMAL_IMAGES = 100
"""Data preparation: the normal images that the patches come from."""

NORMAL_PATCHES = {"training": 5750, "validation": 100, "test": 200}
"""Data preparation: patches of normal images, 6,050 in all."""

PATCHES_PER_NORMAL_IMAGE = 6
"""Data preparation, the text: "about 6 patches an image". Its own totals give 60.5."""

N_PNEUMONIA_IMAGES = 5
"""Data preparation: the pneumonia images that are searched exhaustively."""

N_PNEUMONIA_PATCHES = 2100
"""Data preparation: 420 per image. A 32 window at step 20 has 12 x 12 = 144 positions in 256."""

NORMAL_SAD = 1.0
"""Results: the SAD of normal patches is near 1 grey level."""

PNEUMONIA_SAD = 5.0
"""Results: the SAD of pneumonia patches is around 5 grey levels."""

CLASSIFIER_ACCURACY = 0.876
"""Preliminary experiment: the two-class CNN at 256x256."""

CLASSIFIER_IMAGES = {"normal": 1341, "pneumonia": 3875}
"""Preliminary experiment: training images of Kermany et al. (2018)."""


def _count(default: int) -> int:
    field: int = attrs.field(
        default=default, validator=[validators.instance_of(int), validators.ge(1)]
    )
    return field


@attrs.frozen(kw_only=True, field_transformer=plain_errors)
class ReproductionSettings:
    """How much work a reproduction does.

    Parameters
    ----------
    seed : int
        Seed of all randomness.
    training_steps : int
        Number of steps of Adam, with 64 patches each, of the network of figures 7 to 10.
    study_steps : int
        The same for each network of the study of losses and of the proposals.
    n_pneumonia, n_held_normal : int
        Maximum number of pneumonia images, and of normal images held out of training, that are
        scored.
    n_evaluated : int
        Maximum number of images on which the losses and the proposals are evaluated.
    n_study_patches : int
        Maximum number of their patches on which the losses are evaluated.
    classifier_steps : int
        Maximum number of steps of Adam, with 16 images each, of the two-class CNN. The epoch with
        the lowest loss on its validation images is kept.
    n_gradcam : int
        Number of test images over which Grad-CAM is averaged.
    n_resamples : int
        Number of resamples of the bootstrap over images, which gives the intervals.
    phantom_normal, phantom_pneumonia : int
        Size of the synthetic cohort that stands in for data.

    See Also
    --------
    lungpatch.reference.reproduce : Takes these settings.

    Examples
    --------
    >>> from lungpatch.reference import ReproductionSettings
    >>> ReproductionSettings(seed=3).training_steps
    1000
    >>> ReproductionSettings.quick().training_steps
    10
    """

    seed: int = attrs.field(default=0, validator=[validators.instance_of(int), validators.ge(0)])
    training_steps: int = _count(1000)
    study_steps: int = _count(250)
    n_pneumonia: int = _count(225)
    n_held_normal: int = _count(150)
    n_evaluated: int = _count(30)
    n_study_patches: int = _count(1000)
    classifier_steps: int = _count(500)
    n_gradcam: int = _count(100)
    n_resamples: int = _count(300)
    phantom_normal: int = _count(60)
    phantom_pneumonia: int = _count(30)

    @classmethod
    def quick(cls, *, seed: int = 0) -> ReproductionSettings:
        """Return settings with which a run takes about a minute; its results mean nothing."""
        return cls(
            seed=seed,
            training_steps=10,
            study_steps=2,
            n_pneumonia=6,
            n_held_normal=4,
            n_evaluated=3,
            n_study_patches=200,
            classifier_steps=1,
            n_gradcam=4,
            n_resamples=20,
            phantom_normal=12,
            phantom_pneumonia=6,
        )
