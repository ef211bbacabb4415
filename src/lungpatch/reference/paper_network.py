"""The paper's network: trained on normal patches, then used to score patches all over images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lungpatch.models import UNet
from lungpatch.reference.patch_table import (
    NORMAL,
    OPACITY,
    OUTSIDE,
    SCORER,
    UNREAD,
    WHOLE_IMAGE_SAMPLER,
    PatchCutter,
    PatchTable,
    score_images,
)
from lungpatch.reference.settings import NORMAL_SAD, PATCH_SIZE, PNEUMONIA_SAD
from lungpatch.reference.stages import StageResult
from lungpatch.reference.training import all_patches, fit_for_steps, shortcut_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from lungpatch.reference.study import Study


def train_network(study: Study) -> StageResult:
    """Train the U-Net of figures 7 to 10 and measure it on normal test patches.

    Parameters
    ----------
    study : Study

    Returns
    -------
    StageResult
        The ``arrays`` are the state of the model.
    """
    rng = study.rng("model")
    model = UNet(patch_size=PATCH_SIZE)
    with study.normal_patches() as stores:
        history = fit_for_steps(
            model,
            stores,
            steps=study.settings.training_steps,
            rng=rng,
            on_epoch=study.on_epoch("model"),
        )
        test = all_patches(stores["test"])
        sad = SCORER.score(test, model.reconstruct(test)).values
        shortcut = shortcut_of(model, stores["test"], rng=rng)
    return StageResult(
        values={
            "loss": model.loss,
            "base_channels": model.base_channels,
            "epochs": len(history.epochs),
            "best_epoch": history.best_epoch,
            "final": dict(history.epochs[-1]),
            "test_sad": {"mean": float(sad.mean()), "lowest": float(sad.min())},
            "paper_normal_sad": NORMAL_SAD,
            "identity_shortcut": shortcut,
        },
        arrays=model.state(),
    )


def load_network(state: Mapping[str, NDArray[Any]]) -> UNet:
    """Return the network that `train_network` trained, from its ``arrays``."""
    model = UNet(patch_size=PATCH_SIZE)
    model.load_state(state)
    return model


def score_patches(study: Study, model: UNet) -> StageResult:
    """Score every patch of the pneumonia images and of the normal images not used for training.

    Parameters
    ----------
    study : Study
    model : UNet

    Returns
    -------
    StageResult
        The ``arrays`` are the columns of a `PatchTable`.
    """
    table = PatchTable.concatenate(
        scored.table
        for scored in score_images(
            PatchCutter(images=study.images, sampler=WHOLE_IMAGE_SAMPLER),
            study.images_for("test", "held", "pneumonia"),
            model,
            progress=study.progress,
            stage="scores",
        )
    )
    of_pneumonia = study.of_pneumonia(table)
    pneumonia, normal = table.select(of_pneumonia), table.select(~of_pneumonia)
    return StageResult(
        values={
            "pneumonia": _mean_sad(pneumonia)
            | {
                "by_kind": {
                    kind: _mean_sad(pneumonia.select(pneumonia.kinds == kind))
                    for kind in (NORMAL, OPACITY, UNREAD, OUTSIDE)
                    if (pneumonia.kinds == kind).any()
                }
            },
            "normal_lung": _mean_sad(normal.select(normal.kinds == NORMAL)),
            "paper": {"normal_sad": NORMAL_SAD, "pneumonia_sad": PNEUMONIA_SAD},
        },
        arrays=table.arrays(),
    )


def _mean_sad(table: PatchTable) -> dict[str, float]:
    return {"patches": len(table), "mean_sad": float(table.scores.mean())}
