"""Train the lung U-Net that comes with lungpatch, and cross-validate its recipe.

    python training/lung_segmenter.py --data ../shared/data/lungs --out lung_unet.safetensors

The folder holds `image/*.png` and, under the same names, `mask/*.png`, all of one size. Dice and
IoU of every fold go to a JSON file beside the weights. The settings were chosen by that
cross-validation alone.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from augment_lungs import augment
from safetensors.torch import save
from skimage import io
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own convention
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lungpatch._utils.devices import choose_device
from lungpatch.networks.compact_unet import resize, standardise
from lungpatch.networks.lung_network import NETWORK_SIDE, LungNetwork, network_input
from lungpatch.networks.torch_adapter import mixed_precision
from lungpatch.segmenters.unet import lungs_from_logits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BATCH = 8
LEARNING_RATE = 3e-3
PHASES = ((160, 1600), (NETWORK_SIDE, 900))
"""Side of the images and number of steps: small images first, at a third of the cost per step."""
EMA_DECAY = 0.99
"""Decay of the running mean of the weights, which is kept in place of the last weights."""


def main() -> None:
    arguments = parse_arguments()
    device = choose_device(arguments.device)
    names, images, masks = read_pairs(arguments.data)
    if arguments.folds:
        folds = cross_validate(
            names, images, masks, arguments.folds, arguments.seed, device, arguments.only_fold
        )
        report = arguments.out.with_suffix(".json")
        report.write_text(json.dumps(folds, indent=1) + "\n", encoding="utf-8")
    if arguments.only_fold:
        return
    print(f"all {len(images)} pairs")
    network = train(images, masks, arguments.seed, device)
    state = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    arguments.out.write_bytes(save(state))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with image/ and mask/")
    parser.add_argument("--out", type=Path, required=True, help="weights file to write")
    parser.add_argument(
        "--folds", type=int, default=5, help="folds of the cross-validation; 0 leaves it out"
    )
    parser.add_argument(
        "--only-fold", type=int, help="run this fold alone (from 1), and train no final weights"
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches, augmentation")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    return parser.parse_args()


def read_pairs(folder: Path) -> tuple[list[str], Tensor, Tensor]:
    """Read names, images in [0, 1] and masks of 0 and 1, both float32 (N, 1, H, W)."""
    paths = sorted((folder / "image").glob("*.png"))
    if not paths:
        raise SystemExit(f"no image/*.png in {folder}")

    def read(part: str) -> Tensor:
        pixels = [io.imread(folder / part / path.name, as_gray=True) for path in paths]
        return torch.from_numpy(np.stack(pixels)[:, None]).float() / 255.0

    return [path.stem for path in paths], read("image"), (read("mask") > 0.5).float()


def cross_validate(
    names: list[str],
    images: Tensor,
    masks: Tensor,
    folds: int,
    seed: int,
    device: torch.device,
    only_fold: int | None,
) -> list[dict[str, object]]:
    """Train on all folds but one, and evaluate on that one."""
    # Images of one patient or report follow each other, so a fold is a range of names: only the
    # patients at its two ends can be in the training part too.
    fold_of = np.arange(len(names)) * folds // len(names)
    report: list[dict[str, object]] = []
    for fold in range(folds) if only_fold is None else [only_fold - 1]:
        print(f"fold {fold + 1} of {folds}")
        held = fold_of == fold
        network = train(images[~held], masks[~held], seed + fold, device).cpu()
        dice, iou = agreement(network, images[held], masks[held])
        print(describe("  ", dice, iou), flush=True)
        held_names = [name for name, out in zip(names, held, strict=True) if out]
        report.append({"images": held_names, "dice": dice.tolist(), "iou": iou.tolist()})
    print(
        describe("all folds: ", *(np.hstack([f[key] for f in report]) for key in ("dice", "iou")))
    )
    return report


def describe(start: str, dice: NDArray[np.float64], iou: NDArray[np.float64]) -> str:
    return (
        f"{start}Dice {dice.mean():.4f}, lowest {dice.min():.4f}; "
        f"IoU {iou.mean():.4f}, lowest {iou.min():.4f}"
    )


def train(images: Tensor, masks: Tensor, seed: int, device: torch.device) -> LungNetwork:
    """Train a network on these pairs, on small images first, then on large ones."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    network = LungNetwork().to(device, memory_format=torch.channels_last).train()
    averaged = AveragedModel(
        network, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY), use_buffers=True
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        LEARNING_RATE,
        total_steps=sum(steps for _, steps in PHASES),
        pct_start=0.05,
        cycle_momentum=False,
    )
    for side, steps in PHASES:
        small = shrink(images, side).to(device)
        small_masks = (shrink(masks, side) > 0.5).float().to(device)
        started = time.perf_counter()
        for step, chosen in enumerate(batches(len(images), steps, rng), 1):
            batch, targets = augment(small[chosen], small_masks[chosen], rng)
            batch = standardise(batch).contiguous(memory_format=torch.channels_last)
            with mixed_precision(device):
                logits = network(batch)
            error = loss(logits.float(), targets)
            optimiser.zero_grad()
            error.backward()
            optimiser.step()
            schedule.step()
            averaged.update_parameters(network)
            if step % 200 == 0:
                seconds = time.perf_counter() - started
                progress = f"step {step} of {steps}, loss {error.item():.3f}, {seconds:.0f} s"
                print(f"  {side} px: {progress}", flush=True)
    return averaged.module.eval()


def shrink(images: Tensor, side: int) -> Tensor:
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


def batches(count: int, steps: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Yield the indices of one batch per step; each pair comes once before any comes again."""
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(order) < BATCH:
            order = torch.cat([order, torch.randperm(count, generator=rng)])
        yield order[:BATCH]
        order = order[BATCH:]


def loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return binary cross-entropy plus 1 - Dice at the masks' resolution, the mean over images."""
    logits = resize(logits, masks.shape[2:])
    lung = logits.sigmoid()
    total = lung.sum((1, 2, 3)) + masks.sum((1, 2, 3))
    dice = (2.0 * (lung * masks).sum((1, 2, 3)) + 1.0) / (total + 1.0)
    return F.binary_cross_entropy_with_logits(logits, masks) + 1.0 - dice.mean()


def agreement(
    network: LungNetwork, images: Tensor, masks: Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Dice and IoU of each image at its native size, cleaned up as by the segmenter."""
    overlaps, unions = [], []
    for image, mask in zip(images, masks.bool().numpy(), strict=True):
        with torch.inference_mode():
            logits = network(network_input(image[None]))
        found = lungs_from_logits(logits, mask[0].shape)
        overlaps.append(np.count_nonzero(found & mask[0]))
        unions.append(np.count_nonzero(found | mask[0]))
    overlap, union = np.array(overlaps), np.array(unions)
    return 2.0 * overlap / (union + overlap), overlap / union


if __name__ == "__main__":
    main()
