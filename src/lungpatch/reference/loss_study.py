"""The effect of each loss on the network's outputs, above all of the one that the paper prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch.containers import FloatImage, PatchBatch
from lungpatch.errors import ConfigurationError
from lungpatch.models import Autoencoder, UNet
from lungpatch.networks.losses import LOSSES
from lungpatch.reference.claims import aurocs_by_kind
from lungpatch.reference.patch_table import SCORER, WHOLE_IMAGE_SAMPLER, PatchCutter, PatchTable
from lungpatch.reference.stages import StageResult
from lungpatch.reference.training import all_patches, fit_for_steps, shortcut_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.models.convolutional import ConvolutionalModel, Output
    from lungpatch.pipeline.patch_store import PatchStore
    from lungpatch.reference.study import Study

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
    without a pixel below ``m / (1 + m)``, with m its mean, becomes all white.

    Parameters
    ----------
    patches : ndarray of float32, shape (N, P, P), values in [0, 1]

    Returns
    -------
    ndarray of float32, shape (N, P, P)
        0 and 1. A black patch, where every output without a 1 is as good, gives 0.

    Notes
    -----
    It is exact: the k brightest pixels are white for some k, and all k are tried.

    Examples
    --------
    >>> from lungpatch.reference import printed_dice_optimum
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


def study_losses(study: Study) -> StageResult:
    """Train a network with each loss and describe what it puts out.

    Parameters
    ----------
    study : Study

    Returns
    -------
    StageResult
        Each of the ``rows`` is one of `CASES`: `describe_outputs` on normal test patches,
        ``aurocs`` of the kinds on the evaluated patches, and ``shortcut`` (see
        `lungpatch.models.diagnostics`); or ``failed``, the reason.
    """
    patches, table = _evaluated_patches(study)
    rows: list[dict[str, Any]] = []
    with study.normal_patches() as stores:
        for number, (network, loss, output) in enumerate(CASES, start=1):
            row: dict[str, Any] = {"network": network, "loss": loss, "output": output}
            patch_size = stores["test"].patch_size
            model = NETWORKS[network](patch_size=patch_size, loss=loss, output=output)
            # Each with the same first weights and order of patches, so that only the loss differs.
            rng = study.rng("losses")
            try:
                fit_for_steps(
                    model,
                    stores,
                    steps=study.settings.study_steps,
                    rng=rng,
                    on_epoch=study.on_epoch(f"losses: {loss}, {network}, {output}"),
                )
            except ConfigurationError as error:
                rows.append(row | {"failed": str(error)})
                continue
            row |= _describe_model(model, stores["test"])
            scores = SCORER.score(patches, model.reconstruct(patches)).values
            row["aurocs"] = aurocs_by_kind(scores, table.kinds, study.kinds)
            row["shortcut"] = shortcut_of(model, stores["test"], rng=rng)
            rows.append(row)
            study.progress("losses", number, len(CASES), {})
    return StageResult(values={"rows": rows, "evaluated_patches": len(patches)})


def _evaluated_patches(study: Study) -> tuple[PatchBatch, PatchTable]:
    """Draw some patches of the evaluated images."""
    cutter = PatchCutter(images=study.images, sampler=WHOLE_IMAGE_SAMPLER)
    cut = list(cutter.cut(study.evaluated_images))
    table = PatchTable.concatenate(rows for _, rows in cut)
    # The stream keeps its old name, which goes into the numbers drawn.
    order = study.rng("judged").permutation(len(table))
    some = np.sort(order[: study.settings.n_study_patches])
    return PatchBatch.concatenate([patches for patches, _ in cut])[some], table.select(some)


def _describe_model(model: ConvolutionalModel, store: PatchStore) -> dict[str, float]:
    patches = all_patches(store)
    reconstruction = model.reconstruct(patches)
    scores = SCORER.score(patches, reconstruction).values
    return describe_outputs(patches.pixels, reconstruction.expected[:, 0], scores)


def describe_outputs(
    patches: FloatImage, outputs: FloatImage, scores: NDArray[np.float64]
) -> dict[str, float]:
    """Describe the outputs of a network for normal patches.

    Parameters
    ----------
    patches, outputs : ndarray of float32, shape (N, P, P)
    scores : ndarray of float64, shape (N,)
        The SAD between them.

    Returns
    -------
    dict of str to float
        ``sad``; ``output_mean``, ``output_low`` and ``output_high`` (1st and 99th percentile) in
        grey levels; ``white`` and ``black``, the fractions of outputs within one grey level of 255
        and 0, or beyond; ``light_meter``, the correlation of SAD with 255 minus the patch's mean
        grey level: 1 if the score only measures how dark a patch is.

    Examples
    --------
    >>> patches = np.array([[[0.2]], [[0.4]], [[0.6]]], np.float32)
    >>> white = np.ones_like(patches)
    >>> found = describe_outputs(patches, white, 255 * (1 - patches[:, 0, 0].astype(float)))
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
