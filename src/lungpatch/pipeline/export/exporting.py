"""Write a fitted pipeline as ONNX networks, and check that they compute the same."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from lungpatch._utils.component import set_execution
from lungpatch._utils.destinations import check_folder
from lungpatch._utils.extras import require_extra
from lungpatch._utils.files import atomic_write
from lungpatch._utils.forks import IMPORTING
from lungpatch._version import __version__
from lungpatch.containers import PatchBatch
from lungpatch.datasets.phantom import phantom_chest
from lungpatch.errors import ConfigurationError, DestinationError
from lungpatch.models.onnx import EXPECTED, LUNG, PIXELS, TARGET, OnnxModel
from lungpatch.networks.lung_input import NETWORK_SIDE, network_input
from lungpatch.networks.onnx_network import OnnxNetwork
from lungpatch.pipeline.digest import pipeline_digest
from lungpatch.pipeline.loading import load_pipeline
from lungpatch.pipeline.pipeline import Pipeline
from lungpatch.pipeline.storage import check_destination
from lungpatch.segmenters.onnx import IMAGES, LOGITS, OnnxSegmenter
from lungpatch.segmenters.unet import UNetSegmenter

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

SUFFIX = ".onnx"
"""Of one file; any other name is a folder's."""

MAP = "map"
"""Name of the output that only a file of its own has."""

TOLERANCE = 1e-4
"""How far an output may be from what the pipeline itself computes, as a fraction of the largest
value where that is above 1."""


def export_onnx(pipeline: Pipeline | str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Export a fitted pipeline to ONNX; what is written runs without torch.

    Outputs are compared with those of the pipeline before anything is written.

    Parameters
    ----------
    pipeline : Pipeline, str or path
        Fitted, or what `lungpatch.load_pipeline` takes.
    out : path
        A name that ends in ``.onnx``: one file, from the pixels of a patch to its error map, for
        any program. Any other name: a folder, by custom ``NAME.lungpatch``, which
        `lungpatch.load_pipeline` and ``lungpatch detect`` take as any saved pipeline. A saved
        pipeline there is replaced; anything else is left alone.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    NotFittedError, SavedPipelineError
        If the pipeline is not fitted, or cannot be read, or something else than a saved pipeline is
        at ``out``.
    DestinationError
        If nothing can be written there.
    ConfigurationError
        If a part cannot be exported; the message names it, and those that can. Also if the
        networks do not compute the same to 1e-4.
    MissingExtraError
        If onnx, onnxruntime or onnxscript is not installed.

    See Also
    --------
    OnnxModel, OnnxSegmenter : The parts of the pipeline in the folder.

    Notes
    -----
    The file takes ``pixels``, float32 (N, P, P), and ``lung``, bool (N, P, P), if the pipeline
    needs it. It gives ``target`` and ``expected``, what the model reconstructs, and ``map``,
    float32 (N, P, P), the error maps of the scorer.

    In the folder the segmenter ``unet`` and the model are networks in the ONNX format. Another
    segmenter, and the scorer, stay as they are.

    Examples
    --------
    >>> import lungpatch
    >>> lungpatch.export_onnx("default", "fast.lungpatch")             # doctest: +SKIP
    PosixPath('fast.lungpatch')
    >>> lungpatch.export_onnx("default", "default.onnx")               # doctest: +SKIP
    PosixPath('default.onnx')
    """
    require_extra("onnx", ["onnx", "onnxruntime", "onnxscript"], needed_by="exporting to ONNX")
    out = Path(out)
    is_file = out.suffix.lower() == SUFFIX
    if not is_file:
        check_destination(out)
    elif out.is_dir():
        raise DestinationError(f"{out}: a folder is there already; give another path")
    else:
        check_folder(out.resolve().parent)
    if not isinstance(pipeline, Pipeline):
        pipeline = load_pipeline(pipeline)
    notes = {
        "lungpatch_version": __version__,
        "patch_size": str(pipeline.model.patch_size),
        "pipeline_digest": pipeline_digest(pipeline),
        "notice": "research tool, not a medical device",
    }
    reference = _to_compare_with(pipeline)
    if is_file:
        network = _exported_model(reference.model, reference.scorer, notes)
        with atomic_write(out) as temporary:
            temporary.write_bytes(network.content)
        return out
    return _as_onnx(pipeline, reference, notes).save(out)


def _as_onnx(pipeline: Pipeline, reference: Pipeline, notes: dict[str, str]) -> Pipeline:
    """Return the pipeline with networks in the ONNX format."""
    model = OnnxModel(patch_size=pipeline.model.patch_size)
    model.load_state(_exported_model(reference.model, None, notes).state())
    segmenter = pipeline.segmenter
    if type(segmenter) is UNetSegmenter:
        segmenter = OnnxSegmenter(flip_average=segmenter.flip_average)
        segmenter.load_state(_exported_segmenter(reference.segmenter, notes).state())
    exported = attrs.evolve(pipeline, model=model, segmenter=segmenter)
    report = pipeline.report_
    assert report is not None  # set together with the calibration
    exported._restore(pipeline.calibration_, report)
    return exported


def _to_compare_with(pipeline: Pipeline) -> Pipeline:
    """Return a copy that computes in float32 on the CPU, as the exported networks do."""
    reference = copy.deepcopy(pipeline)
    set_execution(reference, device="cpu", precision="float32")
    return reference


# -------------------------------------------------------------------------------- contents


def _model_content(model: Any, scorer: Any, notes: dict[str, str]) -> bytes:
    with IMPORTING:
        import torch

        from lungpatch.pipeline.export.modules import CropToMap
        from lungpatch.pipeline.export.onnx_file import onnx_content

    module = CropToMap(model, scorer)
    shape = (2, model.patch_size, model.patch_size)
    inputs = {PIXELS: torch.zeros(shape)}
    if module.needs_lung:
        inputs[LUNG] = torch.ones(shape, dtype=torch.bool)
    outputs = (TARGET, EXPECTED) if scorer is None else (TARGET, EXPECTED, MAP)
    return onnx_content(module, inputs, outputs, notes=notes)


def _segmenter_content(notes: dict[str, str]) -> bytes:
    with IMPORTING:
        import torch

        from lungpatch.networks.lung_network import load_lung_network
        from lungpatch.pipeline.export.onnx_file import onnx_content

    network = copy.deepcopy(load_lung_network(torch.device("cpu")))
    images = torch.zeros(2, 1, NETWORK_SIDE, NETWORK_SIDE)
    kept = {name: value for name, value in notes.items() if name != "patch_size"}
    return onnx_content(network, {IMAGES: images}, (LOGITS,), notes=kept)


# ------------------------------------------------------------------------------ comparison


def _exported_model(model: Any, scorer: Any, notes: dict[str, str]) -> OnnxNetwork:
    network = OnnxNetwork(_model_content(model, scorer, notes), "the exported model")
    for count in (1, 3):
        patches = _patches(model.patch_size, count)
        inputs: dict[str, NDArray[Any]] = {PIXELS: patches.pixels, LUNG: patches.lung}
        reconstruction = model.reconstruct(patches)
        expected = {TARGET: reconstruction.target, EXPECTED: reconstruction.expected}
        if scorer is not None:
            expected[MAP] = scorer.score(patches, reconstruction).error_maps
        given = {name: inputs[name] for name in network.inputs}
        found = network.run(list(expected), given, "cpu")
        for name, array in zip(expected, found, strict=True):
            _require_equal(f"the output {name!r} of the exported model", array, expected[name])
    return network


def _exported_segmenter(segmenter: Any, notes: dict[str, str]) -> OnnxNetwork:
    network = OnnxNetwork(_segmenter_content(notes), "the exported segmenter")
    images = np.stack([network_input(phantom_chest(seed).image.pixels) for seed in range(3)])
    (found,) = network.run((LOGITS,), {IMAGES: images[:, None]}, "cpu")
    expected = np.stack([segmenter._logits(image) for image in images])
    _require_equal("the output of the exported segmenter", found[:, 0], expected)
    return network


def _require_equal(what: str, found: NDArray[Any], expected: NDArray[Any]) -> None:
    same = found.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(found - expected).max()) / scale if same else np.inf
    if not difference <= TOLERANCE:  # nor NaN
        raise ConfigurationError(
            f"{what} differs by {difference:.2g} from what the pipeline computes (at most "
            f"{TOLERANCE:g}): nothing was written"
        )


def _patches(side: int, count: int) -> PatchBatch:
    """Return crops of phantom chests with masks of any shape, each with lung."""
    rng = np.random.default_rng(count)
    pixels, masks = [], []
    for index in range(count):
        chest = phantom_chest(index, size=max(2 * side, 64)).image.pixels
        row, column = rng.integers(side, size=2)
        pixels.append(chest[row : row + side, column : column + side])
        mask = rng.random((side, side)) < (0.5, 0.02, 1.0)[index]
        mask[: side // 3] = False
        mask[-1, -1] = True
        masks.append(mask)
    return PatchBatch(
        pixels=np.stack(pixels),
        corners=np.zeros((count, 2), np.int64),
        lung=np.stack(masks),
        image_shape=(2 * side, 2 * side),
        image_id="phantom",
    )
