"""The paper's preliminary experiment: the two-class CNN, and where in the image it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch.errors import InsufficientDataError
from lungpatch.reference.classifier import TwoClassCNN, score_classifier
from lungpatch.reference.cohort import known_patients
from lungpatch.reference.gradcam import grad_cam, lung_attention
from lungpatch.reference.settings import CLASSIFIER_ACCURACY
from lungpatch.reference.stages import StageResult
from lungpatch.reference.training import ROLES, stage_rng, steps_per_epoch

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from lungpatch._utils.progress import ProgressCallback
    from lungpatch.containers import BoolImage, TrainingHistory
    from lungpatch.reference.study import Study

FRACTIONS = {"validation": 0.15, "test": 0.25}
"""Fraction of the patients of each class that is held out of training: ours."""


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
    pneumonia = np.unique(owners[classes == "pneumonia"])
    for name, group in (("pneumonia", pneumonia), ("normal", np.setdiff1d(owners, pneumonia))):
        if len(group) < 3:
            raise InsufficientDataError(
                f"the two-class CNN needs {name} images of at least 3 patients, got {len(group)}"
            )
        order = rng.permutation(group)
        for role, fraction in FRACTIONS.items():
            count = max(1, round(fraction * len(group)))
            roles[np.isin(owners, order[:count])] = role
            order = order[count:]
    return roles


@attrs.frozen(eq=False, kw_only=True)
class ClassifierImages:
    """Images of two classes, and what each of them is for.

    Parameters
    ----------
    pixels : ndarray of float32, shape (N, S, S), values in [0, 1]
    labels : ndarray of str, shape (N,)
        ``normal`` or ``pneumonia``.
    roles : ndarray of str, shape (N,)
        ``training``, ``validation`` or ``test``.
    lungs : ndarray of bool, shape (N, S, S), optional
        Without them Grad-CAM is not run.
    """

    pixels: NDArray[np.float32]
    labels: NDArray[np.str_]
    roles: NDArray[np.str_]
    lungs: NDArray[np.bool_] | None = None

    @property
    def pneumonia(self) -> NDArray[np.bool_]:
        """Which images show pneumonia, bool (N,)."""
        pneumonia: NDArray[np.bool_] = self.labels == "pneumonia"
        return pneumonia

    def labelled(self, role: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the pixels of the images with a role, and which of them show pneumonia."""
        chosen = self.roles == role
        return self.pixels[chosen], self.pneumonia[chosen]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of images by role and label."""
        return {
            role: {
                label: int(((self.roles == role) & (self.labels == label)).sum())
                for label in ("normal", "pneumonia")
            }
            for role in ROLES
        }


def run_preliminary(
    images: ClassifierImages,
    *,
    steps: int,
    n_gradcam: int,
    seed: int,
    progress: ProgressCallback,
) -> StageResult:
    """Train the two-class CNN, evaluate it on its test images, and find out where it looks.

    Parameters
    ----------
    images : ClassifierImages
    steps : int
        Approximate maximum number of steps of Adam. The epoch with the lowest validation loss is
        kept.
    n_gradcam : int
        Maximum number of test images that Grad-CAM is run on.
    seed : int
    progress : callable

    Returns
    -------
    StageResult
        The ``values`` hold the metrics on the test images, and ``attention`` (see
        `lungpatch.reference.gradcam.LungAttention`) on all images that Grad-CAM was run on and on
        those of pneumonia. The ``arrays`` hold some of these images, and their maps.
    """
    rng = stage_rng(seed, "classifier")
    model = TwoClassCNN(image_size=images.pixels.shape[1])
    history = _train(model, images, steps, rng, progress)
    test_pixels, test_labels = images.labelled("test")
    _, training_labels = images.labelled("training")
    values: dict[str, Any] = {
        "image_size": model.image_size,
        "images": images.counts(),
        "epochs": len(history.epochs),
        "best_epoch": history.best_epoch,
        "normal_weight": float(training_labels.sum() / (~training_labels).sum()),
        "test": score_classifier(model.predict_proba(test_pixels), test_labels).to_dict(),
        "paper_accuracy": CLASSIFIER_ACCURACY,
    }
    if images.lungs is None:
        return StageResult(values=values)
    tests = np.flatnonzero(images.roles == "test")
    chosen = np.sort(rng.permutation(tests)[:n_gradcam])
    pneumonia, lungs = images.pneumonia[chosen], images.lungs[chosen]
    cams = grad_cam(model, images.pixels[chosen])
    values["attention"] = lung_attention(cams, lungs).to_dict()
    values["attention_pneumonia"] = lung_attention(cams[pneumonia], lungs[pneumonia]).to_dict()
    shown = _some_of_each(pneumonia)
    return StageResult(
        values=values,
        arrays={
            "shown": chosen[shown],
            "cams": cams[shown],
            "probabilities": model.predict_proba(images.pixels[chosen[shown]]),
        },
    )


def _train(
    model: TwoClassCNN,
    images: ClassifierImages,
    steps: int,
    rng: np.random.Generator,
    progress: ProgressCallback,
) -> TrainingHistory:
    pixels, labels = images.labelled("training")
    model.epochs = model.patience = max(
        1, round(steps / steps_per_epoch(len(labels), model.batch_size))
    )
    return model.fit(
        pixels,
        labels,
        validation=images.labelled("validation"),
        rng=rng,
        on_epoch=lambda epoch, epochs, metrics: progress("classifier", epoch, epochs, metrics),
    )


def _some_of_each(pneumonia: BoolImage, count: int = 2) -> NDArray[np.int64]:
    return np.concatenate([np.flatnonzero(~pneumonia)[:count], np.flatnonzero(pneumonia)[:count]])


def classify_images(study: Study) -> StageResult:
    """Run the preliminary experiment on all images of a reproduction that have lungs.

    Parameters
    ----------
    study : Study

    Returns
    -------
    StageResult
        As of `run_preliminary`, ``shown`` being indices into the data set. Without arrays, and
        with the reason as ``skipped``, where there are too few images.
    """
    dataset, settings = study.images.dataset, study.settings
    labelled = np.isin(dataset.labels, ("normal", "pneumonia"))
    indices = np.flatnonzero(labelled & study.images.usable)
    try:
        roles = split_classes(
            dataset.labels[indices], known_patients(dataset)[indices], rng=study.rng("classes")
        )
    except InsufficientDataError as error:
        return StageResult(values={"skipped": str(error)})
    result = run_preliminary(
        ClassifierImages(
            pixels=np.stack([study.images.read(int(index))[0].pixels for index in indices]),
            labels=dataset.labels[indices],
            roles=roles,
            lungs=np.stack([study.images.lungs(int(index)) for index in indices]),
        ),
        steps=settings.classifier_steps,
        n_gradcam=settings.n_gradcam,
        seed=settings.seed,
        progress=study.progress,
    )
    return attrs.evolve(result, arrays=result.arrays | {"shown": indices[result.arrays["shown"]]})
