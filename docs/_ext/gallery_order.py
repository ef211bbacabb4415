"""The order of the gallery: from a first detection to components of one's own."""

from __future__ import annotations

ORDER = (
    "first_detection.py",
    "every_step.py",
    "lungs.py",
    "synthetic_opacities.py",
    "compare_detectors.py",
    "losses.py",
    "scorers.py",
    "thresholders.py",
    "decisions.py",
    "one_colour_scale.py",
    "localisation.py",
    "confounders.py",
    "dicom.py",
    "save_and_share.py",
    "own_scorer.py",
)


class GalleryOrder:
    """Sorts example scripts; one that is not in the list is an error, not at the end."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, name: str) -> int:
        return ORDER.index(name)

    def __repr__(self) -> str:
        return "GalleryOrder"
