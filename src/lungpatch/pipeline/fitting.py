"""How a pipeline is fitted: split by patient, read, train, calibrate, report."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.forks import IMPORTING
from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch._version import __version__
from lungpatch.containers import TrainingHistory
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.networks.checkpoints import checkpoints_in
from lungpatch.pipeline.calibration import Calibration, NormalImage, score_normal, summarise
from lungpatch.pipeline.cohort import UnusedImage, UsableImage, patients_of, read_cohort
from lungpatch.pipeline.patch_store import PatchSelection, PatchStore
from lungpatch.pipeline.snapshot import Snapshot
from lungpatch.pipeline.splitting import (
    ROLES,
    Role,
    check_counts,
    fold_by_patient,
    hold_out,
    split_by_patient,
)

if TYPE_CHECKING:
    from pathlib import Path

    from lungpatch.pipeline.results import PreparedImage
    from lungpatch.pipeline.steps import ImageInput, Steps

logger = logging.getLogger(__name__)

PATCH_ROLES: tuple[Role, Role] = ("training", "validation")
"""What patches are cut for; calibration images are scored instead."""

MIN_CERTAIN_CALIBRATION = 20
"""Fewer calibration patients than this are warned of."""


def _counts(names: tuple[str, ...]) -> Any:
    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        counts = value if isinstance(value, dict) else {}
        if set(counts) != set(names) or any(type(count) is not int for count in counts.values()):
            raise ValueError(f"{attribute.name} must hold a number for each of {names}")

    return check


@attrs.frozen(kw_only=True)
class FitReport:
    """What ``fit`` used and what came of it.

    Parameters
    ----------
    n_images : int
        How many were used.
    images, patients : dict of str to int
        How many in each role: ``training``, ``validation``, ``calibration``. In cross calibration
        all images calibrate, beside their other role.
    patches : dict of str to int
        How many patches the model was trained and validated on.
    unused : tuple of UnusedImage
        Images that could not be read, hold no lung, or are the same as another.
    history : TrainingHistory
    identity_shortcut : dict or None
        `lungpatch.models.diagnostics.IdentityShortcut` as a dict; None for feature models.
    training_digest : str
        SHA-256 over the pixels of all used images, whatever their order.
    seconds : float

    Examples
    --------
    >>> pipeline.report_.images                                        # doctest: +SKIP
    {'training': 145, 'validation': 38, 'calibration': 61}
    """

    n_images: int = attrs.field(validator=validators.instance_of(int))
    images: dict[str, int] = attrs.field(validator=_counts(ROLES))
    patients: dict[str, int] = attrs.field(validator=_counts(ROLES))
    patches: dict[str, int] = attrs.field(validator=_counts(PATCH_ROLES))
    unused: tuple[UnusedImage, ...]
    history: TrainingHistory
    identity_shortcut: dict[str, Any] | None = attrs.field(
        validator=validators.optional(validators.instance_of(dict))
    )
    training_digest: str = attrs.field(validator=validators.instance_of(str))
    seconds: float = attrs.field(validator=validators.instance_of((float, int)))


@attrs.frozen(kw_only=True)
class _Stored:
    """The patches of an image in the store."""

    index: int
    n_patches: int


_Usable = UsableImage[_Stored]


@attrs.define(kw_only=True)
class _Cohort:
    """The images given to ``fit``, in an order that does not depend on that of the input."""

    usable: list[_Usable]
    unused: list[UnusedImage]
    roles: Mapping[str, Role] = attrs.field(factory=dict)

    @property
    def patients(self) -> list[str]:
        # In the order of the images' content, whatever the patients are called or numbered.
        return list(dict.fromkeys(image.patient for image in self.usable))

    def in_role(self, role: Role) -> list[_Usable]:
        return [image for image in self.usable if self.roles[image.patient] == role]


def fit_steps(
    steps: Steps,
    images: Iterable[ImageInput],
    *,
    patients: Mapping[str, str] | None,
    progress: ProgressCallback | None,
    checkpoint: Path | None = None,
) -> tuple[Calibration, FitReport]:
    """Train the model of a pipeline and set its thresholds. See `lungpatch.Pipeline.fit`.

    Examples
    --------
    >>> calibration, report = fit_steps(
    ...     pipeline, normal_images, patients=None, progress=None)     # doctest: +SKIP
    """
    start = time.perf_counter()
    notify = progress or silent
    inputs = list(images)
    owners = patients_of(inputs, patients)
    _check_feasible(steps, owners)
    split_rng, sample_rng, train_rng, shortcut_rng, map_rng, fold_rng = (
        np.random.default_rng(seed) for seed in np.random.SeedSequence(steps.seed).spawn(6)
    )
    with PatchStore(steps.model.patch_size) as store:
        cohort = _read(steps, inputs, owners, store, sample_rng, notify)
        _split(steps, cohort, split_rng)
        used = {role: cohort.in_role(role) for role in ROLES}
        training, validation = (_patches(used[role], store) for role in PATCH_ROLES)
        with _checkpoints(steps, cohort, checkpoint):
            history = _train(steps, training, validation, train_rng, notify)
            shortcut = _measure_shortcut(steps, validation or training, shortcut_rng, notify)
            if steps.calibration == "cross":
                used = used | {"calibration": cohort.usable}
                normals = _score_folds(steps, cohort, store, fold_rng, map_rng, notify)
            else:
                held_out = _inputs(used["calibration"])
                normals = score_normal(steps, held_out, notify=notify, rng=map_rng)
        report = FitReport(
            n_images=len(cohort.usable),
            images={role: len(images) for role, images in used.items()},
            patients={role: len({i.patient for i in images}) for role, images in used.items()},
            patches={"training": len(training), "validation": len(validation)},
            unused=tuple(cohort.unused),
            history=history,
            identity_shortcut=shortcut,
            training_digest=_digest_of(cohort),
            seconds=time.perf_counter() - start,
        )
    return summarise(steps, normals, steps.calibration), report


def _inputs(images: Iterable[_Usable]) -> list[tuple[ImageInput, str]]:
    return [(image.item, image.patient) for image in images]


def _check_feasible(steps: Steps, owners: list[str]) -> None:
    """Refuse before any image is read what could not work with all of them."""
    for thresholder in (steps.thresholder, steps.region_thresholder):
        if thresholder.uses_labels:
            raise ConfigurationError(
                f"{type(thresholder).__name__} needs labelled images, and fit sees normal "
                "ones only: fit with another thresholder, then fit this one on scores and labels "
                "of your own and pass its threshold_ to a FixedThresholder"
            )
    check_counts(len(set(owners)), steps.min_calibration_patients, calibration=steps.calibration)


def _read(
    steps: Steps,
    inputs: list[ImageInput],
    owners: list[str],
    store: PatchStore,
    rng: np.random.Generator,
    notify: ProgressCallback,
) -> _Cohort:
    """Read every image once and store its patches."""
    # One seed per fit and image: the patches of an image do not depend on the order of the input.
    entropy = int(rng.integers(2**63))

    def keep(prepared: PreparedImage, _patient: str, digest: bytes) -> _Stored:
        image_rng = np.random.default_rng([entropy, int.from_bytes(digest[:8])])
        patches = steps.fit_sampler.sample(prepared.resized, prepared.lungs, rng=image_rng)
        store.add(patches)
        return _Stored(index=store.n_images - 1, n_patches=len(patches))

    usable, unused = read_cohort(steps, inputs, owners, keep=keep, notify=notify)
    return _Cohort(usable=usable, unused=unused)


def _split(steps: Steps, cohort: _Cohort, rng: np.random.Generator) -> None:
    """Give each patient with a usable image a role."""
    names = cohort.patients
    unused = cohort.unused
    reason = f"; {len(unused)} images could not be used, the first: {unused[0]}" if unused else ""
    try:
        if steps.calibration == "cross":
            check_counts(len(names), steps.min_calibration_patients, calibration="cross")
            cohort.roles = hold_out(names, fraction=steps.validation_fraction, rng=rng)
        else:
            cohort.roles = split_by_patient(
                names,
                validation_fraction=steps.validation_fraction,
                calibration_fraction=steps.calibration_fraction,
                min_calibration=steps.min_calibration_patients,
                rng=rng,
            )
    except InsufficientDataError as error:
        raise InsufficientDataError(f"{error}{reason}") from None
    if not any(image.kept.n_patches for image in cohort.in_role("training")):
        raise InsufficientDataError(
            "no training patch was found: no image holds lungs large enough for a patch. Lower "
            f"patch_size or min_lung_fraction, or check the segmenter{reason}"
        )
    cross = steps.calibration == "cross"
    n_calibration = len(names) if cross else list(cohort.roles.values()).count("calibration")
    if n_calibration < MIN_CERTAIN_CALIBRATION:
        logger.warning(
            "the thresholds rest on %d patients only; the rate of false alarms is uncertain",
            n_calibration,
        )


def _score_folds(
    steps: Steps,
    cohort: _Cohort,
    store: PatchStore,
    rng: np.random.Generator,
    map_rng: np.random.Generator,
    notify: ProgressCallback,
) -> list[NormalImage]:
    """Score each image by a model that was trained without its fold of patients."""
    normals: list[NormalImage] = []

    def notify_all(stage: str, done: int, _: int, metrics: Mapping[str, float]) -> None:
        notify(stage, len(normals) + done, len(cohort.usable), metrics)

    folds = fold_by_patient(cohort.patients, folds=steps.folds, rng=rng)
    for number, fold in enumerate(folds, start=1):
        others = [image for image in cohort.usable if image.patient not in fold]
        roles = hold_out(
            [image.patient for image in others], fraction=steps.validation_fraction, rng=rng
        )
        training, validation = (
            _patches([image for image in others if roles[image.patient] == role], store)
            for role in PATCH_ROLES
        )
        without_fold = attrs.evolve(steps, model=copy.deepcopy(steps.model))
        stage = f"train without fold {number} of {len(folds)}"
        _train(without_fold, training, validation, rng, notify, stage=stage)
        held_out = _inputs(image for image in cohort.usable if image.patient in fold)
        normals += score_normal(without_fold, held_out, notify=notify_all, rng=map_rng)
    return normals


@contextlib.contextmanager
def _checkpoints(steps: Steps, cohort: _Cohort, folder: Path | None) -> Iterator[None]:
    """Keep checkpoints of the trainings within the block, if they are wanted."""
    if folder is None:
        yield
        return
    images = [(image.digest.hex(), cohort.roles[image.patient]) for image in cohort.usable]
    fit = {
        "lungpatch": __version__,
        "parts": {path: repr(part) for path, part in Snapshot.of(steps).parts.items()},
        "seed": steps.seed,
        "images": hashlib.sha256(repr(images).encode()).hexdigest(),
    }
    with checkpoints_in(folder, fit) as goes_on:
        if goes_on:
            logger.warning("going on from the checkpoints in %s", folder)
        yield


def _patches(images: Iterable[_Usable], store: PatchStore) -> PatchSelection:
    return store.select(image.kept.index for image in images)


def _train(
    steps: Steps,
    training: PatchSelection,
    validation: PatchSelection,
    rng: np.random.Generator,
    notify: ProgressCallback,
    *,
    stage: str = "train",
) -> TrainingHistory:
    notify(stage, 0, 1, {})
    history = steps.model.fit(
        training,
        validation=validation if len(validation) else None,
        rng=rng,
        on_epoch=lambda epoch, epochs, metrics: notify(stage, epoch, epochs, metrics),
    )
    # Not kept: what was not trained at all, and a model whose folds are still to be trained.
    if history.stopped == "interrupted" and (not history.epochs or steps.calibration == "cross"):
        raise KeyboardInterrupt
    return history


def _measure_shortcut(
    steps: Steps, source: PatchSelection, rng: np.random.Generator, notify: ProgressCallback
) -> dict[str, Any] | None:
    with IMPORTING:  # it paints opacities, which needs much of SciPy
        from lungpatch.models.diagnostics import identity_shortcut

    notify("measure", 0, 1, {})
    try:
        shortcut = identity_shortcut(steps.model, source, rng=rng)
    except InsufficientDataError as error:
        # A diagnostic that cannot be had is no reason to lose what was trained.
        logger.warning("identity shortcut not measured: %s", error)
        shortcut = None
    notify("measure", 1, 1, {})
    return None if shortcut is None else shortcut.to_dict()


def _digest_of(cohort: _Cohort) -> str:
    return hashlib.sha256(b"".join(image.digest for image in cohort.usable)).hexdigest()
