"""How a pipeline learns: split by patient, train, set the thresholds, report."""

from __future__ import annotations

import copy
import hashlib
import logging
import math
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np
from attrs import validators

from lungpatch.colours import ColourScale
from lungpatch.containers import ChestImage, Failure, TrainingHistory
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.patch_store import PatchStore
from lungpatch.progress import ProgressCallback, silent

if TYPE_CHECKING:
    from lungpatch.models.diagnostics import IdentityCollapse
    from lungpatch.pipeline import ImageInput, Pipeline

logger = logging.getLogger(__name__)

Role = Literal["training", "validation", "calibration"]

HEAT_SAMPLES_PER_IMAGE = 2000
"""Pixels of each calibration map that the colour scale is taken from."""


_COUNTS = validators.deep_mapping(validators.instance_of(str), validators.instance_of(int))


@attrs.frozen(kw_only=True)
class UnusedImage:
    """An image that ``fit`` could not use, and why.

    Parameters
    ----------
    source : str
        Its path, or its id.
    reason : str

    Examples
    --------
    >>> UnusedImage(source="a.png", reason="no_lungs")
    UnusedImage(source='a.png', reason='no_lungs')
    """

    source: str
    reason: str


@attrs.frozen(kw_only=True)
class Calibration:
    """What healthy images kept out of training set.

    Parameters
    ----------
    threshold : float
        For the image score.
    map_threshold : float
        For the heat of the anomaly map.
    rule : str
        The thresholder that found both.
    colour_scale : ColourScale
        One scale for the maps of all images.

    Examples
    --------
    >>> from lungpatch.colours import ColourScale
    >>> Calibration(threshold=1.5, map_threshold=4.0, rule="QuantileThresholder",
    ...             colour_scale=ColourScale(low=1.0, high=7.0)).threshold
    1.5
    """

    threshold: float
    map_threshold: float
    rule: str
    colour_scale: ColourScale


@attrs.frozen(kw_only=True)
class FitReport:
    """What ``fit`` used and what came of it.

    Parameters
    ----------
    images, patients : dict of str to int
        How many in each role: ``training``, ``validation``, ``calibration``.
    patches : dict of str to int
        How many patches the model was trained and validated on.
    unused : tuple of UnusedImage
        Images that could not be read or hold no lung.
    history : TrainingHistory
    identity_collapse : dict or None
        `lungpatch.models.diagnostics.IdentityCollapse` as a dict; None for feature models.
    training_digest : str
        SHA-256 over the pixels of all used images, whatever their order.
    seconds : float

    Examples
    --------
    >>> pipeline.report_.images                                        # doctest: +SKIP
    {'training': 145, 'validation': 38, 'calibration': 61}
    """

    images: dict[str, int] = attrs.field(validator=_COUNTS)
    patients: dict[str, int] = attrs.field(validator=_COUNTS)
    patches: dict[str, int] = attrs.field(validator=_COUNTS)
    unused: tuple[UnusedImage, ...]
    history: TrainingHistory
    identity_collapse: dict[str, Any] | None = attrs.field(
        validator=validators.optional(validators.instance_of(dict))
    )
    training_digest: str = attrs.field(validator=validators.instance_of(str))
    seconds: float = attrs.field(validator=validators.instance_of((float, int)))


def split_by_patient(
    patients: list[str],
    *,
    validation_fraction: float,
    calibration_fraction: float,
    min_calibration: int,
    rng: np.random.Generator,
) -> dict[str, Role]:
    """Give every patient one role, so that no patient is on two sides.

    Parameters
    ----------
    patients : list of str
        One an image; repeats allowed.
    validation_fraction, calibration_fraction : float
        Shares of the patients; at least one patient each.
    min_calibration : int
        Patients that the thresholder needs. It may take up to half of all.
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to {"training", "validation", "calibration"}

    Raises
    ------
    InsufficientDataError
        If there are fewer than three patients, or the thresholder needs more than half of them.

    Examples
    --------
    >>> import numpy as np
    >>> roles = split_by_patient(
    ...     [f"p{i}" for i in range(20)], validation_fraction=0.15, calibration_fraction=0.2,
    ...     min_calibration=1, rng=np.random.default_rng(0))
    >>> sorted(roles.values()).count("training")
    13
    """
    names = np.array(sorted(set(patients)))
    if len(names) < 3:
        raise InsufficientDataError(
            f"fit needs images of at least 3 patients (training, validation, calibration), "
            f"got {len(names)}"
        )
    n_validation = max(1, round(validation_fraction * len(names)))
    n_calibration = max(1, round(calibration_fraction * len(names)), min_calibration)
    if min_calibration > len(names) // 2:
        raise InsufficientDataError(
            f"the thresholder needs {min_calibration} healthy patients kept out of training, at "
            f"most half of all; there are {len(names)}. Give at least {2 * min_calibration}, or "
            "choose a thresholder that needs fewer, such as 'quantile'"
        )
    n_validation = min(n_validation, len(names) - n_calibration - 1)
    order = rng.permutation(names)
    roles: dict[str, Role] = dict.fromkeys(order.tolist(), "training")
    roles |= dict.fromkeys(order[:n_calibration].tolist(), "calibration")
    roles |= dict.fromkeys(
        order[n_calibration : n_calibration + n_validation].tolist(), "validation"
    )
    return roles


def fit_pipeline(
    pipeline: Pipeline,
    images: Iterable[ImageInput],
    *,
    patients: Mapping[str, str] | None,
    progress: ProgressCallback | None,
) -> tuple[Calibration, FitReport]:
    """Train the model of ``pipeline``; return what else was learnt. See `Pipeline.fit`.

    Examples
    --------
    >>> calibration, report = fit_pipeline(
    ...     pipeline, healthy, patients=None, progress=None)           # doctest: +SKIP
    """
    start = time.perf_counter()
    notify = progress or silent
    if pipeline.thresholder.uses_labels:
        raise ConfigurationError(
            f"{type(pipeline.thresholder).__name__} needs labelled images, and fit sees healthy "
            "ones only: fit with another thresholder, then fit this one on scores and labels of "
            "your own and pass its threshold_ to a FixedThresholder"
        )
    split_rng, sample_rng, train_rng, collapse_rng, heat_rng = (
        np.random.default_rng(seed) for seed in np.random.SeedSequence(pipeline.seed).spawn(5)
    )
    inputs = list(images)
    owners = _owners(inputs, patients)
    min_scores = int(getattr(pipeline.thresholder, "min_scores", 1))
    roles = split_by_patient(
        owners,
        validation_fraction=pipeline.validation_fraction,
        calibration_fraction=pipeline.calibration_fraction,
        min_calibration=min_scores,
        rng=split_rng,
    )

    unused: list[UnusedImage] = []
    used: list[tuple[ImageInput, str]] = []
    digests: list[bytes] = []
    side = pipeline.model.patch_size
    with PatchStore(side) as training, PatchStore(side) as validation:
        stores = {"training": training, "validation": validation}
        for count, (item, owner) in enumerate(zip(inputs, owners, strict=True), start=1):
            store = stores.get(roles[owner])
            # A calibration image is looked at now only to know in time whether enough can be used.
            prepared = (
                pipeline.prepare_or_fail(item)
                if store is None
                else pipeline.prepare_or_fail(item, sampler=pipeline.fit_sampler, rng=sample_rng)
            )
            notify("read", count, len(inputs), {})
            if isinstance(prepared, Failure):
                unused.append(UnusedImage(source=prepared.source, reason=str(prepared.error)))
                logger.warning("left out: %s", prepared.error)
                continue
            if prepared.status != "ok":
                name = prepared.image.source
                reason = ": ".join(filter(None, (prepared.status, prepared.lungs.implausible)))
                unused.append(UnusedImage(source=name, reason=reason))
                logger.warning("left out: %s: %s", name, reason)
                continue
            if store is not None:
                store.add(prepared.patches)
            used.append((item, owner))
            digests.append(hashlib.sha256(prepared.resized.pixels.tobytes()).digest())
        kept_out = [(item, owner) for item, owner in used if roles[owner] == "calibration"]
        _check_enough(len(training), len({o for _, o in kept_out}), min_scores, unused)

        history = pipeline.model.fit(
            training,
            validation=validation if len(validation) else None,
            rng=train_rng,
            on_epoch=lambda epoch, epochs, figures: notify("train", epoch, epochs, figures),
        )
        if history.stopped == "interrupted" and not history.epochs:
            raise KeyboardInterrupt  # nothing was learnt that would be worth keeping
        unseen = validation if len(validation) else training
        collapse = _identity_collapse(pipeline, unseen, collapse_rng)
        calibration = _calibrate(pipeline, kept_out, notify, heat_rng)
        report = FitReport(
            images={r: sum(roles[o] == r for _, o in used) for r in (*stores, "calibration")},
            patients={
                r: len({o for _, o in used if roles[o] == r}) for r in (*stores, "calibration")
            },
            patches={role: len(store) for role, store in stores.items()},
            unused=tuple(unused),
            history=history,
            identity_collapse=None if collapse is None else collapse.to_dict(),
            training_digest=hashlib.sha256(b"".join(sorted(digests))).hexdigest(),
            seconds=time.perf_counter() - start,
        )
    return calibration, report


def _owners(inputs: list[ImageInput], patients: Mapping[str, str] | None) -> list[str]:
    names = []
    for index, item in enumerate(inputs):
        if isinstance(item, ChestImage):
            names.append(item.image_id)
        elif isinstance(item, (str, os.PathLike)):
            names.append(Path(item).name)
        else:
            names.append(f"array {index}")
    if patients is None:
        # Numbered, since two folders may hold files of one name.
        return [f"{index}: {name}" for index, name in enumerate(names)]
    missing = [n for n in names if n not in patients and Path(n).stem not in patients]
    if missing:
        raise ConfigurationError(
            f"the table of patients lacks {len(missing)} of {len(names)} images, {missing[0]!r} "
            "first: add them, or fit without a table, each image then being its own patient"
        )
    return [patients.get(name) or patients[Path(name).stem] for name in names]


def _check_enough(
    n_patches: int, n_calibration: int, min_scores: int, unused: list[UnusedImage]
) -> None:
    reason = f"; {len(unused)} images could not be used, the first: {unused[0]}" if unused else ""
    if n_patches == 0:
        raise InsufficientDataError(
            "no training patch was found: no image holds lungs large enough for a patch. Lower "
            f"patch_size or min_lung_fraction, or check the segmenter{reason}"
        )
    if n_calibration < max(1, min_scores):
        raise InsufficientDataError(
            f"the thresholder needs {max(1, min_scores)} usable healthy patients kept out of "
            f"training, got {n_calibration}: give more images{reason}"
        )
    if n_calibration < 20:
        logger.warning(
            "the thresholds rest on %d patients only; the rate of false alarms is uncertain",
            n_calibration,
        )


def _identity_collapse(
    pipeline: Pipeline, source: PatchStore, rng: np.random.Generator
) -> IdentityCollapse | None:
    from lungpatch.models.diagnostics import identity_collapse

    try:
        return identity_collapse(pipeline.model, source, rng=rng)
    except InsufficientDataError as error:
        # A diagnostic that cannot be had is no reason to lose what was learnt.
        logger.warning("identity collapse not measured: %s", error)
        return None


def _calibrate(
    pipeline: Pipeline,
    kept_out: list[tuple[ImageInput, str]],
    notify: ProgressCallback,
    rng: np.random.Generator,
) -> Calibration:
    highest_score: dict[str, float] = {}
    highest_heat: dict[str, float] = {}
    samples = []
    for count, (item, owner) in enumerate(kept_out, start=1):
        scored = pipeline.score([pipeline.prepare(item)])[0]
        assert scored.pred_score is not None  # its status was ok when it was first read
        heat = scored.anomaly_map.heatmap[scored.anomaly_map.scored]
        highest_score[owner] = max(highest_score.get(owner, -math.inf), scored.pred_score)
        highest_heat[owner] = max(highest_heat.get(owner, -math.inf), float(heat.max()))
        samples.append(rng.choice(heat, HEAT_SAMPLES_PER_IMAGE))
        notify("calibrate", count, len(kept_out), {})
    of_images = pipeline.thresholder.fit(np.array(list(highest_score.values())))
    of_maps = copy.deepcopy(of_images).fit(np.array(list(highest_heat.values())))
    return Calibration(
        threshold=of_images.threshold_,
        map_threshold=of_maps.threshold_,
        rule=type(of_images).__name__,
        colour_scale=ColourScale.from_healthy(np.concatenate(samples), of_maps.threshold_),
    )
