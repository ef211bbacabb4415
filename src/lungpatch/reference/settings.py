"""The paper's numbers, each with its section, and how much work a reproduction does."""

from __future__ import annotations

import attrs
from attrs import validators

GRID_SIZE = 256
"""Data preparation: images are resized to 256x256."""

PATCH_SIZE = 32
"""Data preparation: patches of 32x32 pixels."""

STRIDE = 20
"""Data preparation: the window moves by 20 pixels, for both classes."""

N_NORMAL_IMAGES = 100
"""Data preparation: the normal images that the patches come from."""

NORMAL_PATCHES = {"training": 5750, "validation": 100, "test": 200}
"""Data preparation: patches of normal images, 6,050 in all."""

PATCHES_A_NORMAL_IMAGE = 6
"""Data preparation, the text: "about 6 patches an image". Its own totals give 60.5."""

N_PNEUMONIA_IMAGES = 5
"""Data preparation: the pneumonia images that are searched exhaustively."""

N_PNEUMONIA_PATCHES = 2100
"""Data preparation: 420 an image. A 32 window at step 20 has 12 x 12 = 144 places in 256x256."""

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


@attrs.frozen(kw_only=True)
class ReproductionSettings:
    """How much work a reproduction does. All randomness comes from ``seed``.

    Parameters
    ----------
    seed : int
    training_steps : int
        Steps of Adam, 64 patches each, of the network of figures 7 to 10.
    study_steps : int
        The same of each network of the loss study and of the proposals.
    n_pneumonia, n_held_normal : int
        At most so many pneumonia images, and normal images held out of training, are scored.
    n_judged, n_study_patches : int
        At most so many images judge the proposals, and so many of their patches the losses.
    classifier_steps : int
        At most so many steps of Adam, 16 images each, of the two-class CNN; its validation images
        choose the epoch.
    n_gradcam : int
        Test images that Grad-CAM is averaged over.
    n_resamples : int
        Of the bootstrap over images that gives the intervals.
    phantom_normal, phantom_pneumonia : int
        Size of the synthetic cohort, where there is no data.

    Examples
    --------
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
    n_judged: int = _count(30)
    n_study_patches: int = _count(1000)
    classifier_steps: int = _count(500)
    n_gradcam: int = _count(100)
    n_resamples: int = _count(300)
    phantom_normal: int = _count(60)
    phantom_pneumonia: int = _count(30)

    @classmethod
    def quick(cls, *, seed: int = 0) -> ReproductionSettings:
        """Return settings that try everything out in a minute; their results mean nothing."""
        return cls(
            seed=seed,
            training_steps=10,
            study_steps=2,
            n_pneumonia=6,
            n_held_normal=4,
            n_judged=3,
            n_study_patches=200,
            classifier_steps=1,
            n_gradcam=4,
            n_resamples=20,
            phantom_normal=12,
            phantom_pneumonia=6,
        )
