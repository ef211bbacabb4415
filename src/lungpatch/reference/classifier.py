"""The paper's preliminary experiment: a CNN that tells images of pneumonia from normal ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from attrs import validators
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from lungpatch._utils.component import plain_errors
from lungpatch._utils.devices import choose_device
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.evaluation.metrics import auroc
from lungpatch.networks.network_model import CPU_CHUNK_PIXELS, NetworkModel, at_least_1
from lungpatch.networks.torch_adapter import patches_to_tensor, place, reproducible
from lungpatch.networks.training import train

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lungpatch.containers import TrainingHistory
    from lungpatch.protocols import EpochCallback

SMALLEST_SIDE = 16
"""Three poolings leave 2 x 2 of it, which batch normalisation needs for a batch of one image."""


class TwoClassNetwork(nn.Module):
    """Three convolutions with max-pooling, batch normalisation, one hidden layer, dropout, a logit.

    Parameters
    ----------
    image_size : int
        Side of the images in pixels, at least 16.
    channels : tuple of int
        Of the three convolutions.
    hidden : int
        Units of the fully connected layer.
    dropout : float
        Share of those units left out at random while it learns.

    Examples
    --------
    >>> network = TwoClassNetwork(image_size=28, channels=(2, 2, 2), hidden=4, dropout=0.5)
    >>> network(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5])
    """

    def __init__(
        self, *, image_size: int, channels: tuple[int, int, int], hidden: int, dropout: float
    ) -> None:
        super().__init__()
        first, second, third = channels
        self.first = _convolution(1, first)
        self.second = _convolution(first, second)
        self.third = _convolution(second, third)
        self.normalise = nn.BatchNorm2d(third)
        self.hidden = nn.Linear(third * (image_size // 8) ** 2, hidden)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, 1)

    def forward(self, films: Tensor) -> Tensor:
        """Return the log odds of pneumonia.

        Parameters
        ----------
        images : Tensor, float32, (N, 1, S, S)

        Returns
        -------
        Tensor, float32, (N,)
        """
        features = films
        for convolution in (self.first, self.second, self.third):
            features = F.max_pool2d(convolution(features), 2)
        units = F.relu(self.hidden(self.normalise(features).flatten(1)))
        # Drawn on the CPU, whose generator is the one that fit seeds.
        kept = self.dropout(torch.ones(units.shape)).to(units.device)
        log_odds: Tensor = self.output(units * kept)[:, 0]
        return log_odds


def _convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.ReLU())


def _three_counts(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if len(value) != 3 or not all(isinstance(count, int) and count >= 1 for count in value):
        raise ValueError(f"{attribute.name} must be three counts of at least 1, got {value}")


@attrs.define(kw_only=True, eq=False, field_transformer=plain_errors)
class TwoClassCNN(NetworkModel):
    """The paper's two-class CNN, which says whether a whole image shows pneumonia.

    Three 3x3 convolutions, each followed by max-pooling; batch normalisation after the last; one
    fully connected layer; dropout 0.5; an output. Binary cross-entropy, Adam, and a weight on
    normal images against the imbalance of the classes. It learns with labels, and is here to be
    compared with, not as a detector.

    The paper gives no channels, units, batch size or epochs. Ours are small: at 256 x 256 pixels
    one image costs 42 million multiplications forward, so that some 470 images train in about two
    minutes on one CPU core.

    Parameters
    ----------
    image_size : int
        Side of the images in pixels, at least 16. The paper's is 256.
    channels : tuple of int
        Of the three convolutions.
    hidden : int
        Units of the fully connected layer.
    dropout : float
        Share of those units left out at random while it learns, in [0, 1).
    normal_weight : float or None
        What a normal image counts in the loss, one of pneumonia counting 1. None: as many times
        more as there are fewer of them, so that the classes weigh the same.
    epochs : int
        At most so many passes over the training images.
    patience : int
        Stop after so many epochs in a row without a lower validation loss.
    batch_size : int
        Images a step of the training.
    learning_rate : float
        Of Adam; above 0.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to train and to run; ``"auto"`` is the first there is of CUDA, MPS and the CPU.

    Notes
    -----
    Source: Nagamura, Tokunaga, Okita, "Pneumonia Detection Using Anomaly Detection by U-net", its
    preliminary experiment: 1,341 normal and 3,875 pneumonia images of Kermany et al. (2018) at
    256 x 256 pixels, accuracy 87.6 %.

    Examples
    --------
    Images of pneumonia are brighter here, which is soon learnt:

    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(32) % 2 == 1
    >>> images = rng.random((32, 16, 16), dtype=np.float32) * np.where(labels, 1, 0.5)[:, None, None]
    >>> images = images.astype(np.float32)
    >>> model = TwoClassCNN(image_size=16, channels=(2, 4, 4), hidden=8, epochs=20, batch_size=8,
    ...                     learning_rate=0.01, device="cpu")
    >>> model.fit(images, labels, rng=rng)
    TrainingHistory(20 epochs, best ..., finished, ... s)
    >>> score_classifier(model.predict_proba(images), labels).auroc > 0.9
    True
    """

    image_size: int = attrs.field(
        default=256, validator=[validators.instance_of(int), validators.ge(SMALLEST_SIDE)]
    )
    channels: tuple[int, int, int] = attrs.field(
        default=(8, 16, 32), converter=tuple, validator=_three_counts
    )
    hidden: int = attrs.field(default=64, validator=at_least_1())
    dropout: float = attrs.field(
        default=0.5,
        validator=[validators.instance_of(float), validators.ge(0.0), validators.lt(1.0)],
    )
    normal_weight: float | None = attrs.field(
        default=None,
        validator=validators.optional([validators.instance_of(float), validators.gt(0.0)]),
    )
    batch_size: int = attrs.field(default=16, validator=at_least_1())

    def fit(
        self,
        images: NDArray[np.float32],
        labels: ArrayLike,
        *,
        validation: tuple[NDArray[np.float32], ArrayLike] | None = None,
        rng: np.random.Generator,
        on_epoch: EpochCallback | None = None,
    ) -> TrainingHistory:
        """Learn to tell the classes apart; see `lungpatch.networks.training.train`.

        Parameters
        ----------
        images : ndarray of float32, shape (N, S, S), values in [0, 1]
            Images of ``image_size`` S. A memory map is read batch by batch.
        labels : array_like of bool, shape (N,)
            True for pneumonia.
        validation : tuple of (images, labels), optional
            Images of other patients. They say when to stop and which weights to keep; without them
            all epochs are run and the lowest training loss decides.
        rng : numpy.random.Generator
            First weights, order of the images, dropout.
        on_epoch : callable, optional
            Called as ``on_epoch(epoch, epochs, figures)`` after every epoch.

        Returns
        -------
        TrainingHistory
            With ``train_loss`` and ``validation_loss`` of each epoch, both weighted.

        Raises
        ------
        ConfigurationError
            If images have another size or leave [0, 1], labels are not one truth an image, the device
            is absent, or the loss becomes NaN.
        InsufficientDataError
            If a class has no training image, or there is no validation image.
        """
        training = self._labelled(images, labels, "training")
        held_out = None if validation is None else self._labelled(*validation, "validation")
        n_pneumonia = int(training.labels.sum())
        n_normal = len(training) - n_pneumonia
        if not (n_normal and n_pneumonia):
            raise InsufficientDataError(
                f"a two-class CNN learns from images of both classes, got {n_normal} normal and "
                f"{n_pneumonia} of pneumonia"
            )
        normal_weight = self.normal_weight or n_pneumonia / n_normal
        device = choose_device(self.device)
        network = self._new_network(seed=int(rng.integers(2**63)))

        def loss_of(batch: _LabelledImages) -> Tensor:
            truth = torch.from_numpy(batch.labels.astype(np.float32)).to(device)
            return F.binary_cross_entropy_with_logits(
                network(patches_to_tensor(batch.images, device)),
                truth,
                weight=truth + normal_weight * (1.0 - truth),
            )

        # Only the CPU's generator, and only within the block: torch's global state stays as it is.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(rng.integers(2**63)))
            history = train(
                network,
                training,
                loss_of=loss_of,
                validation=held_out,
                epochs=self.epochs,
                patience=self.patience,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                device=device,
                rng=rng,
                on_epoch=on_epoch,
            )
        self.network_ = network
        return history

    def predict_proba(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability that each image shows pneumonia.

        Parameters
        ----------
        images : ndarray of float32, shape (N, S, S), values in [0, 1]
            N may be 0.

        Returns
        -------
        ndarray of float64, shape (N,)
            Not calibrated: the weight of the normal class lowers it.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the images have another size or leave [0, 1].
        """
        log_odds = [np.empty(0)]
        for network, films in self.in_pieces(images):
            # Not around the loop: weights that are moved in inference mode have no gradient after.
            with torch.inference_mode(), reproducible():
                log_odds.append(network(films).cpu().numpy().astype(np.float64))
        probabilities: NDArray[np.float64] = expit(np.concatenate(log_odds))
        return probabilities

    def in_pieces(self, images: NDArray[np.float32]) -> Iterator[tuple[TwoClassNetwork, Tensor]]:
        """Yield the network and images for it, as many at a time as are fastest.

        Parameters
        ----------
        images : ndarray of float32, shape (N, S, S), values in [0, 1]

        Yields
        ------
        tuple of (TwoClassNetwork, Tensor)
            The network in evaluation mode, and float32 (n, 1, S, S) on the same device.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ConfigurationError
            If the images have another size or leave [0, 1].
        """
        network = self._fitted_network()
        assert isinstance(network, TwoClassNetwork)  # what _build made
        films = self._checked(images)
        device = choose_device(self.device)
        place(network, device)
        piece = max(1, CPU_CHUNK_PIXELS // self.image_size**2)
        for start in range(0, len(films), piece):
            yield network, patches_to_tensor(films[start : start + piece], device)

    def _build(self) -> TwoClassNetwork:
        return TwoClassNetwork(
            image_size=self.image_size,
            channels=self.channels,
            hidden=self.hidden,
            dropout=self.dropout,
        )

    def _checked(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        side = self.image_size
        array = np.asarray(images)
        if array.dtype != np.float32 or array.shape[1:] != (side, side):
            raise ConfigurationError(
                f"this TwoClassCNN takes images as float32 of shape (N, {side}, {side}), got "
                f"{array.dtype} of shape {array.shape}: resize them with lungpatch.io.resize, "
                "or set image_size"
            )
        # NaN fails both comparisons.
        if array.size and not (array.min() >= 0.0 and array.max() <= 1.0):
            raise ConfigurationError(
                "grey levels of images must lie in [0, 1]: use the pixels of a ChestImage"
            )
        return array

    def _labelled(
        self, images: NDArray[np.float32], labels: ArrayLike, role: str
    ) -> _LabelledImages:
        films = self._checked(images)
        truth = np.asarray(labels)
        if truth.shape != (len(films),) or not np.isin(truth, (0, 1)).all():
            raise ConfigurationError(
                f"{role}: labels must be True (pneumonia) or False, one for each of "
                f"{len(images)} images, got {truth.dtype} of shape {truth.shape}"
            )
        if len(films) == 0:
            raise InsufficientDataError(f"there are no {role} images")
        return _LabelledImages(images=films, labels=truth.astype(np.bool_))


@attrs.frozen(eq=False, kw_only=True)
class _LabelledImages:
    """Images and their classes, as the training loop reads them."""

    images: NDArray[np.float32]
    labels: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.images)

    def batches(
        self, size: int, *, rng: np.random.Generator | None = None
    ) -> Iterator[_LabelledImages]:
        """Yield every image once, ``size`` at a time; shuffled by ``rng``."""
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        for start in range(0, len(self), size):
            chosen = order[start : start + size]
            yield _LabelledImages(images=self.images[chosen], labels=self.labels[chosen])


@attrs.frozen(kw_only=True)
class ClassifierScore:
    """How well a classifier tells the images of two classes apart.

    Parameters
    ----------
    confusion : tuple of tuple of int
        Counts ``((normal as normal, normal as pneumonia), (pneumonia as normal, pneumonia as
        pneumonia))``: rows are true, columns predicted.
    auroc : float
        The chance that an image of pneumonia gets a higher probability than a normal one.
    threshold : float
        Pneumonia is what has a probability above it.

    Examples
    --------
    >>> score = ClassifierScore(confusion=((8, 2), (5, 35)), auroc=0.95, threshold=0.5)
    >>> score.accuracy, score.sensitivity, score.specificity, score.majority
    (0.86, 0.875, 0.8, 0.8)
    >>> score.to_dict()["confusion"]
    [[8, 2], [5, 35]]
    """

    confusion: tuple[tuple[int, int], tuple[int, int]]
    auroc: float
    threshold: float

    @property
    def n_images(self) -> int:
        """Number of images."""
        return sum(map(sum, self.confusion))

    @property
    def accuracy(self) -> float:
        """Share of images put into their class, in [0, 1]."""
        return (self.confusion[0][0] + self.confusion[1][1]) / self.n_images

    @property
    def majority(self) -> float:
        """The accuracy of calling every image by the more frequent class, in [0.5, 1]."""
        return max(map(sum, self.confusion)) / self.n_images

    @property
    def sensitivity(self) -> float:
        """Share of the images of pneumonia called so, in [0, 1]."""
        return self.confusion[1][1] / sum(self.confusion[1])

    @property
    def specificity(self) -> float:
        """Share of the normal images called so, in [0, 1]."""
        return self.confusion[0][0] / sum(self.confusion[0])

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, JSON-ready."""
        names = ("n_images", "accuracy", "majority", "sensitivity", "specificity")
        return {name: getattr(self, name) for name in names} | {
            "auroc": self.auroc,
            "threshold": self.threshold,
            "confusion": [list(row) for row in self.confusion],
        }


def score_classifier(
    pred_probabilities: ArrayLike, gt_labels: ArrayLike, *, threshold: float = 0.5
) -> ClassifierScore:
    """Compare probabilities of pneumonia with what images show.

    Parameters
    ----------
    pred_probabilities : array_like of float, shape (N,)
        What `TwoClassCNN.predict_proba` returned, best of images of other patients than it learnt
        from.
    gt_labels : array_like of bool, shape (N,)
        True for pneumonia.
    threshold : float
        Pneumonia is what has a probability above it.

    Returns
    -------
    ClassifierScore

    Raises
    ------
    ConfigurationError
        If the lengths disagree, or a probability is NaN.
    InsufficientDataError
        If one of the classes is empty.

    Examples
    --------
    >>> score = score_classifier([0.1, 0.6, 0.4, 0.9], [False, False, True, True])
    >>> score.confusion, score.accuracy, score.auroc
    (((1, 1), (1, 1)), 0.5, 0.75)
    """
    probabilities = np.asarray(pred_probabilities, dtype=np.float64)
    truth = np.asarray(gt_labels, dtype=np.bool_)
    if probabilities.shape != truth.shape or truth.ndim != 1 or np.isnan(probabilities).any():
        raise ConfigurationError(
            f"one probability and one label an image are needed, without NaN, got shapes "
            f"{probabilities.shape} and {truth.shape}"
        )
    called = probabilities > threshold
    normal, pneumonia = (
        (int((~called & row).sum()), int((called & row).sum())) for row in (~truth, truth)
    )
    return ClassifierScore(
        confusion=(normal, pneumonia), auroc=auroc(probabilities, truth), threshold=threshold
    )
