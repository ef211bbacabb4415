"""Random framing and exposure of lung crops, for networks that are trained on few of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own convention


def vary_framing(pixels: Tensor, lung: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rotate, scale and shift crops a little, and flip a few of them.

    Segmentations and patients vary like this.

    Parameters
    ----------
    pixels, lung : Tensor, float32, (N, 1, H, W)
        Grey levels, and 1 within the lungs, 0 elsewhere.
    generator : torch.Generator

    Returns
    -------
    pixels, lung : Tensor, float32, (N, 1, H, W)
        New tensors. What comes into view repeats the border, and is not lung.

    Examples
    --------
    >>> image = torch.rand(2, 1, 16, 16)
    >>> moved, lung = vary_framing(image, image.round(), torch.Generator().manual_seed(0))
    >>> moved.shape, sorted(lung.unique().tolist())
    (torch.Size([2, 1, 16, 16]), [0.0, 1.0])
    """
    count = len(pixels)
    draw = _Draw(count, pixels.device, generator)
    angle = draw.normal() * math.radians(4.0)
    zoom = draw.uniform(-0.1, 0.1).exp()
    squeeze = draw.uniform(-0.06, 0.06).exp()
    flip = torch.where(draw.uniform(0.0, 1.0) < 0.15, -1.0, 1.0)
    turn = torch.stack(
        [
            torch.stack([angle.cos() * zoom * squeeze * flip, -angle.sin() * zoom], dim=1),
            torch.stack([angle.sin() * zoom * flip, angle.cos() * zoom / squeeze], dim=1),
        ],
        dim=1,
    )
    shift = torch.stack([draw.uniform(-0.06, 0.06), draw.uniform(-0.06, 0.06)], dim=1)
    theta = torch.cat([turn, shift[:, :, None]], dim=2)
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    moved_lung = F.grid_sample(lung, grid, align_corners=False)
    return moved, (moved_lung > 0.5).float()


def vary_exposure(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Change gamma, sharpness, window, evenness and noise of images, as devices do.

    Parameters
    ----------
    pixels : Tensor, float32, (N, C, H, W)
        Grey levels in [0, 1]; all channels of an image are changed alike.
    generator : torch.Generator

    Returns
    -------
    Tensor, float32, (N, C, H, W)
        In [0, 1].

    Examples
    --------
    >>> image = torch.rand(2, 1, 16, 16)
    >>> varied = vary_exposure(image, torch.Generator().manual_seed(0))
    >>> varied.shape, bool(varied.min() >= 0 and varied.max() <= 1)
    (torch.Size([2, 1, 16, 16]), True)
    """
    draw = _Draw(len(pixels), pixels.device, generator)
    shape = pixels.shape[2:]
    pixels = pixels ** draw.uniform(-0.4, 0.4).exp()[:, None, None, None]
    field = F.interpolate(draw.normal(1, 3, 3), size=list(shape), mode="bicubic")
    pixels = pixels * (1.0 + draw.uniform(0.0, 0.08)[:, None, None, None] * field)
    blurred = F.avg_pool2d(pixels, 3, 1, 1, count_include_pad=False)
    sharpness = draw.uniform(-0.9, 0.9)[:, None, None, None]
    pixels = pixels + sharpness * (pixels - blurred)
    low = draw.uniform(-0.05, 0.08)[:, None, None, None]
    high = draw.uniform(0.92, 1.08)[:, None, None, None]
    pixels = (pixels - low) / (high - low)
    noise = draw.uniform(0.0, 0.03)[:, None, None, None] * draw.normal(1, *shape)
    return (pixels + noise).clamp(0.0, 1.0)


class _Draw:
    """Random numbers for a batch, one row per image; drawn on the CPU, whatever the device."""

    def __init__(self, count: int, device: torch.device, generator: torch.Generator) -> None:
        self.count, self.device, self.generator = count, device, generator

    def uniform(self, low: float, high: float) -> Tensor:
        values = torch.rand(self.count, generator=self.generator).to(self.device)
        return low + (high - low) * values

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.count, *shape, generator=self.generator).to(self.device)
