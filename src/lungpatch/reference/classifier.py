"""The two-class CNN of the paper's preliminary experiment: normal images or pneumonia."""

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
from lungpatch._utils.devices import CPU_CHUNK_PIXELS, choose_device
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.evaluation.metrics import auroc
from lungpatch.networks.network_model import NetworkModel, at_least_1
from lungpatch.networks.torch_adapter import own_random_numbers, patches_to_tensor, reproducible
from lungpatch.networks.training import train

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lungpatch.containers import TrainingHistory
    from lungpatch.protocols import EpochCallback

MIN_SIDE = 16
"""Three poolings leave 2 x 2 of it, which batch normalisation needs for a batch of one image."""


class TwoClassNetwork(nn.Module):
    """Three convolutions with max-pooling, batch normalisation, one hidden layer and dropout.

    Parameters
    ----------
    image_size : int
        Side of the images in pixels, at least 16.
    channels : tuple of int
        Number of channels of the three convolutions.
    hidden : int
        Number of units of the fully connected layer.
    dropout : float
        Fraction of those units left out at random during training.

    See Also
    --------
    lungpatch.reference.TwoClassCNN : Trains it.

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

    def forward(self, images: Tensor) -> Tensor:
        """Return the log odds of pneumonia.

        Parameters
        ----------
        images : Tensor, float32, (N, 1, S, S)

        Returns
        -------
        Tensor, float32, (N,)
        """
        features = images
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
    """The paper's two-class CNN, which classifies whole images as normal or pneumonia.

    The network of [1]_ has three 3x3 convolutions, each followed by max-pooling, batch
    normalisation after the last, one fully connected layer, dropout 0.5, and an output. It is
    trained with Adam on binary cross-entropy, with a weight on normal images against the imbalance
    of the classes. It is trained with labels, and is here for comparison, not as a detector.

    The paper gives no channels, units, batch size or epochs. Ours are small: at 256 x 256 pixels
    one image takes 42 million multiplications in a forward pass, so that training on some 470
    images takes about two minutes on one CPU core.

    Parameters
    ----------
    image_size : int
        Side of the images in pixels, at least 16. The paper's is 256.
    channels : tuple of int
        Number of channels of the three convolutions.
    hidden : int
        Number of units of the fully connected layer.
    dropout : float
        Fraction of those units left out at random during training, in [0, 1).
    normal_weight : float or None
        Weight of a normal image in the loss; that of a pneumonia image is 1. None: the ratio of
        the numbers of pneumonia and normal images, so that both classes have the same weight.
    epochs : int
        Maximum number of epochs.
    patience : int
        Training stops after this many epochs in a row without a lower validation loss.
    batch_size : int
        Number of images per training step.
    learning_rate : float
        Learning rate of Adam; above 0.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to train and to run; ``"auto"`` is the first available of CUDA, MPS and the CPU.

    See Also
    --------
    lungpatch.reference.score_classifier : How well it classifies.
    lungpatch.reference.grad_cam : Where in the image it looks.

    Notes
    -----
    The paper trains on 1,341 normal and 3,875 pneumonia images of Kermany et al. (2018) at
    256 x 256 pixels and reports an accuracy of 87.6 %.

    References
    ----------
    .. [1] Nagamura, Tokunaga, Okita, "Pneumonia Detection Using Anomaly Detection by U-net",
       preliminary experiment.

    Examples
    --------
    Pneumonia images are brighter here, which takes a few epochs to find:

    >>> from lungpatch.reference import TwoClassCNN, score_classifier
    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(32) % 2 == 1
    >>> brightness = np.where(labels, 1, 0.5).astype(np.float32)[:, None, None]
    >>> images = brightness * rng.random((32, 16, 16), dtype=np.float32)
    >>> model = TwoClassCNN(image_size=16, channels=(2, 4, 4), hidden=8, epochs=20, batch_size=8,
    ...                     learning_rate=0.01, device="cpu")
    >>> model.fit(images, labels, rng=rng)
    TrainingHistory(20 epochs, best ..., finished, ... s)
    >>> score_classifier(model.predict_proba(images), labels).auroc > 0.9
    True
    """

    image_size: int = attrs.field(
        default=256, validator=[validators.instance_of(int), validators.ge(MIN_SIDE)]
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
        """Train the network; see `lungpatch.networks.training.train`.

        Parameters
        ----------
        images : ndarray of float32, shape (N, S, S), values in [0, 1]
            Images of ``image_size`` S. A memory map is read batch by batch.
        labels : array_like of bool, shape (N,)
            True for pneumonia.
        validation : tuple of (images, labels), optional
            Images of other patients. Their loss decides when to stop and which weights to keep.
            Without them all epochs are run and the lowest training loss decides.
        rng : numpy.random.Generator
            For the first weights, the order of the images, and dropout.
        on_epoch : callable, optional
            Called as ``on_epoch(epoch, epochs, metrics)`` after every epoch.

        Returns
        -------
        TrainingHistory
            With ``train_loss`` and ``validation_loss`` of each epoch, both weighted.

        Raises
        ------
        ConfigurationError
            If images have another size or values outside [0, 1], if there is not one true or false
            label per image, if the device is absent, or if the loss becomes NaN.
        InsufficientDataError
            If a class has no training image, or there is no validation image.
        """
        training = self._labelled(images, labels, "training")
        held_out = None if validation is None else self._labelled(*validation, "validation")
        n_pneumonia = int(training.labels.sum())
        n_normal = len(training) - n_pneumonia
        if not (n_normal and n_pneumonia):
            raise InsufficientDataError(
                f"a two-class CNN is trained on images of both classes, got {n_normal} normal and "
                f"{n_pneumonia} pneumonia images"
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

        # The generator that dropout draws from.
        with own_random_numbers(seed=int(rng.integers(2**63))):
            history = train(
                network,
                training,
                loss_of=loss_of,
                settings=self._training_settings(),
                rng=rng,
                validation=held_out,
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
            If the images have another size or values outside [0, 1].
        """
        log_odds = [np.empty(0)]
        for network, piece in self.in_pieces(images):
            # Not around the loop: weights that are moved in inference mode have no gradient after.
            with torch.inference_mode(), reproducible(choose_device(self.device)):
                log_odds.append(network(piece).cpu().numpy().astype(np.float64))
        probabilities: NDArray[np.float64] = expit(np.concatenate(log_odds))
        return probabilities

    def in_pieces(self, images: NDArray[np.float32]) -> Iterator[tuple[TwoClassNetwork, Tensor]]:
        """Yield the network and the images, as many at a time as is fastest.

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
            If the images have another size or values outside [0, 1].
        """
        self._fitted_network()
        checked = self._checked(images)
        device = choose_device(self.device)
        network = self._network_on(device)
        assert isinstance(network, TwoClassNetwork)  # what _build made
        size = max(1, CPU_CHUNK_PIXELS // self.image_size**2)
        for start in range(0, len(checked), size):
            yield network, patches_to_tensor(checked[start : start + size], device)

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
                "pixel values must lie in [0, 1]: use the pixels of a ChestImage"
            )
        return array

    def _labelled(
        self, images: NDArray[np.float32], labels: ArrayLike, role: str
    ) -> _LabelledImages:
        checked = self._checked(images)
        truth = np.asarray(labels)
        if truth.shape != (len(checked),) or not np.isin(truth, (0, 1)).all():
            raise ConfigurationError(
                f"{role}: labels must be True (pneumonia) or False, one for each of "
                f"{len(images)} images, got {truth.dtype} of shape {truth.shape}"
            )
        if len(checked) == 0:
            raise InsufficientDataError(f"there are no {role} images")
        return _LabelledImages(images=checked, labels=truth.astype(np.bool_))


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
    """How well a classifier separates the images of two classes.

    Parameters
    ----------
    confusion : tuple of tuple of int
        Counts ``((normal as normal, normal as pneumonia), (pneumonia as normal, pneumonia as
        pneumonia))``: rows are true, columns predicted.
    auroc : float
        The probability that a pneumonia image gets a higher probability than a normal one.
    threshold : float
        An image is classified as pneumonia if its probability is above it.

    See Also
    --------
    lungpatch.reference.score_classifier : Makes it.
    lungpatch.reference.plot_confusion : Draws it.

    Examples
    --------
    >>> from lungpatch.reference import ClassifierScore
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
        """Fraction of images classified correctly, in [0, 1]."""
        return (self.confusion[0][0] + self.confusion[1][1]) / self.n_images

    @property
    def majority(self) -> float:
        """The accuracy of predicting the more frequent class for every image, in [0.5, 1]."""
        return max(map(sum, self.confusion)) / self.n_images

    @property
    def sensitivity(self) -> float:
        """Fraction of the pneumonia images classified as pneumonia, in [0, 1]."""
        return self.confusion[1][1] / sum(self.confusion[1])

    @property
    def specificity(self) -> float:
        """Fraction of the normal images classified as normal, in [0, 1]."""
        return self.confusion[0][0] / sum(self.confusion[0])

    def to_dict(self) -> dict[str, Any]:
        """Return all metrics, JSON-ready."""
        names = ("n_images", "accuracy", "majority", "sensitivity", "specificity")
        return {name: getattr(self, name) for name in names} | {
            "auroc": self.auroc,
            "threshold": self.threshold,
            "confusion": [list(row) for row in self.confusion],
        }


def score_classifier(
    pred_probabilities: ArrayLike, gt_labels: ArrayLike, *, threshold: float = 0.5
) -> ClassifierScore:
    """Compare probabilities of pneumonia with the labels of the images.

    Parameters
    ----------
    pred_probabilities : array_like of float, shape (N,)
        What `TwoClassCNN.predict_proba` returned, best for images of other patients than it was
        trained on.
    gt_labels : array_like of bool, shape (N,)
        True for pneumonia.
    threshold : float
        An image is classified as pneumonia if its probability is above it.

    Returns
    -------
    ClassifierScore

    Raises
    ------
    ConfigurationError
        If the lengths disagree, or a probability is NaN.
    InsufficientDataError
        If one of the classes is empty.

    See Also
    --------
    lungpatch.reference.TwoClassCNN : Gives such probabilities.

    Examples
    --------
    >>> from lungpatch.reference import score_classifier
    >>> score = score_classifier([0.1, 0.6, 0.4, 0.9], [False, False, True, True])
    >>> score.confusion, score.accuracy, score.auroc
    (((1, 1), (1, 1)), 0.5, 0.75)
    """
    probabilities = np.asarray(pred_probabilities, dtype=np.float64)
    truth = np.asarray(gt_labels, dtype=np.bool_)
    if probabilities.shape != truth.shape or truth.ndim != 1 or np.isnan(probabilities).any():
        raise ConfigurationError(
            f"one probability and one label per image are needed, without NaN, got shapes "
            f"{probabilities.shape} and {truth.shape}"
        )
    predicted = probabilities > threshold
    normal, pneumonia = (
        (int((~predicted & row).sum()), int((predicted & row).sum())) for row in (~truth, truth)
    )
    return ClassifierScore(
        confusion=(normal, pneumonia), auroc=auroc(probabilities, truth), threshold=threshold
    )
