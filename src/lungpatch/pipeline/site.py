"""A site's own normal images against those that a pipeline was calibrated on."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from lungpatch._utils.forks import IMPORTING
from lungpatch.errors import InsufficientDataError
from lungpatch.pipeline.calibration import (
    LUNG_ZONES,
    Calibration,
    NormalImage,
    highest_by_patient,
    normal_image,
)
from lungpatch.pipeline.cohort import UnusedImage, patients_of, read_cohort
from lungpatch.thresholders import conformal_p_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.pipeline.results import PreparedImage
    from lungpatch.pipeline.steps import ImageInput, Steps

RATES = (0.05, 0.1, 0.2)
"""Rates at which false alarms are reported."""

MAX_SHIFT = 1.0
"""From a larger shift of the scores on, in standard deviations, a refit is proposed."""
MAX_GREY_SHIFT = 2.0
"""The same of the grey levels in the lungs."""
MAX_UNUSED_FRACTION = 0.1
"""From a larger fraction of images without plausible lungs on, a look at the lungs is proposed."""


@attrs.frozen(kw_only=True, repr=False)
class SiteReport:
    """How a site's normal images differ from those that a pipeline was calibrated on.

    Parameters
    ----------
    reference : Calibration
        The pipeline's.
    normals : tuple of NormalImage
        The site's images that could be used, scored by the pipeline.
    unused : tuple of UnusedImage
        Those that could not, and why.

    See Also
    --------
    lungpatch.Pipeline.check : Makes one.
    lungpatch.Pipeline.calibrate : Take the site's images for calibration.

    Examples
    --------
    >>> report = pipeline.check("our-normals/")                        # doctest: +SKIP
    >>> print(report)                                                  # doctest: +SKIP
    """

    reference: Calibration
    normals: tuple[NormalImage, ...]
    unused: tuple[UnusedImage, ...]

    @property
    def image_scores(self) -> tuple[float, ...]:
        """The highest image score of each patient."""
        return highest_by_patient(
            [normal.patient for normal in self.normals],
            [normal.image_score for normal in self.normals],
        )

    @property
    def p_values(self) -> tuple[float, ...]:
        """The p-value of each patient; spread evenly over (0, 1] if the site is no different."""
        return tuple(conformal_p_values(self.image_scores, self.reference.image_scores).tolist())

    @property
    def ks_p_value(self) -> float:
        """Two-sample Kolmogorov-Smirnov test of the image scores: its p-value.

        How often two samples from one distribution differ as much; small where the site differs.
        """
        return self._ks_test()[1]

    @property
    def ks_statistic(self) -> float:
        """The largest difference between the two distributions of image scores, in [0, 1]."""
        return self._ks_test()[0]

    def _ks_test(self) -> tuple[float, float]:
        with IMPORTING:
            from scipy import stats

        test = stats.ks_2samp(self.image_scores, self.reference.image_scores)
        return float(test.statistic), float(test.pvalue)

    @property
    def score_shift(self) -> float:
        """Mean image score minus the reference's, in standard deviations of the reference."""
        return _shift(self.image_scores, self.reference.image_scores)

    @property
    def grey_shift(self) -> float:
        """Mean grey level in the lungs minus the reference's, in its standard deviations."""
        return _shift([normal.grey for normal in self.normals], self.reference.greys)

    @property
    def zone_shifts(self) -> dict[str, float]:
        """Mean anomaly score by zone of the lungs minus the reference's, in its deviations."""
        shifts = {}
        for zone in LUNG_ZONES:
            here = [n.zone_scores[zone] for n in self.normals if zone in n.zone_scores]
            there = self.reference.zone_scores.get(zone, ())
            if here and len(there) > 1:
                shifts[zone] = _shift(here, there)
        return shifts

    def false_alarms(self, rate: float) -> float:
        """Return the fraction of the site's patients that are above the threshold at a rate.

        Parameters
        ----------
        rate : float
            In (0, 0.5].

        Returns
        -------
        float
        """
        return float(np.mean(np.array(self.p_values) <= rate))

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do, one sentence each; empty where the site is like the reference."""
        advice = []
        n_images = len(self.normals) + len(self.unused)
        if len(self.unused) > MAX_UNUSED_FRACTION * n_images:
            advice.append(
                f"{len(self.unused)} of {n_images} images could not be used: look at the lungs "
                "with 'lungpatch segment' first"
            )
        if self._repeats_reference:
            advice.append(
                "these are the images that the pipeline was calibrated on: they show nothing new"
            )
        elif abs(self.score_shift) > MAX_SHIFT or abs(self.grey_shift) > MAX_GREY_SHIFT:
            advice.append(
                "the images are unlike those that the pipeline was fitted to: calibrating keeps "
                "the rate of false alarms, but a pipeline fitted to the site's own normal images "
                "('lungpatch fit') may find more"
            )
        elif self.ks_p_value < 0.05:
            advice.append("the scores are distributed otherwise: calibrate on the site's images")
        return tuple(advice)

    @property
    def _repeats_reference(self) -> bool:
        here, there = sorted(self.image_scores), sorted(self.reference.image_scores)
        # Up to rounding, which depends on how many images are scored together.
        return len(here) == len(there) and np.allclose(here, there, rtol=1e-5, atol=1e-8)

    @property
    def lines(self) -> tuple[str, ...]:
        """The report in words, line by line."""
        reasons = Counter(unused.reason.partition(":")[0] for unused in self.unused)
        left_out = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "none"
        alarms = ", ".join(f"{self.false_alarms(rate):.0%} at {rate:.0%}" for rate in RATES)
        zones = self.zone_shifts
        lines = [
            f"{len(self.normals)} images of {len(self.image_scores)} patients; left out: "
            f"{left_out}",
            f"above the threshold, of the site's patients: {alarms} (tolerated false alarms)",
            f"image scores: shifted by {self.score_shift:+.2f} standard deviations; "
            f"Kolmogorov-Smirnov {self.ks_statistic:.2f}, p = {self.ks_p_value:.2g}",
            f"grey level in the lungs: shifted by {self.grey_shift:+.2f} standard deviations",
        ]
        if zones:
            farthest = max(zones, key=lambda zone: abs(zones[zone]))
            lines.append(
                f"anomaly scores by zone: shifted by {min(zones.values()):+.2f} to "
                f"{max(zones.values()):+.2f} standard deviations, farthest in the {farthest} zone"
            )
        return (*lines, *(f"advice: {sentence}" for sentence in self.advice))

    def to_dict(self) -> dict[str, Any]:
        """Return what was found as JSON-ready values."""
        return {
            "images": len(self.normals),
            "patients": len(self.image_scores),
            "unused": [attrs.asdict(unused) for unused in self.unused],
            "image_scores": list(self.image_scores),
            "p_values": list(self.p_values),
            "false_alarms": {str(rate): self.false_alarms(rate) for rate in RATES},
            "ks_statistic": self.ks_statistic,
            "ks_p_value": self.ks_p_value,
            "score_shift": self.score_shift,
            "grey_shift": self.grey_shift,
            "zone_shifts": self.zone_shifts,
            "advice": list(self.advice),
        }

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def __repr__(self) -> str:
        return (
            f"SiteReport({len(self.image_scores)} patients, scores shifted by "
            f"{self.score_shift:+.2f} standard deviations)"
        )


def _shift(here: Sequence[float], there: Sequence[float]) -> float:
    """Return the difference of the means, in standard deviations of ``there``; 0 if it has none."""
    spread = float(np.std(there, ddof=1)) if len(there) > 1 else 0.0
    return float(np.mean(here) - np.mean(there)) / spread if spread else 0.0


def check_site(
    steps: Steps,
    reference: Calibration,
    images: Sequence[ImageInput],
    *,
    patients: Mapping[str, str] | None,
    min_patients: int,
    notify: ProgressCallback,
) -> SiteReport:
    """Score a site's normal images. See `lungpatch.Pipeline.check`.

    Raises
    ------
    InsufficientDataError
        If there are fewer than ``min_patients``, or no image can be used.

    Examples
    --------
    >>> check_site(pipeline, pipeline.calibration_, paths, patients=None,
    ...            min_patients=1, notify=silent)                      # doctest: +SKIP
    """
    owners = patients_of(images, patients)
    if len(set(owners)) < min_patients:
        raise InsufficientDataError(
            f"this pipeline's thresholders need the images of {min_patients} normal patients, got "
            f"{len(set(owners))}: give more"
        )

    def keep(prepared: PreparedImage, patient: str, digest: bytes) -> NormalImage:
        (scored,) = steps.score([prepared])
        # Of its content, so that the order of the images does not matter.
        rng = np.random.default_rng([steps.seed, int.from_bytes(digest[:8])])
        return normal_image(scored, patient, rng=rng)

    usable, unused = read_cohort(steps, images, owners, keep=keep, notify=notify)
    if not usable:
        first = f", the first: {unused[0].source}: {unused[0].reason}" if unused else ""
        raise InsufficientDataError(
            f"none of {len(images)} normal images could be used{first}; give radiographs in which "
            "the lungs are found"
        )
    return SiteReport(
        reference=reference,
        normals=tuple(image.kept for image in usable),
        unused=tuple(unused),
    )
