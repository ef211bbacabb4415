"""Several detectors as one: the weighted mean of their errors, calibrated on normal lungs."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import validators
from numpy.typing import NDArray

from lungpatch._utils.component import Component, plain_errors
from lungpatch.containers import FloatImage, PatchBatch, Reconstruction, TrainingHistory
from lungpatch.errors import ConfigurationError, InsufficientDataError, NotFittedError
from lungpatch.models.feature_model import shared_features
from lungpatch.protocols import (
    EpochCallback,
    PatchSource,
    ReconstructionModel,
    Scorer,
    is_component,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MIN_SPREAD = 1e-6
"""Minimum standard deviation of a member's errors, for those that do not vary."""

BATCH_SIZE = 8


@attrs.define(eq=False, kw_only=True, field_transformer=plain_errors)
class Member(Component):
    """One detector of an ensemble.

    Parameters
    ----------
    model : ReconstructionModel
    scorer : Scorer
        A scorer that returns error maps.
    weight : float
        Above 0; only the ratios of weights matter.

    See Also
    --------
    EnsembleModel : The detector that it is a part of.

    Examples
    --------
    >>> from lungpatch.models import PCA, Member
    >>> from lungpatch.scorers import SADScorer
    >>> Member(model=PCA(), scorer=SADScorer(), weight=2.0).weight
    2.0
    """

    model: ReconstructionModel = attrs.field(
        validator=is_component("model"), metadata={"component": "model"}
    )
    scorer: Scorer = attrs.field(validator=is_component("scorer"), metadata={"component": "scorer"})
    weight: float = attrs.field(
        default=1.0, validator=[validators.instance_of((int, float)), validators.gt(0)]
    )


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class EnsembleModel(Component):
    """Return the weighted mean of several detectors' errors, each a z-score among normal lungs.

    Every member is fitted to the same patches. Its errors on normal patches that it was not fitted
    to then give a mean and a standard deviation over all lung pixels. The ensemble returns by how
    many standard deviations its members' errors are above the mean. Use the scorer ``feature``
    with ``difference="excess"``.

    Parameters
    ----------
    members : sequence of Member
        At least one; the models of all have the same patch size.

    See Also
    --------
    Member : A model with its scorer and its weight.

    Examples
    --------
    >>> from lungpatch.models import PCA, EnsembleModel, Member
    >>> from lungpatch.scorers import L2Scorer, SADScorer
    >>> EnsembleModel(members=[
    ...     Member(model=PCA(patch_size=64), scorer=SADScorer()),
    ...     Member(model=PCA(patch_size=64, n_components=4), scorer=L2Scorer(), weight=0.5),
    ... ]).patch_size
    64
    """

    members: tuple[Member, ...] = attrs.field(
        converter=tuple,
        validator=[validators.min_len(1), validators.deep_iterable(validators.instance_of(Member))],
        metadata={"tables": Member},
    )

    calibration_: tuple[NDArray[np.float32], ...] | None = attrs.field(
        init=False, default=None, repr=False
    )

    def __attrs_post_init__(self) -> None:
        sizes = [member.model.patch_size for member in self.members]
        if len(set(sizes)) > 1:
            raise ConfigurationError(
                f"EnsembleModel: the 'members' must all have one patch_size (got {sizes})"
            )

    @property
    def patch_size(self) -> int:
        """Side of the patches it takes, in pixels."""
        return self.members[0].model.patch_size

    def fit(
        self,
        source: PatchSource,
        *,
        validation: PatchSource | None = None,
        rng: np.random.Generator,
        on_epoch: EpochCallback | None = None,
    ) -> TrainingHistory:
        """Fit every member, then calibrate it.

        Parameters
        ----------
        source : PatchSource
            Normal patches.
        validation : PatchSource, optional
            Normal patches of other images, on which the members are calibrated. Without them
            ``source`` is used, where errors are smaller than on new images.
        rng : numpy.random.Generator
            Each member gets its own generator, spawned from it.
        on_epoch : callable, optional
            Called as ``on_epoch(epoch, epochs, metrics)`` after every epoch of a member, counted
            over all members; those that follow are assumed to need as many as the current one.

        Returns
        -------
        TrainingHistory
            The epochs of all members in turn, each with its ``member``, counted from 0.

        Raises
        ------
        InsufficientDataError
            If there are no patches.
        """
        histories: list[TrainingHistory] = []
        for member, member_rng in zip(self.members, rng.spawn(len(self.members)), strict=True):
            history = member.model.fit(
                source,
                validation=validation,
                rng=member_rng,
                on_epoch=on_epoch and self._counted_through(on_epoch, histories),
            )
            histories.append(history)
            if history.stopped == "interrupted":
                raise KeyboardInterrupt  # half an ensemble is none
        normal = validation if validation is not None and len(validation) else source
        self.calibration_ = tuple(self._calibrate(member, normal) for member in self.members)
        return TrainingHistory(
            epochs=tuple(
                metrics | {"member": float(index)}
                for index, history in enumerate(histories)
                for metrics in history.epochs
            ),
            best_epoch=None,
            stopped="finished",
            seconds=sum(history.seconds for history in histories),
        )

    def _counted_through(
        self, on_epoch: EpochCallback, earlier: Sequence[TrainingHistory]
    ) -> EpochCallback:
        """Return the callback of the member that is fitted after ``earlier`` ones."""
        done = sum(len(history.epochs) for history in earlier)
        to_come = len(self.members) - len(earlier)

        def counted(epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
            on_epoch(done + epoch, done + epochs * to_come, metrics)

        return counted

    def reconstruct(self, patches: PatchBatch) -> Reconstruction:
        """Return the weighted mean of the members' z-scores, against 0.

        Parameters
        ----------
        patches : PatchBatch
            N patches of P x P pixels; N may be 0.

        Returns
        -------
        Reconstruction
            ``target``, float32 (N, 1, P, P), in standard deviations; ``expected`` is 0.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        total = np.zeros(patches.pixels.shape, np.float32)
        with shared_features():
            for member, (mean, spread) in zip(self.members, self._fitted(), strict=True):
                total += np.float32(member.weight) * (_errors(member, patches) - mean) / spread
        total /= np.float32(sum(member.weight for member in self.members))
        return Reconstruction(target=total[:, None], expected=np.zeros_like(total[:, None]))

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the states of all members and their calibration as named arrays.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        state: dict[str, NDArray[Any]] = {}
        for index, (member, normal) in enumerate(zip(self.members, self._fitted(), strict=True)):
            state[f"{index}.calibration"] = normal
            state |= {f"{index}.model.{k}": v for k, v in member.model.state().items()}
        return state

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what ``state`` returned, from an ensemble of the same settings.

        Raises
        ------
        ConfigurationError
            If names, shapes or dtypes do not fit.
        """
        count = len(self.members)
        known = [name for name in state if name.split(".")[0] in map(str, range(count))]
        missing = [f"{i}.calibration" for i in range(count) if f"{i}.calibration" not in state]
        if missing or len(known) < len(state):
            raise ConfigurationError(
                f"this state is not that of an ensemble of {count} members: give the settings "
                "that it was fitted with"
            )
        calibration = []
        for index in range(count):
            normal = np.array(state[f"{index}.calibration"])
            if normal.shape != (2,) or normal.dtype != np.float32:
                raise ConfigurationError(
                    f"{index}.calibration must be float32 (2,), got {normal.dtype} {normal.shape}"
                )
            calibration.append(normal)
        # Into copies, so that nothing is taken over if one of them refuses.
        members = copy.deepcopy(self.members)
        for index, member in enumerate(members):
            start = f"{index}.model."
            member.model.load_state(
                {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
            )
        self.members, self.calibration_ = members, tuple(calibration)

    def _fitted(self) -> tuple[NDArray[np.float32], ...]:
        if self.calibration_ is None:
            raise NotFittedError(
                "this EnsembleModel is not fitted: call fit(source, rng=...) or load_state(state)"
            )
        return self.calibration_

    def _calibrate(self, member: Member, normal: PatchSource) -> NDArray[np.float32]:
        """Return mean and standard deviation of normal errors in the lungs, (2,)."""
        # One pair for all positions: a validation set has too few images for more, and an error
        # that is nearly always 0 at one position would outweigh all others there.
        count, total, squares = 0, 0.0, 0.0
        for batch in normal.batches(BATCH_SIZE):
            errors = _errors(member, batch)[batch.lung].astype(np.float64)
            count += len(errors)
            total += errors.sum()
            squares += (errors**2).sum()
        if not count:
            raise InsufficientDataError("there is no normal lung to calibrate an ensemble on")
        mean = total / count
        spread = np.sqrt(max(squares / count - mean**2, MIN_SPREAD**2))
        return np.array([mean, spread], np.float32)


def _errors(member: Member, patches: PatchBatch) -> FloatImage:
    """Return a member's error at every pixel, float32 (N, P, P)."""
    scores = member.scorer.score(patches, member.model.reconstruct(patches))
    if scores.error_maps is None:
        raise ConfigurationError(
            f"{type(member.scorer).__name__} returns no error maps; an ensemble needs a scorer "
            "that does, such as 'feature' or 'sad'"
        )
    return scores.error_maps
