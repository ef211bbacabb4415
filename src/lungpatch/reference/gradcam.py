"""Where the two-class CNN looks, and how much of that lies within the lungs (figure 2)."""

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
    """Show which parts of images speak for the class they are called, by Grad-CAM.

    Each feature map that the convolutions hand on, after batch normalisation, is weighted by the
    mean gradient over it of the log odds of the class that the network calls the image; the
    weighted sum, where it is positive, is interpolated to the image's size.

    Parameters
    ----------
    model : TwoClassCNN
        Fitted.
    images : ndarray of float32, shape (N, S, S), values in [0, 1]

    Returns
    -------
    ndarray of float32, shape (N, S, S), values in [0, 1]
        Each map divided by its own maximum, so that maps of two images cannot be compared in
        height, only in shape. All 0 where nothing speaks for the class called.

    Raises
    ------
    MissingExtraError
        If captum is not installed.
    NotFittedError
        If the model is not fitted.
    ConfigurationError
        If the images have another size or leave [0, 1].

    Notes
    -----
    Source: Selvaraju, Cogswell, Das et al., "Grad-CAM: visual explanations from deep networks via
    gradient-based localization", ICCV 2017, arXiv:1610.02391, equations 1 and 2; computed by
    captum.

    Not before batch normalisation: it takes each map's mean away, so that the network only knows
    departures from it. A constant added to a map and to that mean changes no prediction, but
    shifts the whole of Grad-CAM, which can come out even, or empty.

    Examples
    --------
    >>> from lungpatch.reference.classifier import TwoClassCNN
    >>> rng = np.random.default_rng(0)
    >>> images = rng.random((8, 16, 16), dtype=np.float32)
    >>> model = TwoClassCNN(image_size=16, epochs=1, device="cpu")
    >>> _ = model.fit(images, np.arange(8) % 2 == 1, rng=rng)
    >>> grad_cam(model, images).shape
    (8, 16, 16)
    """
    captum = _captum()
    maps = [np.empty((0, model.image_size, model.image_size), np.float32)]
    for network, films in model.in_pieces(images):
        for_pneumonia = captum.LayerGradCam(network, network.normalise).attribute(films)
        with torch.no_grad():
            called = torch.where(network(films) > 0, 1.0, -1.0)
        heat = F.relu(called[:, None, None, None] * for_pneumonia)
        wide = captum.LayerAttribution.interpolate(heat, films.shape[2:], "bilinear")
        maps.append(wide[:, 0].detach().cpu().numpy())
    cams = np.concatenate(maps)
    highest = cams.max(axis=(1, 2), keepdims=True, initial=0.0)
    scaled: NDArray[np.float32] = np.divide(
        cams, highest, out=np.zeros_like(cams), where=highest > 0
    )
    return scaled


def mass_inside(cams: ArrayLike, masks: ArrayLike) -> NDArray[np.float64]:
    """Return how much of each map lies within its mask.

    Parameters
    ----------
    cams : array_like of float, shape (N, H, W)
        At least 0, such as of `grad_cam`.
    masks : array_like of bool, shape (N, H, W)
        The lungs.

    Returns
    -------
    ndarray of float64, shape (N,)
        Sum of the map over the mask by its sum over the image, in [0, 1]; NaN where the map is 0
        everywhere. For a map that is spread evenly it is the share of the image that is lung.

    Raises
    ------
    InvalidMaskError
        If maps and masks differ in shape.
    ConfigurationError
        If a map holds NaN, or values that are infinite or below 0.

    Examples
    --------
    >>> cams = [[[1.0, 0.0], [0.5, 0.5]], [[0.0, 0.0], [0.0, 0.0]]]
    >>> masks = [[[True, True], [False, True]]] * 2
    >>> mass_inside(cams, masks)
    array([0.75,  nan])
    """
    heat, lung = _heat_and_lungs(cams, masks)
    total = heat.sum(axis=(1, 2))
    inside = (heat * lung).sum(axis=(1, 2))
    share: NDArray[np.float64] = np.divide(
        inside, total, out=np.full(len(heat), np.nan), where=total > 0
    )
    return share


@attrs.frozen(kw_only=True)
class LungAttention:
    """How much of Grad-CAM lies within the lungs, over many images, against chance.

    Parameters
    ----------
    share : float or None
        Mean over images of `mass_inside`. None where no image counts.
    chance : float or None
        Mean over the same images of the share of the image that is lung: what a map gives that is
        spread evenly over the image.
    n_images : int
        Images that count: with a map and with lungs.
    n_above_chance : int
        Those of them whose share is above their own chance.
    n_empty : int
        Images left out because nothing in them speaks for the class that they are called.
    n_without_lungs : int
        Images left out because their mask is empty.

    Examples
    --------
    >>> attention = LungAttention(share=0.21, chance=0.25, n_images=90, n_above_chance=31,
    ...                           n_empty=3, n_without_lungs=1)
    >>> attention.to_dict()["share"]
    0.21
    """

    share: float | None
    chance: float | None
    n_images: int
    n_above_chance: int
    n_empty: int
    n_without_lungs: int

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, JSON-ready."""
        return attrs.asdict(self)


def lung_attention(cams: ArrayLike, masks: ArrayLike) -> LungAttention:
    """Compare the share of Grad-CAM within the lungs with chance.

    The paper remarks, on figure 2, that the network looks outside the lungs; this is that remark
    as a number.

    Parameters
    ----------
    cams : array_like of float, shape (N, H, W)
        At least 0, such as of `grad_cam`.
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
    >>> cams = [[[1.0, 0.0], [0.5, 0.5]], [[0.0, 0.0], [0.0, 0.0]]]
    >>> masks = [[[True, True], [False, False]]] * 2
    >>> lung_attention(cams, masks)
    LungAttention(share=0.5, chance=0.5, n_images=1, n_above_chance=0, n_empty=1, n_without_lungs=0)
    """
    heat, lung = _heat_and_lungs(cams, masks)
    shares = mass_inside(heat, lung)
    chances = lung.mean(axis=(1, 2))
    has_lungs = lung.any(axis=(1, 2))
    empty = np.isnan(shares)
    counted = has_lungs & ~empty
    n_images = int(counted.sum())
    return LungAttention(
        share=float(shares[counted].mean()) if n_images else None,
        chance=float(chances[counted].mean()) if n_images else None,
        n_images=n_images,
        n_above_chance=int((shares[counted] > chances[counted]).sum()),
        n_empty=int((empty & has_lungs).sum()),
        n_without_lungs=int((~has_lungs).sum()),
    )


def _heat_and_lungs(
    cams: ArrayLike, masks: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    heat = np.asarray(cams, dtype=np.float64)
    lung = np.asarray(masks, dtype=np.bool_)
    if heat.ndim != 3 or heat.shape != lung.shape:
        raise InvalidMaskError(
            f"one mask a map is needed, both (N, H, W), got maps {heat.shape} and masks "
            f"{lung.shape}: resize image and mask alike"
        )
    if not (np.isfinite(heat).all() and (heat >= 0).all()):
        raise ConfigurationError("maps must be finite and at least 0, as grad_cam returns them")
    return heat, lung


def _captum() -> Any:
    return import_extra("captum.attr", needed_by="Grad-CAM", extra="reproduce")
