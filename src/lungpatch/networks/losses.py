"""Losses between the patches that a network returns and the patches that it was given.

Each takes ``(expected, target)``, both (N, 1, P, P), is computed patch by patch and averaged over
the patches. In the formulas sums run over the pixels of a patch, I is the target and J the output
of the network.
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
_C1, _C2 = 0.01**2, 0.03**2  # (K L)^2 with K as published and data range L = 1

# Keeps the losses of black patches finite; far below one grey level in one pixel.
_EPSILON = 1e-6

_PIXELS = (1, 2, 3)


def dice(expected: Tensor, target: Tensor) -> Tensor:
    """Return the Dice loss as printed in the paper [1]_, whose optimum is not the target.

    ``-ln( 2 |sum I J| / sum(|I| + |J|) )``. On a patch of one grey level c it decreases as J grows
    beyond I, towards ``-ln(2 c)``: outputs in [0, 1] are driven to 1. It is here to show this;
    `squared_dice` is the form whose optimum is J = I.

    Parameters
    ----------
    expected, target : Tensor, (N, 1, P, P)

    Returns
    -------
    Tensor, scalar

    See Also
    --------
    squared_dice : The form whose optimum is the target.

    Notes
    -----
    1e-6 is added to numerator and denominator, so that a black patch has the loss 0 at J = 0.

    References
    ----------
    .. [1] Nagamura, Tokunaga, Okita, "Pneumonia detection using anomaly detection by U-net", its
       section on the loss.

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
    """Return the Dice loss with squares in the denominator, whose optimum, 0, is J = I.

    ``-ln( 2 sum I J / (sum I^2 + sum J^2) )``: the Dice coefficient of V-Net [1]_ under the
    paper's logarithm, where V-Net takes 1 minus it. It differs from the printed form by the
    squares.

    Parameters
    ----------
    expected, target : Tensor, (N, 1, P, P)

    Returns
    -------
    Tensor, scalar

    See Also
    --------
    dice : The form that the paper prints.

    Notes
    -----
    It is computed as the equal ``ln(1 + sum (I - J)^2 / (2 sum I J))``, which keeps its digits
    near the optimum. A negative sum of I J, which only a linear output can give, is replaced by 0,
    so that the loss still draws J towards I; 1e-6 is added to the sum for black patches.

    References
    ----------
    .. [1] F. Milletari, N. Navab, S.-A. Ahmadi, "V-Net: fully convolutional neural networks for
       volumetric medical image segmentation", 3DV 2016, section 3. arXiv:1606.04797

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
    """Return the mean absolute difference, ``mean |I - J|`` [1]_.

    Parameters
    ----------
    expected, target : Tensor, (N, 1, P, P)

    Returns
    -------
    Tensor, scalar

    See Also
    --------
    l2, ssim

    References
    ----------
    .. [1] H. Zhao, O. Gallo, I. Frosio, J. Kautz, "Loss functions for image restoration with
       neural networks", IEEE Transactions on Computational Imaging 3, 2017, equation 2.
       arXiv:1511.08861

    Examples
    --------
    >>> l1(torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
    tensor(1.)
    """
    return (expected - target).abs().mean()


def l2(expected: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared difference, ``mean (I - J)^2`` [1]_.

    Parameters
    ----------
    expected, target : Tensor, (N, 1, P, P)

    Returns
    -------
    Tensor, scalar

    See Also
    --------
    l1, ssim

    References
    ----------
    .. [1] H. Zhao, O. Gallo, I. Frosio, J. Kautz, "Loss functions for image restoration with
       neural networks", IEEE Transactions on Computational Imaging 3, 2017, section III.A.
       arXiv:1511.08861

    Examples
    --------
    >>> l2(torch.full((1, 1, 4, 4), 0.5), torch.zeros(1, 1, 4, 4))
    tensor(0.2500)
    """
    return (expected - target).square().mean()


def ssim(expected: Tensor, target: Tensor) -> Tensor:
    """Return the structural dissimilarity, 1 minus the mean SSIM [1]_, in [0, 2].

    ``SSIM = (2 m_I m_J + C1) (2 s_IJ + C2) / ((m_I^2 + m_J^2 + C1) (s_I^2 + s_J^2 + C2))`` with
    means, variances and covariance under a Gaussian window of 11 pixels, sigma 1.5, and
    ``C1 = 0.01^2``, ``C2 = 0.03^2``: the data range is 1. The mean is over the windows that lie
    wholly in the patch, as in scikit-image's ``structural_similarity``.

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

    See Also
    --------
    l1, l2
    SSIMScorer : The same measure as a score.

    References
    ----------
    .. [1] Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality assessment: from
       error visibility to structural similarity", IEEE Transactions on Image Processing 13, 2004,
       equation 13. doi:10.1109/TIP.2003.819861

    Examples
    --------
    >>> patches = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> round(ssim(patches, patches).item(), 6), ssim(1 - patches, patches).item() > 1
    (0.0, True)
    """
    side = target.shape[-1]
    if side < SSIM_WINDOW:
        raise ConfigurationError(
            f"the loss 'ssim' uses a window of {SSIM_WINDOW} pixels, the patches have only {side}: "
            "take larger patches or another loss"
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
    """Return a matrix (P - 10, P), whose row r holds the window's weights at r to r + 10."""
    offsets = torch.arange(SSIM_WINDOW, dtype=like.dtype, device=like.device) - SSIM_WINDOW // 2
    weights = torch.exp(-0.5 * (offsets / _SSIM_SIGMA) ** 2)
    rows = side - SSIM_WINDOW + 1
    matrix = torch.zeros(rows, side, dtype=like.dtype, device=like.device)
    first = torch.arange(rows, device=like.device)[:, None]
    columns = first + torch.arange(SSIM_WINDOW, device=like.device)
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
    """Refuse, as an attrs validator, a value that is no name in `LOSSES`.

    Raises
    ------
    ConfigurationError
        Naming the nearest match.

    Examples
    --------
    >>> from lungpatch.models import Autoencoder
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
