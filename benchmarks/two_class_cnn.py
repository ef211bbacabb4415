"""Accuracy of the paper's two-class CNN on PneumoniaMNIST, with the publisher's own split.

    python benchmarks/two_class_cnn.py pneumoniamnist_28.npz --out result.json

The paper reports 87.6 % on the same paediatric images at 256 pixels; 224 is the largest size of
PneumoniaMNIST (`lungpatch.datasets.fetch_pneumoniamnist`). Of the epochs that ``--steps`` allows,
the one with the lowest loss on the publisher's validation images is kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import lungpatch
from lungpatch._utils.files import write_json
from lungpatch._utils.progress import progress_bar
from lungpatch.datasets import load_pneumoniamnist
from lungpatch.reference.preliminary import ClassifierImages, run_preliminary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="pneumoniamnist_SIZE.npz")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dataset = load_pneumoniamnist(options.data)
    images = ClassifierImages(
        pixels=np.stack([dataset.read(index).pixels for index in range(len(dataset))]),
        labels=dataset.labels,
        roles=dataset.splits,
    )
    with progress_bar() as progress:
        found = run_preliminary(
            images,
            steps=options.steps,
            n_gradcam=1,
            seed=options.seed,
            progress=progress,
        )
    write_json(
        options.out,
        {
            "lungpatch": lungpatch.__version__,
            "data": options.data.name,
            "steps": options.steps,
            "seed": options.seed,
            "values": found.values,
        },
    )


if __name__ == "__main__":
    main()
