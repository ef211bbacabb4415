"""The paper's claims, checked on the scored patches of a reproduction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from lungpatch.errors import InsufficientDataError
from lungpatch.evaluation.metrics import auroc
from lungpatch.reference.claims import (
    SIGNIFICANCE,
    compare_images,
    compare_kinds,
    interval_over_images,
    table_1_rule,
    unimodality,
)
from lungpatch.reference.patch_table import NORMAL, OPACITY, UNREAD, PatchTable
from lungpatch.reference.settings import N_PNEUMONIA_PATCHES
from lungpatch.reference.stages import StageResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.reference.study import Study

SAD_OF_IMAGE = "mean SAD of the lung"
"""Name of the method's value of a whole image, among those of the controls."""


def check_claims(study: Study, table: PatchTable) -> StageResult:
    """Check the paper's claims: one mode, three kinds, and normal against pneumonia.

    Parameters
    ----------
    study : Study
    table : PatchTable
        With scores.

    Returns
    -------
    StageResult
    """
    # The stream keeps its old name, which goes into the numbers drawn.
    rng, n_resamples = study.rng("verdict"), study.settings.n_resamples
    scores = table.scores[study.of_pneumonia(table)]
    values: dict[str, Any] = {
        "dip_as_many_as_the_paper": unimodality(
            rng.permutation(scores)[:N_PNEUMONIA_PATCHES]
        ).to_dict(),
        "dip_all": unimodality(scores).to_dict(),
        "significance": SIGNIFICANCE,
    }
    study.progress("claims", 1, 4, {})

    # Within images with boxes, so that differences between images do not count.
    kinds, within = study.kinds, table
    if study.has_boxes:
        within = table.select(study.images.boxed[table.image] & study.of_pneumonia(table))
    values["pairs"] = compare_kinds(within, kinds, rng=rng, n_resamples=n_resamples)
    values["n_images_of_the_kinds"] = len(np.unique(within.image))
    try:
        rule = table_1_rule(within.scores, within.kinds, kinds=kinds, fit_on=scores)
        values["table_1"] = rule.to_dict()
    except InsufficientDataError as error:
        values["table_1"] = {"skipped": str(error)}
    study.progress("claims", 2, 4, {})

    values["patches_of_normal_and_pneumonia_images"] = _compare_lungs(study, table, rng)
    study.progress("claims", 3, 4, {})
    values["images"] = compare_images(
        _image_values(study, table), _image_groups(study), rng=rng, n_resamples=n_resamples
    )
    study.progress("claims", 4, 4, {})
    return StageResult(values=values)


def _compare_lungs(study: Study, table: PatchTable, rng: np.random.Generator) -> dict[str, Any]:
    """Compare patches of lung of pneumonia images with those of normal images."""
    lung = np.isin(table.kinds, (NORMAL, OPACITY, UNREAD))
    side = np.where(study.of_pneumonia(table), "pneumonia", "normal")
    patches = attrs.evolve(table, kinds=side).select(lung)
    positive = patches.kinds == "pneumonia"
    return {
        "auroc": auroc(patches.scores, positive),
        "interval": interval_over_images(
            patches, "pneumonia", rng=rng, n_resamples=study.settings.n_resamples
        ),
        "auroc_of_grey": auroc(patches.grey, positive),
    }


def _image_values(study: Study, table: PatchTable) -> dict[str, NDArray[np.float64]]:
    """Return values with one number per image: the method's, and those of controls.

    Controls use no lesion information.
    """
    images = study.images
    count = len(images.dataset)
    lung = table.lung_fraction >= 0.5
    total = np.bincount(table.image[lung], table.scores[lung], minlength=count)
    number = np.bincount(table.image[lung], minlength=count)
    values = {
        SAD_OF_IMAGE: np.divide(total, number, out=np.full(count, np.nan), where=number > 0),
        "control: grey of the lung": images.lung_grey,
        "control: fraction of the image that is lung": images.lung_fraction,
    }
    sizes = images.file_sizes()
    if sizes is not None:
        values["control: size of the file"] = sizes
    views = images.dataset.views
    known = np.isin(views, ("AP", "PA"))
    if known.any():
        values["control: view is AP"] = np.where(known, (views == "AP").astype(np.float64), np.nan)
    return {name: np.where(study.roles == "", np.nan, value) for name, value in values.items()}


def _image_groups(study: Study) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Return the comparisons: the folders, and those within which confounders are alike."""
    normal, pneumonia = np.isin(study.roles, ("test", "held")), study.roles == "pneumonia"
    groups = {"normal folder against pneumonia folder": (normal, pneumonia)}
    read = study.images.dataset.columns.get("rsna_class")
    if read is None:
        return groups
    clear, opaque = pneumonia & (read == "Normal"), pneumonia & (read == "Lung Opacity")
    groups["folder test: normal folder against pneumonia folder read as Normal"] = (normal, clear)
    groups["within the pneumonia folder: read as Normal against Lung Opacity"] = (clear, opaque)
    for view in ("PA", "AP"):
        of_view = study.images.dataset.views == view
        groups[f"the folders, {view} views only"] = (normal & of_view, pneumonia & of_view)
        groups[f"within the pneumonia folder, {view} views only"] = (
            clear & of_view,
            opaque & of_view,
        )
    return groups
