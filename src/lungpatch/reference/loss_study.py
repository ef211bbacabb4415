"""What each loss makes of the network's outputs, above all the one that the paper prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from lungpatch.containers import FloatImage, PatchBatch
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.evaluation.metrics import auroc
from lungpatch.models.autoencoder import Autoencoder
from lungpatch.models.diagnostics import identity_shortcut
from lungpatch.models.unet import UNet
from lungpatch.networks.losses import LOSSES
from lungpatch.reference.claims import FEWEST_PATCHES
from lungpatch.reference.patch_table import PatchTable
from lungpatch.reference.training import all_patches, learn, stage_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.models.convolutional import ConvolutionalModel, Output
    from lungpatch.pipeline.patch_store import PatchStore
    from lungpatch.protocols import Scorer

NETWORKS: dict[str, type[ConvolutionalModel]] = {"U-Net": UNet, "autoencoder": Autoencoder}

CASES: tuple[tuple[str, str, Output], ...] = (
    *((network, loss, "sigmoid") for loss in LOSSES for network in NETWORKS),
    *((network, "dice", "linear") for network in NETWORKS),
)
"""Network, loss and output of each training."""


def printed_dice_optimum(patches: FloatImage) -> FloatImage:
    """Return the outputs in [0, 1] at which the printed Dice loss is lowest: black and white.

    ``r = 2 sum I J / sum(I + J)`` rises with J(x) where ``I(x) > r / 2`` and falls with it
    elsewhere, whatever J(x) is. So at the optimum J is 1 where I lies above half of the optimal
    coefficient and 0 where it lies below: a thresholded image, never the image itself. A patch
    without a pixel below ``m / (1 + m)``, m its mean, becomes all white.

    Parameters
    ----------
    patches : ndarray of float32, shape (N, P, P), values in [0, 1]

    Returns
    -------
    ndarray of float32, shape (N, P, P)
        0 and 1. A black patch, where every output without a 1 is as good, gives 0.

    Notes
    -----
    Exact: the k brightest pixels are white for some k, and all k are tried.

    Examples
    --------
    >>> printed_dice_optimum(np.array([[[0.5, 0.4], [0.4, 0.0]]], np.float32))
    array([[[1., 1.], [1., 0.]]], dtype=float32)
    """
    flat = patches.reshape(len(patches), -1).astype(np.float64)
    order = np.argsort(-flat, axis=1, kind="stable")
    brightest = np.cumsum(np.take_along_axis(flat, order, axis=1), axis=1)
    white = np.arange(1, flat.shape[1] + 1)
    coefficient = 2 * brightest / (brightest[:, -1:] + white)
    count = np.where(brightest[:, -1] > 0, coefficient.argmax(axis=1) + 1, 0)
    rank = np.argsort(order, axis=1, kind="stable")
    optimum: FloatImage = (rank < count[:, None]).astype(np.float32).reshape(patches.shape)
    return optimum


@attrs.frozen(eq=False, kw_only=True)
class StudyPatches:
    """Patches that every training of a study is judged on.

    Parameters
    ----------
    patches : PatchBatch
        Of pneumonia images.
    table : PatchTable
        Their kinds.
    kinds : tuple of str
        The three kinds in the order of scores that the paper expects.
    """

    patches: PatchBatch
    table: PatchTable
    kinds: tuple[str, ...]

    def aurocs(self, scores: NDArray[np.float64]) -> dict[str, float | None]:
        """Return AUROC of the second and of the third kind against the first; None if unknown."""
        found: dict[str, float | None] = {}
        normal = self.table.kinds == self.kinds[0]
        for kind in self.kinds[1:]:
            there = self.table.kinds == kind
            enough = min(normal.sum(), there.sum()) >= FEWEST_PATCHES
            both = normal | there
            found[kind] = auroc(scores[both], there[both]) if enough else None
        return found


def study_losses(
    stores: dict[str, PatchStore],
    judged: StudyPatches,
    *,
    scorer: Scorer,
    steps: int,
    seed: int,
    progress: ProgressCallback,
) -> list[dict[str, Any]]:
    """Train a network with each loss and describe what comes out of it.

    Parameters
    ----------
    stores : dict of str to PatchStore
        See `lungpatch.reference.training.normal_patches`.
    judged : StudyPatches
    scorer : Scorer
        Over the whole patch.
    steps, seed : int
    progress : callable

    Returns
    -------
    list of dict
        One of `CASES` each: `output_figures` on normal test patches, AUROCs on ``judged``,
        ``shortcut`` (see `lungpatch.models.diagnostics`), or ``failed``, the reason.
    """
    test = all_patches(stores["test"])
    rows: list[dict[str, Any]] = []
    for number, (network, loss, output) in enumerate(CASES, start=1):
        row: dict[str, Any] = {"network": network, "loss": loss, "output": output}
        model = NETWORKS[network](patch_size=test.patch_size, loss=loss, output=output)
        # Each from the same weights and in the same order, so that only the loss differs.
        own_rng = stage_rng(seed, "losses")
        try:
            learn(
                model,
                stores,
                steps=steps,
                rng=own_rng,
                progress=progress,
                stage=f"losses: {loss}, {network}, {output}",
            )
        except ConfigurationError as error:
            rows.append(row | {"failed": str(error)})
            continue
        expected = model.reconstruct(test)
        figures = output_figures(
            test.pixels, expected.expected[:, 0], scorer.score(test, expected).values
        )
        scores = scorer.score(judged.patches, model.reconstruct(judged.patches)).values
        try:
            shortcut = identity_shortcut(model, stores["test"], rng=own_rng)
        except InsufficientDataError:
            shortcut = None
        rows.append(
            row
            | figures
            | {
                "aurocs": judged.aurocs(scores),
                "shortcut": None if shortcut is None else shortcut.shortcut,
            }
        )
        progress("losses", number, len(CASES), {})
    return rows


def output_figures(
    patches: FloatImage, outputs: FloatImage, scores: NDArray[np.float64]
) -> dict[str, float]:
    """Describe what a network puts out for normal patches.

    Parameters
    ----------
    patches, outputs : ndarray of float32, shape (N, P, P)
    scores : ndarray of float64, shape (N,)
        The SAD between them.

    Returns
    -------
    dict of str to float
        ``sad``; ``output_mean``, ``output_low`` and ``output_high`` (1st and 99th percentile) in
        grey levels; ``white`` and ``black``, shares of outputs within one grey level of 255 and
        0, or beyond; ``light_meter``, the correlation of SAD with 255 less the patch's mean grey:
        1 if the score only tells how dark a patch is.

    Examples
    --------
    >>> patches = np.array([[[0.2]], [[0.4]], [[0.6]]], np.float32)
    >>> white = np.ones_like(patches)
    >>> found = output_figures(patches, white, 255 * (1 - patches[:, 0, 0].astype(float)))
    >>> found["white"], round(found["light_meter"], 3)
    (1.0, 1.0)
    """
    grey = 255.0 * outputs.astype(np.float64)
    darkness = 255.0 * (1.0 - patches.mean(axis=(1, 2), dtype=np.float64))
    low, high = np.percentile(grey, (1, 99))
    varied = np.ptp(scores) > 0 and np.ptp(darkness) > 0
    return {
        "sad": float(scores.mean()),
        "output_mean": float(grey.mean()),
        "output_low": float(low),
        "output_high": float(high),
        "white": float((grey >= 254.0).mean()),
        "black": float((grey <= 1.0).mean()),
        "light_meter": float(np.corrcoef(scores, darkness)[0, 1]) if varied else float("nan"),
    }
