"""Losses between what a network expected of patches and the patches themselves.

Each takes ``(expected, target)``, both (N, 1, P, P), is computed patch by patch and averaged over
the patches. Sums run over the pixels of a patch; I is the target, J what the network expected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lungpatch._utils.suggestions import did_you_mean
from lungpatch.errors import ConfigurationError

if TYPE_CHECKING:
    import attrs

Loss = Callable[[Tensor, Tensor], Tensor]

SSIM_WINDOW = 11
"""Width of the SSIM window in pixels; patches must be at least as large."""

_SSIM_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2  # (K L)^2 with the source's K and data range L = 1

# Keeps the losses of black patches finite; far below one grey level of one pixel.
_EPSILON = 1e-6

_PIXELS = (1, 2, 3)


def dice(expected: Tensor, target: Tensor) -> Tensor:
    """Dice loss as printed in the paper, whose optimum is not the target.

    ``-ln( 2 |sum I J| / sum(|I| + |J|) )``. On a patch of one grey level c it falls as J grows
    beyond I, towards ``-ln(2 c)``: outputs in [0, 1] are driven to 1. It is here to show what it
    does; `squared_dice` is the form with its optimum at J = I.

    Parameters
    ----------
    expected, target : Tensor, (N, 1, P, P)

    Returns
    -------
    Tensor, scalar

    Notes
    -----
    1e-6 is added to numerator and denominator, so that a black patch has the loss 0 at J = 0.

    Source: Nagamura, Tokunaga, Okita, "Pneumonia Detection Using Anomaly Detection by U-net",
    its section on the loss.

    Examples
    --------
    >>> grey = torch.full((1, 1, 4, 4), 0.5)
    >>> white = torch.ones(1, 1, 4, 4)
    >>> bool(dice(white, grey) < dice(grey, grey))
    True
    """
    overlap = 2 * (target * expected).sum(_PIXELS).abs()
    total = (target.abs() + expected.abs()).sum(_PIXELS)
    return -torch.log((overlap + _EPSILON) / (total + _EPSILON)).mean()


def squared_dice(expected: Tensor, target: Tensor) -> Tensor:
    """Dice loss with squares in the denominator, whose optimum, 0, is J = I.

    ``-ln( 2 sum I J / (sum I^2 + sum J^2) )``: the coefficient of V-Net [1]_ under the paper's
    logarithm, where V-Net takes 1 minus it. The difference to the printed form is the squares.

    Parameters
    ----------
    expected, target : Tensor, (N, 1, P, P)

    Returns
    -------
    Tensor, scalar

    Notes
    -----
    Computed as the equal ``ln(1 + sum (I - J)^2 / (2 sum I J))``, which keeps its digits near the
    optimum. Where the sum of I J is negative, which takes a linear output, 0 stands for it, so
    that the loss still draws J towards I; 1e-6 is added to it for black patches.

    References
    ----------
    .. [1] F. Milletari, N. Navab, S.-A. Ahmadi. V-Net: fully convolutional neural networks for
       volumetric medical image segmentation. 3DV 2016, section 3. arXiv:1606.04797

    Examples
    --------
    >>> grey = torch.full((1, 1, 4, 4), 0.5)
    >>> squared_dice(grey, grey), squared_dice(2 * grey, grey)
    (tensor(0.), tensor(0.2231))
    """
    overlap = 2 * (target * expected).sum(_PIXELS).clamp_min(0)
    distance = (target - expected).square().sum(_PIXELS)
    return torch.log1p(distance / (overlap + _EPSILON)).mean()


def l1(expected: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference, ``mean |I - J|``.

    Source: H. Zhao, O. Gallo, I. Frosio, J. Kautz, "Loss functions for image restoration with
    neural networks", IEEE Transactions on Computational Imaging 3 (2017), equation 2,
    arXiv:1511.08861.

    Parameters
    ----------
    expected, target : Tensor, (N, 1, P, P)

    Returns
    -------
    Tensor, scalar

    Examples
    --------
    >>> l1(torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
    tensor(1.)
    """
    return (expected - target).abs().mean()


def l2(expected: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference, ``mean (I - J)^2``.

    Source: as for `l1`, section III.A; least squares is Gauss's and Legendre's.

    Parameters
    ----------
    expected, target : Tensor, (N, 1, P, P)

    Returns
    -------
    Tensor, scalar

    Examples
    --------
    >>> l2(torch.full((1, 1, 4, 4), 0.5), torch.zeros(1, 1, 4, 4))
    tensor(0.2500)
    """
    return (expected - target).square().mean()


def ssim(expected: Tensor, target: Tensor) -> Tensor:
    """Structural dissimilarity, 1 minus the mean SSIM, in [0, 2].

    ``SSIM = (2 m_I m_J + C1) (2 s_IJ + C2) / ((m_I^2 + m_J^2 + C1) (s_I^2 + s_J^2 + C2))`` with
    means, variances and covariance under a Gaussian window of 11 pixels, sigma 1.5, and
    ``C1 = 0.01^2``, ``C2 = 0.03^2``: the data range is 1. The mean goes over the windows that lie
    wholly in the patch, as in scikit-image's ``structural_similarity``.

    Source: Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality assessment: from
    error visibility to structural similarity", IEEE Transactions on Image Processing 13 (2004),
    equation 13, doi:10.1109/TIP.2003.819861.

    Parameters
    ----------
    expected, target : Tensor, (N, 1, P, P)
        P is at least 11.

    Returns
    -------
    Tensor, scalar

    Raises
    ------
    ConfigurationError
        If the patches are smaller than the window.

    Examples
    --------
    >>> patches = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> round(ssim(patches, patches).item(), 6), ssim(1 - patches, patches).item() > 1
    (0.0, True)
    """
    side = target.shape[-1]
    if side < SSIM_WINDOW:
        raise ConfigurationError(
            f"the loss 'ssim' looks through a window of {SSIM_WINDOW} pixels, the patches have "
            f"only {side}: take larger patches or another loss"
        )
    # Moments about a grey level near both: variances as differences of large numbers lose digits.
    origin = target.mean(_PIXELS, keepdim=True)
    window = _windows(side, like=target)

    def local_mean(values: Tensor) -> Tensor:
        return window @ values @ window.T

    x, y = target - origin, expected - origin
    mean_x, mean_y = local_mean(x), local_mean(y)
    variance_x = local_mean(x * x) - mean_x**2
    variance_y = local_mean(y * y) - mean_y**2
    covariance = local_mean(x * y) - mean_x * mean_y
    mean_x, mean_y = mean_x + origin, mean_y + origin
    similarity = ((2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)) / (
        (mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2)
    )
    return 1 - similarity.mean()


def _windows(side: int, *, like: Tensor) -> Tensor:
    """Row r holds the window's weights at r ... r + 10; (P - 10, P), so a product is a filter."""
    places = torch.arange(SSIM_WINDOW, dtype=like.dtype, device=like.device) - SSIM_WINDOW // 2
    weights = torch.exp(-0.5 * (places / _SSIM_SIGMA) ** 2)
    rows = side - SSIM_WINDOW + 1
    matrix = torch.zeros(rows, side, dtype=like.dtype, device=like.device)
    offsets = torch.arange(rows, device=like.device)[:, None]
    columns = offsets + torch.arange(SSIM_WINDOW, device=like.device)
    matrix.scatter_(1, columns, (weights / weights.sum()).expand(rows, -1))
    return matrix


LOSSES: dict[str, Loss] = {
    "dice": dice,
    "squared-dice": squared_dice,
    "l1": l1,
    "l2": l2,
    "ssim": ssim,
}
"""The losses by the names that settings use."""


def check_loss_name(_: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse, as an attrs validator, what is not a name in `LOSSES`.

    Raises
    ------
    ConfigurationError
        Naming the nearest match.

    Examples
    --------
    >>> from lungpatch.models.autoencoder import Autoencoder
    >>> Autoencoder(loss="mse")
    Traceback (most recent call last):
    ...
    lungpatch.errors.ConfigurationError: Autoencoder: there is no loss 'mse'...
    """
    if value in LOSSES:
        return
    raise ConfigurationError(
        f"there is no {attribute.name} {value!r}{did_you_mean(value, LOSSES)} "
        f"Known: {', '.join(LOSSES)}"
    )
