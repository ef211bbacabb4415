"""Augmentation for the training of the lung segmenter: random variants of a few chest images.

Every step works on a whole batch at once and draws from the generator that it is given.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own convention


def augment(
    images: Tensor, masks: Tensor, rng: torch.Generator, *, hide: bool = False
) -> tuple[Tensor, Tensor]:
    """Vary framing, shape, exposure and opacities of a batch.

    Parameters
    ----------
    images : Tensor, float32, (N, 1, H, H)
        Grey levels in [0, 1].
    masks : Tensor, float32, (N, 1, H, H)
        1 inside a lung, 0 elsewhere.
    rng : torch.Generator
        On the CPU, whatever device the batch is on.
    hide : bool
        Whether to hide bases and whole lungs in half of the images, without a trace of the border.

    Returns
    -------
    images, masks : Tensor, float32, (N, 1, H, H)
        New tensors on the same scales.
    """
    draw = _Draw(len(images), images.device, rng)
    images, masks = _warp(images, masks, draw)
    plain = _change_contrast(images, draw, strength=0.3), masks
    images = _paint_opacities(images, masks, draw)
    hidden = torch.zeros(len(images), 1, 1, 1, dtype=torch.bool, device=images.device)
    if hide:
        hidden = draw.happens(0.5) > 0
        images = torch.where(hidden, _hide_lung(plain[0], masks, draw), images)
    images = _paint_gas(images, masks, draw)
    images = _change_contrast(images, draw)
    images = _cut_out(images, draw)
    images, masks = _collimate(images, masks, draw)
    images, masks = _remove_patient(images, masks, draw)
    # Unchanged images show where borders are; the varied ones make the network robust.
    varied = (draw.happens(0.5) > 0) | hidden
    images = torch.where(varied, images, plain[0])
    masks = torch.where(varied, masks, plain[1])
    grain = draw.uniform(0.0, 0.03) * draw.happens(0.9)
    images = images + draw.normal(1, *images.shape[2:]) * grain
    return images.clamp(0.0, 1.0), masks


def hide_lung(images: Tensor, masks: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Hide a base or a whole lung of each image.

    Parameters
    ----------
    images, masks, rng
        As of `augment`.

    Returns
    -------
    images, hidden : Tensor, float32, (N, 1, H, H)
        New images, and 1 where lung was changed visibly.
    """
    changed = _hide_lung(images, masks, _Draw(len(images), images.device, rng))
    return changed, masks * ((changed - images).abs() > 0.05)


class _Draw:
    """Random numbers for a batch, one row per image, shaped to broadcast against it."""

    def __init__(self, count: int, device: torch.device, rng: torch.Generator) -> None:
        self.count, self.device, self.rng = count, device, rng

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        shape = shape or (1, 1, 1)
        values = torch.rand(self.count, *shape, generator=self.rng).to(self.device)
        return low + (high - low) * values

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.count, *shape, generator=self.rng).to(self.device)

    def happens(self, probability: float, *shape: int) -> Tensor:
        """Return 1 with this probability, else 0."""
        return (self.uniform(0.0, 1.0, *shape) < probability).float()

    def field(self, cells: int, side: int, channels: int = 1) -> Tensor:
        """Return smooth noise of unit scale with about `cells` bumps per side."""
        coarse = self.normal(channels, cells, cells)
        return F.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=True)


def _grid(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return row and column of each pixel in [-1, 1], both (1, 1, side, side)."""
    axis = torch.linspace(-1.0, 1.0, side, device=device)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    return rows[None, None], columns[None, None]


def _blur(images: Tensor, width: int) -> Tensor:
    """Return the mean over a square of this odd width, one axis after the other."""
    half = width // 2
    images = F.avg_pool2d(images, (1, width), 1, (0, half), count_include_pad=False)
    return F.avg_pool2d(images, (width, 1), 1, (half, 0), count_include_pad=False)


def _mean_where(weights: Tensor, values: Tensor) -> Tensor:
    """Return the weighted mean of each image of a batch, (N, 1, 1, 1)."""
    total = (weights * values).sum((1, 2, 3), keepdim=True)
    return total / weights.sum((1, 2, 3), keepdim=True).clamp_min(1.0)


def _warp(images: Tensor, masks: Tensor, draw: _Draw) -> tuple[Tensor, Tensor]:
    """Flip, rotate, scale, shear, shift and bend; what comes into view is black or grey."""
    side = images.shape[-1]
    angle = draw.normal(1, 1, 1) * math.radians(7.0)
    # Children's images are framed tighter than the training images and squeezed more, portable
    # images wider.
    zoom = draw.uniform(math.log(0.7), math.log(1.3)).exp()
    squeeze = draw.uniform(-0.15, 0.15).exp()
    mirror = 1.0 - 2.0 * draw.happens(0.5)
    shear = draw.normal(1, 1, 1) * 0.06
    rows, columns = _grid(side, images.device)
    bend = draw.field(5, side, channels=2) * draw.uniform(0.0, 0.03)
    down = (angle.cos() * rows + angle.sin() * columns) * zoom * squeeze
    across = (angle.cos() * columns - angle.sin() * rows + shear * rows) * zoom / squeeze * mirror
    points = torch.cat([across, down], dim=1) + bend + draw.uniform(-0.12, 0.12, 2, 1, 1)
    outside = draw.happens(0.4) * draw.uniform(0.0, 1.0)
    both = torch.cat([images - outside, masks], dim=1)
    both = F.grid_sample(both, points.permute(0, 2, 3, 1), align_corners=True)
    return both[:, :1] + outside, (both[:, 1:] > 0.5).float()


def _paint_opacities(images: Tensor, masks: Tensor, draw: _Draw) -> Tensor:
    """Turn parts of the lung as bright as soft tissue: patches, opaque bases, veils."""
    side = images.shape[-1]
    coarse = F.avg_pool2d(masks, 4)
    rows, columns = _grid(side // 4, images.device)
    lung = coarse.flatten(1)
    centres = torch.multinomial(lung.cpu() + 1e-6, 4, generator=draw.rng).to(images.device)
    centre_rows = rows.flatten()[centres][..., None, None]
    centre_columns = columns.flatten()[centres][..., None, None]

    # Up to four blurred ellipses with ragged edges, each around a point of the lung.
    angle = draw.uniform(0.0, math.pi, 4, 1, 1)
    along = (rows - centre_rows) * angle.cos() + (columns - centre_columns) * angle.sin()
    athwart = (columns - centre_columns) * angle.cos() - (rows - centre_rows) * angle.sin()
    radii = draw.uniform(0.12, 0.5, 4, 2, 1, 1)
    distance = torch.hypot(along / radii[:, :, 0], athwart / radii[:, :, 1])
    ragged = distance + 0.25 * draw.field(9, side // 4, channels=4)
    ellipses = torch.sigmoid((1.0 - ragged) / draw.uniform(0.05, 0.35, 4, 1, 1))
    patches = (ellipses * draw.happens(0.5, 4, 1, 1)).amax(dim=1, keepdim=True)

    # A base or a whole side: the row above which it clears, on the left, the right or both.
    lowest = torch.where(coarse > 0.5, rows, -1.0).flatten(1).amax(dim=1).view(-1, 1, 1, 1)
    level = lowest - draw.uniform(0.1, 0.8)
    base = torch.sigmoid((rows - level + 0.1 * draw.field(5, side // 4)) / draw.uniform(0.03, 0.2))
    middle = _mean_where(coarse, columns)
    chosen = draw.uniform(0.0, 3.0).floor()
    sides = torch.where(columns < middle, (chosen != 0).float(), (chosen != 1).float())
    kind = draw.uniform(0.0, 1.0)
    alpha = torch.where(kind < 0.45, patches, torch.where(kind < 0.85, base * sides, sides))

    alpha = F.interpolate(alpha, size=(side, side), mode="bilinear")
    # Beyond the border too, or the border would shine through.
    around = (2.0 * _blur(masks, side // 20 * 2 + 1)).clamp_max(1.0)
    alpha = alpha * around * draw.uniform(0.4, 1.0) * draw.happens(0.6)
    # Consolidation and effusion are as bright as the surrounding soft tissue, most of it below.
    tissue = (1.0 - masks) * (images > 0.1)
    tissue = tissue * torch.where(_grid(side, images.device)[0] > lowest, 1.0, 0.1)
    bright = _mean_where(tissue, images) + draw.uniform(-0.1, 0.1) + 0.03 * draw.field(17, side)
    return images + alpha * (bright - images).clamp_min(0.0)


def _hide_lung(images: Tensor, masks: Tensor, draw: _Draw) -> Tensor:
    """Replace a base or a whole lung by the soft tissue that is nearest to it.

    Nothing of the border is left to see: it has to be guessed from the rest of the chest.
    """
    side = images.shape[-1]
    small, lungs = F.avg_pool2d(images, 4), F.max_pool2d(masks, 4)
    rows, columns = _grid(side // 4, images.device)
    lowest = torch.where(lungs > 0.5, rows, -1.0).flatten(1).amax(dim=1).view(-1, 1, 1, 1)
    middle = _mean_where(lungs, columns)
    # The row below which all is opaque, rising or falling outwards; or a whole lung.
    whole = draw.happens(0.2)
    level = lowest - torch.where(whole > 0, 2.0, draw.uniform(0.05, 0.7))
    level = level - draw.uniform(-0.3, 0.6) * (columns - middle).abs()
    level = level + 0.08 * draw.field(5, side // 4)
    chosen = torch.where(whole > 0, draw.uniform(0.0, 2.0), draw.uniform(0.0, 3.0)).floor()
    sides = torch.where(columns < middle, (chosen != 0).float(), (chosen != 1).float())
    alpha = torch.sigmoid((rows - level) / draw.uniform(0.01, 0.12)) * sides
    # Beyond the border too, or the border would shine through.
    alpha = alpha * _blur(F.max_pool2d(lungs, 9, 1, 4), 5) * draw.uniform(0.75, 1.0)

    tissue = (1.0 - F.max_pool2d(lungs, 3, 1, 1)) * (small > 0.08)
    tissue = tissue * torch.where(rows > lowest - 0.2, 1.0, 0.05)
    # What is near weighs most; far off, the means over wider and wider squares.
    weight, total = 1e-6 + 0.0 * tissue, 1e-6 * _mean_where(tissue, small)
    for width, share in ((3, 1.0), (7, 0.1), (13, 0.01), (25, 0.001)):
        weight = weight + share * _blur(_blur(tissue, width), width)
        total = total + share * _blur(_blur(tissue * small, width), width)
    alpha, bright = F.interpolate(
        torch.cat([alpha, total / weight], dim=1), size=(side, side), mode="bilinear"
    ).split(1, dim=1)
    texture = 0.03 * draw.field(17, side) + 0.015 * draw.field(65, side)
    bright = bright + draw.uniform(-0.08, 0.08) + draw.uniform(0.0, 1.0) * texture
    return images + alpha * (bright - images)


def _paint_gas(images: Tensor, masks: Tensor, draw: _Draw) -> Tensor:
    """Sometimes paint a bubble of gas as dark as lung, such as a stomach's, below the lungs."""
    rows, columns = _grid(images.shape[-1], images.device)
    lowest = torch.where(masks > 0.5, rows, -1.0).flatten(1).amax(dim=1).view(-1, 1, 1, 1)
    down = (rows - lowest - draw.uniform(-0.15, 0.15)) / draw.uniform(0.05, 0.2)
    across = (columns - draw.uniform(-0.7, 0.7)) / draw.uniform(0.08, 0.3)
    ragged = torch.hypot(down, across) + 0.1 * draw.field(9, images.shape[-1])
    alpha = torch.sigmoid((1.0 - ragged) / draw.uniform(0.02, 0.1)) * (1.0 - masks)
    alpha = alpha * draw.uniform(0.3, 0.9) * draw.happens(0.3)
    return images - alpha * (images - _mean_where(masks, images)).clamp_min(0.0)


def _change_contrast(images: Tensor, draw: _Draw, strength: float = 1.0) -> Tensor:
    """Gamma, uneven exposure, local contrast from blurred to sharpened, window."""
    side = images.shape[-1]
    images = images.clamp(0.0, 1.0) ** (strength * draw.uniform(-0.6, 0.6)).exp()
    images = images * (1.0 + strength * draw.uniform(0.0, 0.15) * draw.field(3, side))
    width = 2 * int(torch.randint(1, 16, (), generator=draw.rng)) + 1
    # Blurring over more than a few pixels would rub the lung's border out.
    detail = images - _blur(images, width)
    images = images + strength * draw.uniform(-0.8 if width < 7 else -0.2, 0.8) * detail
    offset, gain = draw.uniform(-0.15, 0.15), draw.uniform(0.6, 1.3)
    return strength * offset + (1.0 + strength * (gain - 1.0)) * images


def _cut_out(images: Tensor, draw: _Draw) -> Tensor:
    """Cover up to two boxes with one grey level: labels, devices, missing evidence."""
    rows, columns = _grid(images.shape[-1], images.device)
    for _ in range(2):
        off_row = (rows - draw.uniform(-1.0, 1.0)).abs() > draw.uniform(0.03, 0.25)
        off_column = (columns - draw.uniform(-1.0, 1.0)).abs() > draw.uniform(0.03, 0.25)
        shown = off_row | off_column | (draw.happens(0.3) == 0)
        images = torch.where(shown, images, draw.uniform(0.0, 1.0))
    return images


def _collimate(images: Tensor, masks: Tensor, draw: _Draw) -> tuple[Tensor, Tensor]:
    """Sometimes blacken what lies outside a tilted rectangle, as a collimator does."""
    rows, columns = _grid(images.shape[-1], images.device)
    angle = draw.normal(1, 1, 1) * math.radians(5.0)
    down = rows * angle.cos() + columns * angle.sin() + draw.uniform(-0.1, 0.1)
    across = columns * angle.cos() - rows * angle.sin() + draw.uniform(-0.1, 0.1)
    seen = (down.abs() < draw.uniform(0.75, 1.0)) & (across.abs() < draw.uniform(0.75, 1.0))
    seen = seen | (draw.happens(0.2) == 0)
    return images * seen, masks * seen


def _remove_patient(images: Tensor, masks: Tensor, draw: _Draw) -> tuple[Tensor, Tensor]:
    """Rarely leave only a smooth background, so that lungs are not found in every image."""
    background = draw.uniform(0.0, 1.0) + 0.2 * draw.happens(0.5) * draw.field(4, images.shape[-1])
    there = draw.happens(0.97)
    return torch.where(there > 0, images, background), masks * there
