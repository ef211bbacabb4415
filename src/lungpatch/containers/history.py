"""The record of a training."""

from __future__ import annotations

from typing import Literal

import attrs

from lungpatch._utils.component import plain_errors


@attrs.frozen(kw_only=True, repr=False, field_transformer=plain_errors)
class TrainingHistory:
    """The epochs of a training, and why it ended.

    Parameters
    ----------
    epochs : tuple of dict
        Metrics of each epoch, in order, such as ``{"train_loss": 0.3, "validation_loss": 0.4}``.
    best_epoch : int or None
        The epoch, counted from 1, whose weights were kept; None if training has no epochs.
    stopped : {"finished", "early", "interrupted"}
        Why training ended: all epochs done, no more improvement, or Ctrl-C.
    seconds : float
        Duration of the training.

    Raises
    ------
    ConfigurationError
        If ``epochs`` are not dicts, or another value is not of its type.

    Examples
    --------
    >>> TrainingHistory(epochs=({"train_loss": 0.5},), best_epoch=1, stopped="early", seconds=2)
    TrainingHistory(1 epoch, best 1, early, 2.0 s)
    """

    epochs: tuple[dict[str, float], ...] = attrs.field(
        validator=attrs.validators.deep_iterable(attrs.validators.instance_of(dict))
    )
    best_epoch: int | None = attrs.field(
        validator=attrs.validators.optional(attrs.validators.instance_of(int))
    )
    stopped: Literal["finished", "early", "interrupted"] = attrs.field(
        validator=attrs.validators.in_(("finished", "early", "interrupted"))
    )
    seconds: float = attrs.field(validator=attrs.validators.instance_of((float, int)))

    def __repr__(self) -> str:
        plural = "" if len(self.epochs) == 1 else "s"
        return (
            f"TrainingHistory({len(self.epochs)} epoch{plural}, best {self.best_epoch}, "
            f"{self.stopped}, {self.seconds:.1f} s)"
        )
