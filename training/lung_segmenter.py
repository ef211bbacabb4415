"""Train the lung U-Net that comes with lungpatch, and cross-validate its recipe.

    python training/lung_segmenter.py --data ../shared/data --out lung_unet.safetensors

A teacher is trained on the pairs of images and masks alone. It draws the lungs of normal images,
which is easy. Then it goes on, as its own student, with pairs and normal images half and half, and
learns to find these lungs where a painted opacity hides a base or a whole lung.

In `lungs` lie `image/*.png` and, under the same names, `mask/*.png`, all of one size, and
`films.csv`, which names the patient of each image: no patient is on both sides of a fold. Normal
images are `cxr/normal/*.png`, less those named in `cxr/normal_doubtful.csv`, and
`kermany/normal/*.png`. What is measured on the held-out images goes to a JSON file beside the
weights.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from augment_lungs import augment, hide_lung
from safetensors.torch import load, save
from scipy import ndimage
from skimage import io
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own convention
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lungpatch._utils.devices import choose_device
from lungpatch.containers import ChestImage
from lungpatch.networks.compact_unet import resize, standardise
from lungpatch.networks.lung_input import NETWORK_SIDE
from lungpatch.networks.lung_network import LungNetwork, network_input
from lungpatch.networks.torch_adapter import mixed_precision
from lungpatch.segmenters.lung_logits import lungs_from_logits
from lungpatch.segmenters.plausibility import implausibility

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

Measures = dict[str, list[float]]

BATCH = 8
LEARNING_RATE = 3e-3
PHASES = ((160, 1600), (NETWORK_SIDE, 900))
"""Side of the images and number of steps: small images first, at a third of the cost per step."""
STUDENT_LEARNING_RATE = 1.5e-3
STUDENT_PHASES = ((192, 400), (NETWORK_SIDE, 200))
HIDDEN = 4
"""How often a part of the lungs of a held-out image is hidden."""
MIN_HIDDEN = 0.03
"""Minimum fraction of the lungs that has to be hidden for it to count."""
CLOSING = 20
"""Radius, in pixels of the network, of the closing that smooths the lungs that a teacher draws."""
EMA_DECAY = 0.99
"""Decay of the running mean of the weights, which is kept in place of the last weights."""


def main() -> None:
    arguments = parse_arguments()
    device = choose_device(arguments.device)
    names, images, masks = read_pairs(arguments.data / "lungs")
    normal = read_normal(arguments.data)
    if arguments.folds:
        fold_of = split_by_patient(read_patients(arguments.data / "lungs", names), arguments.folds)
        folds = cross_validate(names, images, masks, fold_of, normal, arguments, device)
        report = arguments.out.with_suffix(".json")
        report.write_text(json.dumps(folds, indent=1) + "\n", encoding="utf-8")
    if arguments.only_fold:
        return
    print(f"all {len(images)} pairs")
    _, student = train(images, masks, normal, arguments, arguments.seed, device)
    state = {name: tensor.cpu().contiguous() for name, tensor in student.state_dict().items()}
    arguments.out.write_bytes(save(state))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of lungs, cxr and kermany")
    parser.add_argument("--out", type=Path, required=True, help="weights file to write")
    parser.add_argument(
        "--folds", type=int, default=5, help="folds of the cross-validation; 0 leaves it out"
    )
    parser.add_argument(
        "--only-fold", type=int, help="run this fold alone (from 1), and train no final weights"
    )
    parser.add_argument(
        "--teacher", type=Path, help="weights of a teacher, instead of training one"
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


def read_patients(folder: Path, names: list[str]) -> list[str]:
    """Read the patient of each image from `films.csv`."""
    with (folder / "films.csv").open(encoding="utf-8", newline="") as file:
        patients = {Path(row["file"]).stem: row["patient"] for row in csv.DictReader(file)}
    return [patients[name] for name in names]


def split_by_patient(patients: list[str], folds: int) -> NDArray[np.intp]:
    """Return the fold of each image: all images of a patient in one, the sizes balanced."""
    images_of = Counter(patients)
    sizes = [0] * folds
    fold_of: dict[str, int] = {}
    for patient, count in images_of.most_common():
        fold_of[patient] = sizes.index(min(sizes))
        sizes[fold_of[patient]] += count
    return np.array([fold_of[patient] for patient in patients])


def read_normal(folder: Path) -> Tensor:
    """Read the normal images, float32 in [0, 1], (N, 1, 512, 512)."""
    with (folder / "cxr" / "normal_doubtful.csv").open(encoding="utf-8", newline="") as file:
        doubtful = {row["file"] for row in csv.DictReader(file)}
    adults = sorted((folder / "cxr" / "normal").glob("*.png"))
    children = sorted((folder / "kermany" / "normal").glob("*.png"))
    images = []
    for path in [*(path for path in adults if path.name not in doubtful), *children]:
        pixels = torch.from_numpy(io.imread(path, as_gray=True)[None, None]).float() / 255.0
        images.append(resize(pixels, (512, 512)))
    return torch.cat(images)


def cross_validate(
    names: list[str],
    images: Tensor,
    masks: Tensor,
    fold_of: NDArray[np.intp],
    normal: Tensor,
    arguments: argparse.Namespace,
    device: torch.device,
) -> list[dict[str, object]]:
    """Train on all folds but one, and evaluate teacher and student on that one."""
    folds = int(fold_of.max()) + 1
    report: list[dict[str, object]] = []
    for fold in range(folds) if arguments.only_fold is None else [arguments.only_fold - 1]:
        print(f"fold {fold + 1} of {folds}")
        held = fold_of == fold
        networks = train(
            images[~held], masks[~held], normal, arguments, arguments.seed + fold, device
        )
        held_names = [name for name, out in zip(names, held, strict=True) if out]
        for who, network in zip(("teacher", "student"), networks, strict=True):
            measures = agreement(network.cpu(), images[held], masks[held])
            print(f"  {who}: {describe(measures)}", flush=True)
            report.append({"fold": fold + 1, "who": who, "images": held_names, **measures})
    return report


def describe(measures: Measures) -> str:
    dice, iou, hidden = (np.array(measures[key]) for key in ("dice", "iou", "hidden"))
    return (
        f"Dice {dice.mean():.4f}, lowest {dice.min():.4f}; IoU {iou.mean():.4f}, lowest "
        f"{iou.min():.4f}; of hidden lung {hidden.mean():.3f}, below 0.5 in "
        f"{np.count_nonzero(hidden < 0.5)} of {len(hidden)}"
    )


def train(
    images: Tensor,
    masks: Tensor,
    normal: Tensor,
    arguments: argparse.Namespace,
    seed: int,
    device: torch.device,
) -> tuple[LungNetwork, LungNetwork]:
    """Train a teacher on these pairs, and a student, which goes on from it with normal images."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    teacher = LungNetwork()
    if arguments.teacher:
        teacher.load_state_dict(load(arguments.teacher.read_bytes()))
    else:
        teacher = improve(teacher, [(images, masks)], PHASES, LEARNING_RATE, rng, device)
    teacher = teacher.cpu().eval()
    drawn, lungs = draw_lungs(teacher, normal)
    print(f"  {len(drawn)} of {len(normal)} normal images with plausible lungs", flush=True)
    sources = [(images, masks), (drawn, lungs)]
    student = improve(
        copy.deepcopy(teacher),
        sources,
        STUDENT_PHASES,
        STUDENT_LEARNING_RATE,
        rng,
        device,
        hide=True,
    )
    return teacher, student


def improve(
    network: LungNetwork,
    sources: list[tuple[Tensor, Tensor]],
    phases: Sequence[tuple[int, int]],
    learning_rate: float,
    rng: torch.Generator,
    device: torch.device,
    *,
    hide: bool = False,
) -> LungNetwork:
    """Train a network on pairs of images and masks; each source has its share of every batch."""
    network = network.to(device, memory_format=torch.channels_last).train()
    averaged = AveragedModel(
        network, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY), use_buffers=True
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        learning_rate,
        total_steps=sum(steps for _, steps in phases),
        pct_start=0.05,
        cycle_momentum=False,
    )
    share = BATCH // len(sources)
    for side, steps in phases:
        small = [
            (shrink(images, side).to(device), (shrink(masks, side) > 0.5).float().to(device))
            for images, masks in sources
        ]
        started = time.perf_counter()
        choices = zip(
            *(batches(len(images), share, steps, rng) for images, _ in sources), strict=True
        )
        for step, chosen in enumerate(choices, 1):
            picked = [
                (images[which], masks[which])
                for which, (images, masks) in zip(chosen, small, strict=True)
            ]
            batch, targets = (torch.cat(parts) for parts in zip(*picked, strict=True))
            batch, targets = augment(batch, targets, rng, hide=hide)
            batch = standardise(batch).contiguous(memory_format=torch.channels_last)
            with mixed_precision(device):
                logits = network(batch)
            error = loss(logits.float(), targets)
            optimiser.zero_grad()
            error.backward()
            optimiser.step()
            schedule.step()
            averaged.update_parameters(network)
            if step % 100 == 0:
                seconds = time.perf_counter() - started
                progress = f"step {step} of {steps}, loss {error.item():.3f}, {seconds:.0f} s"
                print(f"  {side} px: {progress}", flush=True)
    trained: LungNetwork = averaged.module
    return trained.eval()


def draw_lungs(network: LungNetwork, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the images whose lungs are plausible, and masks of these lungs as by the network.

    Small dents of the border are closed: on normal images they are errors.
    """
    kept, lungs = [], []
    for image in images:
        stretched = network_input(image[None])
        with torch.inference_mode():
            logits = (network(stretched) + network(stretched.flip(3)).flip(3)) / 2.0
        mask = lungs_from_logits(logits[0, 0].numpy(), (NETWORK_SIDE, NETWORK_SIDE))
        chest = ChestImage(pixels=image[0].numpy(), image_id="normal")
        native = resize(torch.from_numpy(mask)[None, None].float(), image.shape[1:])[0, 0] > 0.5
        if mask.any() and not implausibility(
            chest, native.numpy(), probability=logits.sigmoid()[0, 0].numpy()
        ):
            kept.append(image)
            closed = resize(
                torch.from_numpy(close_lungs(mask))[None, None].float(), image.shape[1:]
            )
            lungs.append((closed[0] > 0.5).float())
    return torch.stack(kept), torch.stack(lungs)


def close_lungs(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close each lung with a disc of radius `CLOSING`."""
    pieces, count = ndimage.label(mask)
    closed = np.zeros_like(mask)
    for piece in range(1, count + 1):
        padded = np.pad(pieces == piece, CLOSING, mode="edge")
        wide = ndimage.distance_transform_edt(~padded) <= CLOSING
        inner = ndimage.distance_transform_edt(wide) > CLOSING
        closed |= inner[CLOSING:-CLOSING, CLOSING:-CLOSING]
    return closed


def shrink(images: Tensor, side: int) -> Tensor:
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


def batches(count: int, share: int, steps: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Yield the indices of one batch per step; each pair comes once before any comes again."""
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(order) < share:
            order = torch.cat([order, torch.randperm(count, generator=rng)])
        yield order[:share]
        order = order[share:]


def loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return binary cross-entropy plus 1 - Dice at the masks' resolution, the mean over images."""
    logits = resize(logits, masks.shape[2:])
    lung = logits.sigmoid()
    total = lung.sum((1, 2, 3)) + masks.sum((1, 2, 3))
    dice = (2.0 * (lung * masks).sum((1, 2, 3)) + 1.0) / (total + 1.0)
    return F.binary_cross_entropy_with_logits(logits, masks) + 1.0 - dice.mean()


def agreement(network: LungNetwork, images: Tensor, masks: Tensor) -> Measures:
    """Return Dice and IoU of each image at its native size, cleaned up as by the segmenter.

    Also how much is found of lung that is hidden, of the images in which some is.
    """
    rng = torch.Generator().manual_seed(0)
    measures: Measures = {"dice": [], "iou": [], "hidden": []}
    for image, mask in zip(images, masks, strict=True):
        lungs = mask[0].bool().numpy()
        found = find_lungs(network, image)
        overlap, union = np.count_nonzero(found & lungs), np.count_nonzero(found | lungs)
        measures["dice"].append(2.0 * overlap / (union + overlap))
        measures["iou"].append(overlap / union)
        for _ in range(HIDDEN):
            changed, hidden = hide_lung(image[None], mask[None], rng)
            lost = hidden[0, 0].bool().numpy()
            if np.count_nonzero(lost) > MIN_HIDDEN * np.count_nonzero(lungs):
                measures["hidden"].append(float(find_lungs(network, changed[0])[lost].mean()))
    return measures


def find_lungs(network: LungNetwork, image: Tensor) -> NDArray[np.bool_]:
    """Return the lungs of an image, (1, H, W), as the segmenter does."""
    with torch.inference_mode():
        logits = network(network_input(image[None]))[0, 0].numpy()
    return lungs_from_logits(logits, image.shape[1:])


if __name__ == "__main__":
    main()
