"""What the benchmarks of detectors share: images, split, fitted pipelines, evaluation."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Self

import attrs

import lungpatch
from lungpatch.datasets import (
    Dataset,
    Split,
    every_second_patient,
    load_folder,
    load_split,
    read_patients,
)
from lungpatch.evaluation import Evaluation, evaluate
from lungpatch.io import find_images

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lungpatch.pipeline import Pipeline

CONFIGURATIONS = Path(__file__).with_name("detectors")


def parser_of(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that all these benchmarks have."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the images and tables")
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is written")
    parser.add_argument(
        "--publish", action="store_true", help="write the table into the documentation, too"
    )
    return parser


@attrs.frozen(kw_only=True)
class Study:
    """The images of the split `cxr-half`, and the normal ones that detectors are fitted to."""

    dataset: Dataset
    split: Split
    training: list[Path]
    patients: dict[str, str]

    @classmethod
    def read(cls, data: Path) -> Self:
        """Read the tables of a folder."""
        patients = read_patients(data / "metadata.csv")
        return cls(
            dataset=load_folder(data, metadata=data / "metadata.csv", boxes=data / "boxes.csv"),
            split=load_split("cxr-half"),
            training=every_second_patient(find_images(data / "normal"), patients),
            patients=patients,
        )

    def fitted(
        self, pipeline: Pipeline, saved: Path, images: Sequence[Path] | None = None
    ) -> Pipeline:
        """Fit a pipeline and save it, or read what was saved."""
        if not saved.exists():
            print(saved.stem, flush=True)
            pipeline.fit(self.training if images is None else images, patients=self.patients)
            pipeline.save(saved)
        return lungpatch.load_pipeline(saved)

    def evaluate(self, pipelines: Mapping[str, Pipeline]) -> Evaluation:
        """Evaluate fitted pipelines on the images that were held out."""
        with lungpatch.progress_bar() as progress:
            return evaluate(
                pipelines,
                self.dataset,
                self.split,
                segmenter=lungpatch.UNetSegmenter(),
                progress=progress,
            )


def unfitted(name: str) -> Pipeline:
    """Return a preset, or a pipeline of `benchmarks/detectors/`."""
    file = CONFIGURATIONS / f"{name}.toml"
    return lungpatch.load_config(file) if file.exists() else lungpatch.load_preset(name)
