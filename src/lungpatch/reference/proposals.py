"""What the paper proposes to try next, tried, and whether it separates the three kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from lungpatch.errors import InsufficientDataError
from lungpatch.evaluation.metrics import auroc
from lungpatch.io import resize
from lungpatch.models.autoencoder import Autoencoder
from lungpatch.models.pca import PCA
from lungpatch.models.unet import UNet
from lungpatch.protocols import ReconstructionModel, Scorer, Segmenter
from lungpatch.reference.claims import FEWEST_PATCHES, table_1_rule
from lungpatch.reference.clustering import cluster, difference_features, judge_classes
from lungpatch.reference.patch_table import PatchTable, score_images
from lungpatch.reference.settings import GRID_SIZE, PATCH_SIZE, STRIDE
from lungpatch.reference.training import learn, normal_patches, stage_rng
from lungpatch.samplers.grid import GridSampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.containers import ChestImage, FloatImage, LungMask, PatchBatch, Reconstruction
    from lungpatch.reference.images import Images

SEPARATED = 0.8
"""Balanced accuracy over the three kinds from which on they count as separated."""

PARTLY = 0.6
"""The same for "partly". Chance is 1/3."""


@attrs.frozen(kw_only=True)
class Proposal:
    """A detector of the paper's making, or one that it proposes.

    Parameters
    ----------
    name : str
    model : callable
        Returns a model for a patch size.
    size : int
        Side of the working frame.
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
"""At 512 px the stride is doubled, so that there are as many patches."""


def try_proposals(
    films: Images,
    roles: NDArray[np.str_],
    judged: Sequence[int],
    kinds: tuple[str, ...],
    *,
    segmenter: Segmenter,
    scorer: Scorer,
    steps: int,
    seed: int,
    progress: ProgressCallback,
) -> list[dict[str, Any]]:
    """Try each of `PROPOSALS`, and clusters of the first one's differences.

    Parameters
    ----------
    images : Images
    roles : ndarray of str, shape (N,)
        See `lungpatch.reference.cohort.choose_roles`.
    judged : sequence of int
        Images whose patches are judged.
    kinds : tuple of str
        The three kinds in the order of scores that the paper expects.
    segmenter : Segmenter
        For images of another size than the working frame's.
    scorer : Scorer
        Over the whole patch.
    steps, seed : int
    progress : callable

    Returns
    -------
    list of dict
        A row each: ``name``, ``n_patches`` of known kind, ``aurocs``, ``adjusted_rand``,
        ``balanced_accuracy``, ``separated`` (``yes``, ``partly`` or ``no``); or ``skipped``, the
        reason.
    """
    rows: list[dict[str, Any]] = []
    usual_side = float(np.median(films.own_side[films.own_side > 0]))
    for proposal in PROPOSALS:
        if proposal.size > GRID_SIZE and usual_side < proposal.size:
            reason = f"the images have {usual_side:.0f} px a side; enlarging them adds nothing"
            rows.append({"name": proposal.name, "skipped": reason})
            continue
        differences: list[FloatImage] = []
        inputs: list[NDArray[np.float64]] = []

        def look(patches: PatchBatch, reconstruction: Reconstruction) -> None:
            difference = reconstruction.target - reconstruction.expected
            differences.append(255.0 * difference[:, 0])  # noqa: B023 - called within this round
            grey = 255.0 * patches.pixels.astype(np.float64)
            inputs.append(  # noqa: B023
                np.stack([grey.mean(axis=(1, 2)), grey.std(axis=(1, 2))], axis=1)
            )

        is_first = proposal is PROPOSALS[0]
        table = _run(
            proposal,
            films,
            roles,
            judged,
            segmenter=segmenter,
            scorer=scorer,
            steps=steps,
            seed=seed,
            progress=progress,
            look=look if is_first else None,
        )
        rows.append(_score_row(proposal.name, table, kinds))
        if is_first:
            difference = np.concatenate(differences)
            features = {
                "k-means of the difference images": np.abs(difference).reshape(len(table), -1),
                "k-means of six features of them": difference_features(difference),
                "control: k-means of the patch's mean and spread, no network": np.concatenate(
                    inputs
                ),
            }
            rng = stage_rng(seed, "clusters")
            for done, (name, values) in enumerate(features.items(), start=1):
                called = cluster(values, clusters=len(kinds), rng=rng)
                rows.append(_class_row(name, table, called, kinds, named=False))
                progress("proposals: clusters", done, len(features), {})
    return rows


def _run(
    proposal: Proposal,
    films: Images,
    roles: NDArray[np.str_],
    judged: Sequence[int],
    *,
    segmenter: Segmenter,
    scorer: Scorer,
    steps: int,
    seed: int,
    progress: ProgressCallback,
    look: Callable[[PatchBatch, Reconstruction], None] | None,
) -> PatchTable:
    """Fit the proposal's model to the normal images and score the judged ones."""

    def at_its_size(index: int) -> tuple[ChestImage, LungMask]:
        image = resize(films.dataset.read(index), proposal.size)
        return image, segmenter.segment(image)

    source = None if proposal.size == films.size else at_its_size
    side, stride = proposal.patch_size, proposal.stride
    model = proposal.model(side)
    rng = stage_rng(seed, f"proposal {proposal.name}")
    stage = f"proposals: {proposal.name}"
    with normal_patches(
        films, roles, GridSampler(patch_size=side, stride=stride), rng=rng, source=source
    ) as stores:
        learn(model, stores, steps=steps, rng=rng, progress=progress, stage=stage)
    return score_images(
        films,
        judged,
        sampler=GridSampler(patch_size=side, stride=stride, min_lung_fraction=0.0),
        model=model,
        scorer=scorer,
        progress=progress,
        stage=f"{stage}, scores",
        source=source,
        look=look,
    )


def _score_row(name: str, table: PatchTable, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Judge one score a patch: by AUROC, and by the classes of table 1's thresholds."""
    try:
        rule = table_1_rule(table.scores, table.kinds, kinds=kinds)
    except InsufficientDataError as error:
        return {"name": name, "skipped": str(error)}
    called = np.searchsorted(np.array(rule.thresholds), table.scores, side="left").astype(np.int64)
    row = _class_row(name, table, called, kinds, named=True)
    normal = table.kinds == kinds[0]
    aurocs: dict[str, float | None] = {}
    for kind in kinds[1:]:
        both = normal | (table.kinds == kind)
        enough = min((table.kinds == kind).sum(), normal.sum()) >= FEWEST_PATCHES
        aurocs[kind] = auroc(table.scores[both], ~normal[both]) if enough else None
    return row | {"aurocs": aurocs}


def _class_row(
    name: str,
    table: PatchTable,
    called: NDArray[np.int64],
    kinds: tuple[str, ...],
    *,
    named: bool,
) -> dict[str, Any]:
    missing = [kind for kind in kinds if not (table.kinds == kind).any()]
    if missing:
        return {"name": name, "skipped": f"there is no patch that is known to be {missing[0]}"}
    judged = judge_classes(called, table.kinds, kinds, named=named)
    accuracy = judged["balanced_accuracy"]
    return {
        "name": name,
        "n_patches": int(np.isin(table.kinds, list(kinds)).sum()),
        "aurocs": {},
        "separated": "yes" if accuracy >= SEPARATED else "partly" if accuracy >= PARTLY else "no",
        **judged,
    }
