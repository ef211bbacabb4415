"""The paper from end to end: stages whose results are kept, `results.json`, figures, a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lungpatch._utils.extras import require_extra
from lungpatch._utils.files import write_json
from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch._version import __version__
from lungpatch.reference.claim_checks import check_claims
from lungpatch.reference.cohort import dataset_digest
from lungpatch.reference.figures.drawing import draw_figures
from lungpatch.reference.images import PreparedImages, prepare_images
from lungpatch.reference.loss_study import study_losses
from lungpatch.reference.paper_network import load_network, score_patches, train_network
from lungpatch.reference.patch_table import LUNG_SAMPLER, PatchTable
from lungpatch.reference.preliminary import classify_images
from lungpatch.reference.proposals import try_proposals
from lungpatch.reference.report import write_report
from lungpatch.reference.roles import choose_images
from lungpatch.reference.settings import GRID_SIZE, ReproductionSettings
from lungpatch.reference.stages import Stages
from lungpatch.reference.study import Reproduction, Study
from lungpatch.segmenters import UNetSegmenter

if TYPE_CHECKING:
    from lungpatch.datasets.dataset import Dataset

PACKAGES = ("captum", "diptest", "matplotlib", "sklearn")
"""Modules of the extra ``reproduce``, which late stages import."""


def require_packages() -> None:
    """Check that all packages of the extra ``reproduce`` are installed, without importing them.

    Raises
    ------
    MissingExtraError
        If one is not installed.

    Examples
    --------
    >>> require_packages()
    """
    require_extra("reproduce", PACKAGES, needed_by="reproducing the paper")


def reproduce(
    dataset: Dataset,
    out: str | Path,
    *,
    settings: ReproductionSettings | None = None,
    progress: ProgressCallback = silent,
) -> Path:
    """Reproduce the paper on a data set: every stage, every figure, and the report.

    Stages that were finished in ``out`` before, with the same settings and images, are not
    computed again.

    Parameters
    ----------
    dataset : Dataset
        Labels are ``normal`` and ``pneumonia``. Boxes, views and a column ``rsna_class`` are used
        where they are known.
    out : path
        Folder for ``report.html``, ``results.json``, ``figures/`` and ``stages/``.
    settings : ReproductionSettings, optional
        By default ``ReproductionSettings()``.
    progress : callable
        Called as ``progress(stage, done, total, metrics)``.

    Returns
    -------
    pathlib.Path
        The report.

    Raises
    ------
    MissingExtraError
        If matplotlib, captum, diptest or scikit-learn is not installed. This is checked first.
    InsufficientDataError
        If there are too few images.

    See Also
    --------
    lungpatch.reference.join_folders : Makes a data set of a normal and a pneumonia folder.
    lungpatch.datasets.load_chest_xray : Reads the paper's data set.

    Examples
    --------
    >>> from lungpatch.reference import ReproductionSettings, phantom_dataset, reproduce
    >>> dataset = phantom_dataset(12, 6, seed=0, size=256)
    >>> settings = ReproductionSettings.quick()
    >>> reproduce(dataset, "paper", settings=settings)                     # doctest: +SKIP
    PosixPath('paper/report.html')
    """
    folder = Path(out)
    found = run_stages(dataset, folder / "stages", settings=settings, progress=progress)
    write_json(folder / "results.json", found.results)
    renderings = draw_figures(found, folder / "figures", progress=progress)
    return write_report(found.results, renderings, folder / "report.html")


def run_stages(
    dataset: Dataset,
    folder: str | Path,
    *,
    settings: ReproductionSettings | None = None,
    progress: ProgressCallback = silent,
) -> Reproduction:
    """Run all stages of a reproduction, without drawing figures or writing a report.

    Parameters
    ----------
    dataset, settings, progress
        See `reproduce`.
    folder : path
        Folder in which the results of the stages are kept.

    Returns
    -------
    Reproduction

    Raises
    ------
    MissingExtraError
        If matplotlib, captum, diptest or scikit-learn is not installed. This is checked first.
    InsufficientDataError
        If there are too few images.

    See Also
    --------
    lungpatch.reference.reproduce : Also draws the figures and writes the report.

    Examples
    --------
    >>> from lungpatch.reference import run_stages
    >>> found = run_stages(dataset, "paper/stages")                        # doctest: +SKIP
    >>> found.model.reconstruct(patches)                                   # doctest: +SKIP
    """
    require_packages()
    settings = ReproductionSettings() if settings is None else settings
    stages = Stages(folder, progress=progress)
    study, inputs = _prepare(dataset, stages, settings, progress)
    trained = stages.run(
        "model", inputs | {"steps": settings.training_steps}, lambda: train_network(study)
    )
    model = load_network(trained.arrays)
    inputs["model"] = trained.digest
    scored = stages.run("scores", inputs, lambda: score_patches(study, model))
    table = PatchTable(**scored.arrays)

    compared = inputs | {"n_evaluated": settings.n_evaluated, "steps": settings.study_steps}
    stages.run(
        "losses",
        compared | {"n_patches": settings.n_study_patches},
        lambda: study_losses(study),
    )
    stages.run(
        "claims",
        inputs | {"scores": scored.digest, "n_resamples": settings.n_resamples},
        lambda: check_claims(study, table),
    )
    stages.run("proposals", compared, lambda: try_proposals(study))
    classified = stages.run(
        "classifier",
        inputs | {"steps": settings.classifier_steps, "n_gradcam": settings.n_gradcam},
        lambda: classify_images(study),
    )
    return Reproduction(
        study=study,
        model=model,
        table=table,
        classifier=classified if classified.arrays else None,
        results=_results(study, stages),
    )


def _prepare(
    dataset: Dataset,
    stages: Stages,
    settings: ReproductionSettings,
    progress: ProgressCallback,
) -> tuple[Study, dict[str, Any]]:
    """Prepare the images and choose what each is for; return also what later stages depend on."""
    segmenter = UNetSegmenter()
    prepared = stages.run(
        "images",
        {"data": dataset_digest(dataset), "size": GRID_SIZE},
        lambda: prepare_images(
            dataset, size=GRID_SIZE, segmenter=segmenter, sampler=LUNG_SAMPLER, progress=progress
        ),
    )
    images = PreparedImages(dataset=dataset, size=GRID_SIZE, **prepared.arrays)
    inputs = {"images": prepared.digest, "seed": settings.seed}
    chosen = stages.run(
        "patches",
        inputs | {"n_pneumonia": settings.n_pneumonia, "n_held_normal": settings.n_held_normal},
        lambda: choose_images(images, settings, progress),
    )
    study = Study(
        images=images,
        roles=chosen.arrays["roles"],
        settings=settings,
        segmenter=segmenter,
        progress=progress,
    )
    return study, inputs | {"patches": chosen.digest}


def _results(study: Study, stages: Stages) -> dict[str, Any]:
    """Return the content of ``results.json``."""
    return {
        "lungpatch": __version__,
        "data": {
            "name": study.images.dataset.name,
            "sha256": stages.records["images"]["settings"]["data"],
            "boxed": bool(study.images.boxed.any()),
        },
        "settings": attrs.asdict(study.settings),
        "kinds": list(study.kinds),
        "stages": {
            name: {
                "settings": record["settings"],
                "seed": study.settings.seed,
                "seconds": record["seconds"],
                "values": record["values"],
            }
            for name, record in stages.records.items()
        },
    }
