"""Beside other libraries: anomalib and PyOD on the images that lungpatch learns from, in one run.

    pip install lungpatch[features] anomalib pyod
    OMP_NUM_THREADS=1 python benchmarks/peers.py --data ../shared/data/cxr --out peers

Each learns from the normal images of the training part of split `cxr-half` and is judged on the
images of other patients by `lungpatch.evaluation`, lungpatch or not. The others see an image twice:
whole, and cut to the lungs as lungpatch cuts it; images are 256 pixels a side either way. Writes
and prints a table of Markdown. An environment of its own keeps the others' many requirements apart.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
from detectors import CONFIGURATIONS, FIGURES, HEADINGS
from peer_libraries import Peer, PeerResult, peers
from PIL import Image

import lungpatch
from lungpatch._utils.files import atomic_write
from lungpatch.containers import ChestImage, FloatImage, PatchBatch, PatchScores
from lungpatch.datasets import Dataset, load_folder, read_patients
from lungpatch.datasets.splits import every_second_patient, load_split
from lungpatch.evaluation.cases import FRAME, in_frame
from lungpatch.evaluation.outcomes import Outcome
from lungpatch.evaluation.protocol import Evaluation, evaluate, judge
from lungpatch.io import find_images, resize
from lungpatch.pipeline.localisation import build_anomaly_map
from lungpatch.samplers.lung_crop import LungCropSampler
from lungpatch.segmenters.unet import UNetSegmenter

OURS = ("lesion-head-lung", "pca")

Cut = Callable[[ChestImage], PatchBatch]
"""What the others are shown of an image: one patch, or none."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the images and tables")
    parser.add_argument("--out", type=Path, required=True, help="folder for the table")
    parser.add_argument("--seconds", type=float, default=180, help="training allowed to each peer")
    arguments = parser.parse_args()
    data = arguments.data
    patients = read_patients(data / "metadata.csv")
    normal = every_second_patient(find_images(data / "normal"), patients)

    pipelines, training = {}, {}
    for name in OURS:
        pipeline = lungpatch.load_config(CONFIGURATIONS / f"{name}.toml")
        pipelines[f"lungpatch {name}"] = pipeline.fit(normal, patients=patients)
        training[f"lungpatch {name}"] = f"{pipeline.report_.seconds:.0f}"
    evaluation = evaluate(
        pipelines,
        load_folder(data, metadata=data / "metadata.csv", boxes=data / "boxes.csv"),
        load_split("cxr-half"),
        segmenter=UNetSegmenter(),
    )
    films = Dataset(name="normal", images=normal)
    outcomes = []
    for view, cut in {"whole image": whole_image, "lungs": lung_crop()}.items():
        with tempfile.TemporaryDirectory() as learnt, tempfile.TemporaryDirectory() as judged:
            write_patches(films, cut, Path(learnt))
            patches = write_patches(evaluation.dataset, cut, Path(judged))
            for name, peer in peers().items():
                row = f"{name}, {view}"
                start = time.perf_counter()
                done = peer.fit(Path(learnt), arguments.seconds)
                training[row] = f"{time.perf_counter() - start:.0f} ({done})"
                outcomes.append(run_peer(row, peer, Path(judged), patches))
                print(row, training[row], flush=True)
    judgements = [judge(outcome, evaluation.cases) for outcome in outcomes]
    evaluation = attrs.evolve(evaluation, judgements=(*evaluation.judgements, *judgements))
    table = table_of(evaluation, training)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with atomic_write(arguments.out / "peers.md") as temporary:
        temporary.write_text(table, encoding="utf-8")
    print(table)


def whole_image(image: ChestImage) -> PatchBatch:
    small = resize(image, FRAME)
    return PatchBatch(
        pixels=small.pixels[None],
        corners=np.zeros((1, 2), np.int64),
        lung=np.ones((1, FRAME, FRAME), bool),
        image_shape=small.shape,
        image_id=image.image_id,
    )


def lung_crop() -> Cut:
    segmenter, sampler = UNetSegmenter(), LungCropSampler(patch_size=FRAME)
    return lambda image: sampler.sample(image, segmenter.segment(image))


def write_patches(films: Dataset, cut: Cut, folder: Path) -> list[PatchBatch]:
    """Write what is shown of each image as PNG, named by its number."""
    patches = [cut(films.read(index)) for index in range(len(films))]
    for index, patch in enumerate(patches):
        for pixels in patch.pixels:
            grey = np.rint(255 * pixels).astype(np.uint8)
            Image.fromarray(grey).save(folder / f"{index}.png")
    return patches


def run_peer(name: str, peer: Peer, folder: Path, patches: list[PatchBatch]) -> Outcome:
    start = time.perf_counter()
    results = peer.score(folder)
    seconds = time.perf_counter() - start
    found = [results.get(str(index)) for index in range(len(patches))]
    scores = [np.nan if result is None else result.score for result in found]
    heats = None
    if any(result is not None and result.heatmap is not None for result in found):
        heats = tuple(heat_of(*pair) for pair in zip(found, patches, strict=True))
    return Outcome(
        name=name,
        scores=np.array(scores),
        heats=heats,
        milliseconds=1000 * seconds / len(results),
    )


def heat_of(result: PeerResult | None, patch: PatchBatch) -> FloatImage:
    """Bring a map of what was shown of an image to its place in the frame."""
    if result is None or result.heatmap is None:
        return np.full((FRAME, FRAME), np.nan, np.float32)
    scores = PatchScores(
        values=np.array([result.score]),
        support=np.ones((1, FRAME, FRAME), bool),
        error_maps=in_frame(result.heatmap)[None],
    )
    return in_frame(build_anomaly_map(patch, scores, detail="pixel").heatmap)


def table_of(evaluation: Evaluation, training: dict[str, str]) -> str:
    everywhere, frontal = evaluation.table("all"), evaluation.table("PA")
    times = {j.outcome.name: j.outcome.milliseconds for j in evaluation.judgements}
    headings = HEADINGS[:-1]  # without the size
    lines = [f"| detector | {' | '.join(headings)} |", "|---" * (len(headings) + 1) + "|"]
    for name in [*training, "lung atlas", "mean lung grey", "view AP", "chance"]:
        first, *others = (str(everywhere[name].get(figure, "-")) for figure in FIGURES)
        cells = [first, str(frontal[name].get(FIGURES[0], "-")), *others, training.get(name, "")]
        cells.append(f"{times[name]:.0f}" if name in training else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
