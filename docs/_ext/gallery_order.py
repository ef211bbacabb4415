"""The order of the gallery: its groups, and the pages of each."""

from __future__ import annotations

ORDER = {
    "first_steps": ("first_detection.py", "every_step.py", "fit_your_own.py"),
    "every_part": (
        "lungs.py",
        "one_colour_scale.py",
        "compare_detectors.py",
        "scorers.py",
        "synthetic_opacities.py",
        "confounders.py",
        "dicom.py",
    ),
    "decisions": ("decisions.py", "thresholders.py", "localisation.py"),
    "extending": ("own_scorer.py", "save_and_share.py"),
    "paper": ("copied_opacities.py", "losses.py"),
}


class GalleryOrder:
    """Sorts example scripts; one that is not in the list is an error, not at the end."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, name: str) -> int:
        return next(group.index(name) for group in ORDER.values() if name in group)

    def __repr__(self) -> str:
        return "GalleryOrder"
