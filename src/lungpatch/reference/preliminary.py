"""The paper's preliminary experiment: the two-class CNN, and where in the image it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch.errors import InsufficientDataError
from lungpatch.reference.classifier import TwoClassCNN, score_classifier
from lungpatch.reference.gradcam import grad_cam, lung_attention
from lungpatch.reference.settings import CLASSIFIER_ACCURACY
from lungpatch.reference.stages import StageResult
from lungpatch.reference.training import stage_rng

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.containers import BoolImage

SHARES = {"validation": 0.15, "test": 0.25}
"""Share of the patients of each class that is held out of training: ours."""


def split_classes(
    labels: ArrayLike, patients: ArrayLike, *, rng: np.random.Generator
) -> NDArray[np.str_]:
    """Split images by patient, each class in the same proportions.

    Parameters
    ----------
    labels : array_like of str, shape (N,)
    patients : array_like of str, shape (N,)
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of str, shape (N,)
        ``training``, ``validation`` or ``test``. A patient with images of both classes is split
        with the patients of pneumonia.

    Raises
    ------
    InsufficientDataError
        If a class has fewer than 3 patients.

    Examples
    --------
    >>> roles = split_classes(["normal"] * 8 + ["pneumonia"] * 8, range(16),
    ...                       rng=np.random.default_rng(0))
    >>> [int((roles == role).sum()) for role in ("training", "validation", "test")]
    [10, 2, 4]
    """
    classes, owners = np.asarray(labels), np.asarray(patients)
    roles = np.full(len(classes), "training", dtype="<U10")
    sick = np.unique(owners[classes == "pneumonia"])
    for name, group in (("pneumonia", sick), ("normal", np.setdiff1d(owners, sick))):
        if len(group) < 3:
            raise InsufficientDataError(
                f"the two-class CNN needs {name} images of at least 3 patients, got {len(group)}"
            )
        order = rng.permutation(group)
        for role, share in SHARES.items():
            count = max(1, round(share * len(group)))
            roles[np.isin(owners, order[:count])] = role
            order = order[count:]
    return roles


def run_preliminary(
    pixels: NDArray[np.float32],
    labels: NDArray[np.str_],
    roles: NDArray[np.str_],
    *,
    lungs: NDArray[np.bool_] | None,
    steps: int,
    n_gradcam: int,
    seed: int,
    progress: ProgressCallback,
) -> StageResult:
    """Train the two-class CNN, judge it on its test images, and see where it looks.

    Parameters
    ----------
    pixels : ndarray of float32, shape (N, S, S), values in [0, 1]
    labels : ndarray of str, shape (N,)
        ``normal`` or ``pneumonia``.
    roles : ndarray of str, shape (N,)
        ``training``, ``validation`` or ``test``.
    lungs : ndarray of bool, shape (N, S, S), optional
        Without them Grad-CAM is not run.
    steps, n_gradcam, seed : int
        At most about so many steps of Adam; the epoch of the lowest validation loss is kept.
    progress : callable

    Returns
    -------
    StageResult
        ``figures`` hold the score on the test images, ``attention`` (see
        `lungpatch.reference.gradcam.LungAttention`) over all test images chosen and over those of
        pneumonia. ``arrays`` hold the images that Grad-CAM was run on, and its maps.
    """
    sick = labels == "pneumonia"
    training, validation, test = (roles == role for role in ("training", "validation", "test"))
    model = TwoClassCNN(image_size=pixels.shape[1])
    a_pass = -(-int(training.sum()) // model.batch_size)
    model.epochs = model.patience = max(1, round(steps / a_pass))
    rng = stage_rng(seed, "classifier")
    history = model.fit(
        pixels[training],
        sick[training],
        validation=(pixels[validation], sick[validation]),
        rng=rng,
        on_epoch=lambda epoch, total, figures: progress("classifier", epoch, total, figures),
    )
    probabilities = model.predict_proba(pixels[test])
    score = score_classifier(probabilities, sick[test])
    figures: dict[str, Any] = {
        "image_size": pixels.shape[1],
        "images": {
            role: {
                "normal": int((chosen & ~sick).sum()),
                "pneumonia": int((chosen & sick).sum()),
            }
            for role, chosen in (
                ("training", training),
                ("validation", validation),
                ("test", test),
            )
        },
        "epochs": len(history.epochs),
        "best_epoch": history.best_epoch,
        "normal_weight": float(sick[training].sum() / (~sick[training]).sum()),
        "test": score.to_dict(),
        "paper_accuracy": CLASSIFIER_ACCURACY,
    }
    if lungs is None:
        return StageResult(figures=figures)
    chosen = np.sort(rng.permutation(np.flatnonzero(test))[:n_gradcam])
    cams = grad_cam(model, pixels[chosen])
    figures["attention"] = lung_attention(cams, lungs[chosen]).to_dict()
    figures["attention_pneumonia"] = lung_attention(
        cams[sick[chosen]], lungs[chosen][sick[chosen]]
    ).to_dict()
    shown = _some_of_each(sick[chosen])
    return StageResult(
        figures=figures,
        arrays={
            "shown": chosen[shown],
            "cams": cams[shown],
            "probabilities": model.predict_proba(pixels[chosen[shown]]),
        },
    )


def _some_of_each(sick: BoolImage, count: int = 2) -> NDArray[np.int64]:
    return np.concatenate([np.flatnonzero(~sick)[:count], np.flatnonzero(sick)[:count]])
