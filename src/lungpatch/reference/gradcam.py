"""Grad-CAM of the two-class CNN, and how much of it lies within the lungs (figure 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from lungpatch._utils.extras import import_extra
from lungpatch.errors import ConfigurationError, InvalidMaskError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lungpatch.reference.classifier import TwoClassCNN


def grad_cam(model: TwoClassCNN, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Show which parts of images support the predicted class, by Grad-CAM.

    As in equations 1 and 2 of [1]_, each feature map of the last convolution, after max-pooling
    and batch normalisation, is weighted by the mean gradient over it of the log odds of the
    predicted class. The weighted sum, where it is positive, is interpolated to the image's size.
    Computed by captum.

    Parameters
    ----------
    model : TwoClassCNN
        Fitted.
    images : ndarray of float32, shape (N, S, S), values in [0, 1]

    Returns
    -------
    ndarray of float32, shape (N, S, S), values in [0, 1]
        Each map is divided by its own maximum, so that maps of two images can only be compared in
        shape, not in height. All 0 where nothing supports the predicted class.

    Raises
    ------
    MissingExtraError
        If captum is not installed.
    NotFittedError
        If the model is not fitted.
    ConfigurationError
        If the images have another size or values outside [0, 1].

    See Also
    --------
    lungpatch.reference.lung_attention : How much of it lies within the lungs.
    lungpatch.reference.plot_gradcam : Draws it.

    Notes
    -----
    Maps before batch normalisation are not used, since it subtracts each map's mean. A constant
    added to a map and to that mean changes no prediction, but shifts the whole of Grad-CAM, which
    can come out even, or empty.

    References
    ----------
    .. [1] R. R. Selvaraju, M. Cogswell, A. Das et al., "Grad-CAM: visual explanations from deep
       networks via gradient-based localization", ICCV 2017, arXiv:1610.02391.

    Examples
    --------
    >>> from lungpatch.reference import TwoClassCNN, grad_cam
    >>> rng = np.random.default_rng(0)
    >>> images = rng.random((8, 16, 16), dtype=np.float32)
    >>> model = TwoClassCNN(image_size=16, epochs=1, device="cpu")
    >>> _ = model.fit(images, np.arange(8) % 2 == 1, rng=rng)
    >>> grad_cam(model, images).shape
    (8, 16, 16)
    """
    captum = _captum()
    maps = [np.empty((0, model.image_size, model.image_size), np.float32)]
    for network, piece in model.in_pieces(images):
        for_pneumonia = captum.LayerGradCam(network, network.normalise).attribute(piece)
        with torch.no_grad():
            predicted = torch.where(network(piece) > 0, 1.0, -1.0)
        coarse = F.relu(predicted[:, None, None, None] * for_pneumonia)
        fine = captum.LayerAttribution.interpolate(coarse, piece.shape[2:], "bilinear")
        maps.append(fine[:, 0].detach().cpu().numpy())
    cams = np.concatenate(maps)
    highest = cams.max(axis=(1, 2), keepdims=True, initial=0.0)
    scaled: NDArray[np.float32] = np.divide(
        cams, highest, out=np.zeros_like(cams), where=highest > 0
    )
    return scaled


def mass_inside(cams: ArrayLike, masks: ArrayLike) -> NDArray[np.float64]:
    """Return which fraction of each map's sum lies within its mask.

    Parameters
    ----------
    cams : array_like of float, shape (N, H, W)
        Maps with values of at least 0, such as those of `grad_cam`.
    masks : array_like of bool, shape (N, H, W)
        The lungs.

    Returns
    -------
    ndarray of float64, shape (N,)
        Sum of the map over the mask divided by its sum over the image, in [0, 1]; NaN where the
        map is 0 everywhere. For a map with one value everywhere it is the fraction of the image
        that is lung.

    Raises
    ------
    InvalidMaskError
        If maps and masks differ in shape.
    ConfigurationError
        If a map holds NaN, or values that are infinite or below 0.

    Examples
    --------
    >>> from lungpatch.reference import mass_inside
    >>> cams = [[[1.0, 0.0], [0.5, 0.5]], [[0.0, 0.0], [0.0, 0.0]]]
    >>> masks = [[[True, True], [False, True]]] * 2
    >>> mass_inside(cams, masks)
    array([0.75,  nan])
    """
    maps, lungs = _checked(cams, masks)
    total = maps.sum(axis=(1, 2))
    inside = (maps * lungs).sum(axis=(1, 2))
    fraction: NDArray[np.float64] = np.divide(
        inside, total, out=np.full(len(maps), np.nan), where=total > 0
    )
    return fraction


@attrs.frozen(kw_only=True)
class LungAttention:
    """How much of Grad-CAM lies within the lungs, over many images, against chance.

    Parameters
    ----------
    fraction : float or None
        Mean over images of `mass_inside`. None where no image counts.
    chance : float or None
        Mean over the same images of the fraction of the image that is lung: the result of maps
        with one value everywhere.
    n_images : int
        Number of images that count: those with a map and with lungs.
    n_above_chance : int
        Number of those whose fraction is above the fraction of the same image that is lung.
    n_empty : int
        Number of images left out because their map is 0 everywhere.
    n_without_lungs : int
        Number of images left out because their mask is empty.

    See Also
    --------
    lungpatch.reference.lung_attention : Makes it.

    Examples
    --------
    >>> from lungpatch.reference import LungAttention
    >>> attention = LungAttention(fraction=0.21, chance=0.25, n_images=90, n_above_chance=31,
    ...                           n_empty=3, n_without_lungs=1)
    >>> attention.to_dict()["fraction"]
    0.21
    """

    fraction: float | None
    chance: float | None
    n_images: int
    n_above_chance: int
    n_empty: int
    n_without_lungs: int

    def to_dict(self) -> dict[str, Any]:
        """Return all values, JSON-ready."""
        return attrs.asdict(self)


def lung_attention(cams: ArrayLike, masks: ArrayLike) -> LungAttention:
    """Compare the fraction of Grad-CAM within the lungs with chance.

    The paper remarks, on figure 2, that the network looks outside the lungs. This measures it.

    Parameters
    ----------
    cams : array_like of float, shape (N, H, W)
        Maps with values of at least 0, such as those of `grad_cam`.
    masks : array_like of bool, shape (N, H, W)
        The lungs.

    Returns
    -------
    LungAttention

    Raises
    ------
    InvalidMaskError
        If maps and masks differ in shape.
    ConfigurationError
        If a map holds NaN, or values that are infinite or below 0.

    Examples
    --------
    >>> from lungpatch.reference import lung_attention
    >>> cams = [[[1.0, 0.0], [0.5, 0.5]], [[0.0, 0.0], [0.0, 0.0]]]
    >>> masks = [[[True, True], [False, False]]] * 2
    >>> lung_attention(cams, masks)
    LungAttention(fraction=0.5, chance=0.5, n_images=1, n_above_chance=0, n_empty=1,
    n_without_lungs=0)
    """
    maps, lungs = _checked(cams, masks)
    fractions = mass_inside(maps, lungs)
    chances = lungs.mean(axis=(1, 2))
    has_lungs = lungs.any(axis=(1, 2))
    empty = np.isnan(fractions)
    counted = has_lungs & ~empty
    n_images = int(counted.sum())
    return LungAttention(
        fraction=float(fractions[counted].mean()) if n_images else None,
        chance=float(chances[counted].mean()) if n_images else None,
        n_images=n_images,
        n_above_chance=int((fractions[counted] > chances[counted]).sum()),
        n_empty=int((empty & has_lungs).sum()),
        n_without_lungs=int((~has_lungs).sum()),
    )


def _checked(cams: ArrayLike, masks: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    maps = np.asarray(cams, dtype=np.float64)
    lungs = np.asarray(masks, dtype=np.bool_)
    if maps.ndim != 3 or maps.shape != lungs.shape:
        raise InvalidMaskError(
            f"one mask per map is needed, both (N, H, W), got maps {maps.shape} and masks "
            f"{lungs.shape}: resize image and mask alike"
        )
    if not (np.isfinite(maps).all() and (maps >= 0).all()):
        raise ConfigurationError("maps must be finite and at least 0, as grad_cam returns them")
    return maps, lungs


def _captum() -> Any:
    return import_extra("captum.attr", needed_by="Grad-CAM", extra="reproduce")
