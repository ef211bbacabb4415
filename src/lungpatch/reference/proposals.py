"""What the paper proposes to try next, and whether it separates the three kinds of patches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np

from lungpatch.errors import InsufficientDataError
from lungpatch.io import resize
from lungpatch.models import PCA, Autoencoder, UNet
from lungpatch.protocols import ReconstructionModel
from lungpatch.reference.claims import aurocs_by_kind, table_1_rule
from lungpatch.reference.clustering import cluster, difference_features, evaluate_classes
from lungpatch.reference.patch_table import PatchCutter, PatchTable, score_images
from lungpatch.reference.settings import GRID_SIZE, PATCH_SIZE, STRIDE
from lungpatch.reference.stages import StageResult
from lungpatch.reference.training import fit_for_steps, normal_patches
from lungpatch.samplers import GridSampler

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from lungpatch.containers import ChestImage, LungMask
    from lungpatch.reference.patch_table import ScoredPatches
    from lungpatch.reference.study import Study

SEPARATED = 0.8
"""Minimum balanced accuracy at which the three kinds count as separated."""

PARTLY = 0.6
"""The same for "partly". Chance is 1/3."""


def degree_of_separation(balanced_accuracy: float) -> Literal["yes", "partly", "no"]:
    """Return whether the three kinds count as separated.

    Examples
    --------
    >>> degree_of_separation(0.5)
    'no'
    """
    if balanced_accuracy >= SEPARATED:
        return "yes"
    return "partly" if balanced_accuracy >= PARTLY else "no"


@attrs.frozen(kw_only=True)
class Proposal:
    """The paper's detector, or one that the paper proposes.

    Parameters
    ----------
    name : str
        It goes into the random numbers of its training.
    model : callable
        Returns a model for a patch size.
    size : int
        Side of the model grid.
    patch_size : int
    stride : int

    Examples
    --------
    >>> [proposal.name for proposal in PROPOSALS][:2]
    ['the paper: U-Net', 'no skips: autoencoder']
    """

    name: str
    model: Callable[[int], ReconstructionModel]
    size: int = GRID_SIZE
    patch_size: int = PATCH_SIZE
    stride: int = STRIDE


PROPOSALS = (
    Proposal(name="the paper: U-Net", model=lambda side: UNet(patch_size=side)),
    Proposal(name="no skips: autoencoder", model=lambda side: Autoencoder(patch_size=side)),
    Proposal(
        name="narrow: autoencoder, 256 numbers for 1,024 pixels",
        model=lambda side: Autoencoder(patch_size=side, base_channels=1),
    ),
    Proposal(
        name="linear: PCA, 16 numbers", model=lambda side: PCA(patch_size=side, n_components=16)
    ),
    Proposal(
        name="512 px, patches 32",
        model=lambda side: UNet(patch_size=side),
        size=2 * GRID_SIZE,
        stride=2 * STRIDE,
    ),
    Proposal(
        name="512 px, patches scaled to 64",
        model=lambda side: UNet(patch_size=side),
        size=2 * GRID_SIZE,
        patch_size=2 * PATCH_SIZE,
        stride=2 * STRIDE,
    ),
)
"""At 512 pixels the stride is doubled, so that the number of patches stays the same."""


def try_proposals(study: Study) -> StageResult:
    """Try each of `PROPOSALS`, and clusters of the first one's differences.

    Parameters
    ----------
    study : Study

    Returns
    -------
    StageResult
        Each of the ``rows`` has a ``name``, the number ``n_patches`` of patches of known kind,
        ``aurocs``, ``adjusted_rand``, ``balanced_accuracy`` and ``separated`` (``yes``,
        ``partly`` or ``no``); or ``skipped``, the reason.
    """
    paper, *proposed = PROPOSALS
    rows = _paper_and_clusters(study, paper)
    side = study.images.median_side or 0.0
    for proposal in proposed:
        if proposal.size > GRID_SIZE and side < proposal.size:
            reason = f"the images have {side:.0f} px a side; enlarging them adds nothing"
            rows.append({"name": proposal.name, "skipped": reason})
            continue
        table = PatchTable.concatenate(each.table for each in _score(study, proposal))
        rows.append(_score_row(proposal.name, table, study.kinds))
    return StageResult(values={"rows": rows})


def _paper_and_clusters(study: Study, paper: Proposal) -> list[dict[str, Any]]:
    """Evaluate the paper's score, and clusters of its difference images."""
    tables, features = _with_features(_score(study, paper))
    table = PatchTable.concatenate(tables)
    rows = [_score_row(paper.name, table, study.kinds)]
    rng = study.rng("clusters")
    for done, (name, values) in enumerate(features.items(), start=1):
        predicted = cluster(values, clusters=len(study.kinds), rng=rng)
        rows.append(_class_row(name, table, predicted, study.kinds, named=False))
        study.progress("proposals: clusters", done, len(features), {})
    return rows


def _with_features(
    scored: Iterable[ScoredPatches],
) -> tuple[list[PatchTable], dict[str, NDArray[np.floating]]]:
    """Return the rows of scored patches, and what they are clustered by."""
    tables, differences, inputs = [], [], []
    for each in scored:
        tables.append(each.table)
        difference = each.reconstruction.target - each.reconstruction.expected
        differences.append(255.0 * difference[:, 0])
        grey = 255.0 * each.patches.pixels.astype(np.float64)
        inputs.append(np.stack([grey.mean(axis=(1, 2)), grey.std(axis=(1, 2))], axis=1))
    images = np.concatenate(differences)
    return tables, {
        "k-means of the difference images": np.abs(images).reshape(len(images), -1),
        "k-means of six features of them": difference_features(images),
        "control: k-means of the patch's mean and spread, no network": np.concatenate(inputs),
    }


def _score(study: Study, proposal: Proposal) -> Iterator[ScoredPatches]:
    """Fit the proposal's model to the normal images and score the evaluated ones."""

    def at_its_size(index: int) -> tuple[ChestImage, LungMask]:
        image = resize(study.images.dataset.read(index), proposal.size)
        return image, study.segmenter.segment(image)

    read = None if proposal.size == study.images.size else at_its_size
    side, stride = proposal.patch_size, proposal.stride
    model = proposal.model(side)
    rng = study.rng(f"proposal {proposal.name}")
    stage = f"proposals: {proposal.name}"
    lung = GridSampler(patch_size=side, stride=stride)
    with normal_patches(
        PatchCutter(images=study.images, sampler=lung, read=read), study.roles, rng=rng
    ) as stores:
        fit_for_steps(
            model,
            stores,
            steps=study.settings.study_steps,
            rng=rng,
            on_epoch=study.on_epoch(stage),
        )
    whole = GridSampler(patch_size=side, stride=stride, min_lung_fraction=0.0)
    return score_images(
        PatchCutter(images=study.images, sampler=whole, read=read),
        study.evaluated_images,
        model,
        progress=study.progress,
        stage=f"{stage}, scores",
    )


def _score_row(name: str, table: PatchTable, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Evaluate one score per patch by AUROC and by the classes of table 1's thresholds."""
    try:
        rule = table_1_rule(table.scores, table.kinds, kinds=kinds)
    except InsufficientDataError as error:
        return {"name": name, "skipped": str(error)}
    predicted = np.searchsorted(np.array(rule.thresholds), table.scores, side="left")
    row = _class_row(name, table, predicted.astype(np.int64), kinds, named=True)
    return row | {"aurocs": aurocs_by_kind(table.scores, table.kinds, kinds)}


def _class_row(
    name: str,
    table: PatchTable,
    predicted: NDArray[np.int64],
    kinds: tuple[str, ...],
    *,
    named: bool,
) -> dict[str, Any]:
    missing = [kind for kind in kinds if not (table.kinds == kind).any()]
    if missing:
        return {"name": name, "skipped": f"there is no patch that is known to be {missing[0]}"}
    metrics = evaluate_classes(predicted, table.kinds, kinds, named=named)
    accuracy = metrics["balanced_accuracy"]
    return {
        "name": name,
        "n_patches": int(np.isin(table.kinds, list(kinds)).sum()),
        "aurocs": {},
        "separated": degree_of_separation(accuracy),
        **metrics,
    }
