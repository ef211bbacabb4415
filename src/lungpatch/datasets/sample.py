"""Eight real radiographs that come with lungpatch."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lungpatch.datasets.labelled_folder import load_folder

if TYPE_CHECKING:
    from lungpatch.datasets.dataset import Dataset

_ATTRIBUTION = (
    "images: NIH Clinical Center (Wang et al., CVPR 2017); readings and boxes: RSNA 2018 "
    "(Shih et al., 2019)"
)


def sample() -> Dataset:
    """Load the eight real radiographs that come with lungpatch, to try things with.

    Frontal radiographs of eight adults, 512 x 512, from NIH ChestX-ray8 [1]_: four that the readers
    of the RSNA challenge of 2018 [2]_ called normal (one AP, three PA), and four with opacities
    that they boxed (two AP, two PA). They were chosen by these tables alone, before any score was
    looked at; the README in the folder of the images has the rule.

    None of them trained or calibrated anything that comes with lungpatch. Eight images say nothing
    about how good a detector is: the page "Which detector?" of the documentation does.

    Terms: free to use. Name the NIH Clinical Center as the source and cite the two papers.

    Returns
    -------
    Dataset
        Labels ``normal`` and ``pneumonia``, patients, views, boxes, and the columns ``age``,
        ``sex`` and ``rsna_class``. ``attribution`` names the sources. The images are files in one
        folder, beside the tables ``metadata.csv`` and ``boxes.csv``.

    See Also
    --------
    load_nih, load_rsna : the data sets that they are taken from.
    phantom_cohort : synthetic chests, as many as you like.

    References
    ----------
    .. [1] X. Wang, Y. Peng, L. Lu et al., "ChestX-ray8: Hospital-Scale Chest X-ray Database and
       Benchmarks on Weakly-Supervised Classification and Localization of Common Thorax Diseases",
       CVPR 2017, doi:10.1109/CVPR.2017.369.
    .. [2] G. Shih, C. C. Wu, S. S. Halabi et al., "Augmenting the National Institutes of Health
       Chest Radiograph Dataset with Expert Annotations of Possible Pneumonia", Radiology:
       Artificial Intelligence 1(1), 2019, doi:10.1148/ryai.2019180041.

    Examples
    --------
    >>> images = sample()
    >>> images
    Dataset('sample', 8 images of 8 patients; labels: normal 4, pneumonia 4; views: PA 5, AP 3;
    6 boxes on 4 images; images: NIH Clinical Center (Wang et al., CVPR 2017); readings and boxes:
    RSNA 2018 (Shih et al., 2019))
    >>> images.boxes(0, (512, 512))
    array([[261, 354, 418, 483],
           [270, 164, 419, 258]])
    >>> folder = images.images[0].parent  # for the command line
    """
    # Not a zip: torch, which everything else needs, cannot be imported from one either.
    folder = Path(str(resources.files("lungpatch.datasets").joinpath("sample_images")))
    images = load_folder(folder, metadata=folder / "metadata.csv", boxes=folder / "boxes.csv")
    return attrs.evolve(images, name="sample", attribution=_ATTRIBUTION)
