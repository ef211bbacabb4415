"""The paper from end to end: stages that are done once, `results.json`, figures and a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch._utils.files import write_json
from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch._version import __version__
from lungpatch.containers import PatchBatch
from lungpatch.errors import InsufficientDataError
from lungpatch.evaluation.metrics import auroc
from lungpatch.models.diagnostics import identity_shortcut
from lungpatch.models.unet import UNet
from lungpatch.reference.claims import (
    SIGNIFICANCE,
    compare_images,
    compare_kinds,
    interval_over_images,
    table_1_rule,
    unimodality,
)
from lungpatch.reference.cohort import choose_roles, dataset_digest, known_patients
from lungpatch.reference.images import Images, prepare_images, usable_images
from lungpatch.reference.loss_study import StudyPatches, study_losses
from lungpatch.reference.patch_table import (
    HEALTHY,
    OPACITY,
    OUTSIDE,
    UNREAD,
    PatchTable,
    patches_of_images,
    score_images,
)
from lungpatch.reference.preliminary import run_preliminary, split_classes
from lungpatch.reference.proposals import try_proposals
from lungpatch.reference.settings import (
    GRID_SIZE,
    N_NORMAL_IMAGES,
    N_PNEUMONIA_IMAGES,
    N_PNEUMONIA_PATCHES,
    NORMAL_PATCHES,
    NORMAL_SAD,
    PATCH_SIZE,
    PATCHES_A_NORMAL_IMAGE,
    PNEUMONIA_SAD,
    STRIDE,
    ReproductionSettings,
)
from lungpatch.reference.stages import StageResult, Stages
from lungpatch.reference.training import ROLES, all_patches, learn, normal_patches, stage_rng
from lungpatch.samplers.grid import GridSampler
from lungpatch.scorers.sad import SADScorer
from lungpatch.segmenters.unet import UNetSegmenter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lungpatch.datasets.dataset import Dataset

EXHAUSTIVE = GridSampler(patch_size=PATCH_SIZE, stride=STRIDE, min_lung_fraction=0.0)
NORMAL = GridSampler(patch_size=PATCH_SIZE, stride=STRIDE)
SCORER = SADScorer(region="patch")


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Reproduction:
    """What the stages of a reproduction found, for the figures and the report.

    Parameters
    ----------
    settings : ReproductionSettings
    images : Images
    roles : ndarray of str, shape (N,)
        See `lungpatch.reference.cohort.choose_roles`.
    kinds : tuple of str
        The three kinds of patches that this data lets us tell, in the order of scores that the
        paper expects.
    model : UNet
        Of figures 7 to 10, fitted.
    table : PatchTable
        Every scored patch of normal and pneumonia images.
    preliminary : StageResult or None
        None where there are too few images.
    results : dict
        What ``results.json`` holds.

    Examples
    --------
    >>> found = run_stages(images, Path("paper/stages"), settings=settings)  # doctest: +SKIP
    >>> found.results["stages"]["verdict"]["figures"]["pairs"]              # doctest: +SKIP
    """

    settings: ReproductionSettings
    films: Images
    roles: NDArray[np.str_]
    kinds: tuple[str, ...]
    model: UNet
    table: PatchTable
    preliminary: StageResult | None
    results: dict[str, Any]

    def __repr__(self) -> str:
        return f"Reproduction({self.images.dataset.name!r}, {len(self.table)} patches scored)"


def reproduce(
    dataset: Dataset,
    out: Path,
    *,
    settings: ReproductionSettings,
    progress: ProgressCallback = silent,
) -> Path:
    """Reproduce the paper on a data set: every stage, every figure, and the report.

    Stages that were finished in ``out`` before, with the same settings and images, are not
    computed again.

    Parameters
    ----------
    dataset : Dataset
        Labels ``normal`` and ``pneumonia``. Boxes, views and a column ``rsna_class`` are used
        where there are some.
    out : path
        Folder for ``report.html``, ``results.json``, ``figures/`` and ``stages/``.
    settings : ReproductionSettings
    progress : callable

    Returns
    -------
    pathlib.Path
        The report.

    Raises
    ------
    InsufficientDataError
        If there are too few images.
    MissingExtraError
        If matplotlib, captum, diptest or scikit-learn is not installed.

    Examples
    --------
    >>> from lungpatch.reference.cohort import phantom_images
    >>> settings = ReproductionSettings.quick()
    >>> images = phantom_images(12, 6, seed=0, size=256)
    >>> reproduce(images, Path("paper"), settings=settings)                # doctest: +SKIP
    PosixPath('paper/report.html')
    """
    from lungpatch.reference.paper_renderings import draw_figures
    from lungpatch.reference.paper_report import write_report

    found = run_stages(dataset, out / "stages", settings=settings, progress=progress)
    write_json(out / "results.json", found.results)
    pictures = draw_figures(found, out / "figures", progress=progress)
    return write_report(found.results, pictures, out / "report.html")


def run_stages(
    dataset: Dataset,
    folder: Path,
    *,
    settings: ReproductionSettings,
    progress: ProgressCallback = silent,
) -> Reproduction:
    """Run the stages: images, patches, model, scores, losses, verdict, proposals, classifier.

    Parameters
    ----------
    dataset : Dataset
    folder : path
        Where the stages are kept.
    settings : ReproductionSettings
    progress : callable

    Returns
    -------
    Reproduction

    Raises
    ------
    InsufficientDataError
        If there are too few images.

    Examples
    --------
    >>> found = run_stages(images, Path("paper/stages"), settings=settings)  # doctest: +SKIP
    >>> found.model.reconstruct(patches)                                    # doctest: +SKIP
    """
    stages = Stages(folder, progress=progress)
    data = dataset_digest(dataset)
    segmenter = UNetSegmenter()
    prepared = stages.run(
        "images",
        {"data": data, "size": GRID_SIZE},
        lambda: prepare_images(
            dataset, size=GRID_SIZE, segmenter=segmenter, sampler=NORMAL, progress=progress
        ),
    )
    films = Images(dataset=dataset, size=GRID_SIZE, **prepared.arrays)
    earlier: dict[str, Any] = {"images": prepared.digest, "seed": settings.seed}

    chosen = stages.run(
        "patches",
        earlier | {"n_pneumonia": settings.n_pneumonia, "n_held": settings.n_held_normal},
        lambda: _choose(films, settings, progress),
    )
    roles = chosen.arrays["roles"]
    earlier["patches"] = chosen.digest

    trained = stages.run(
        "model",
        earlier | {"steps": settings.training_steps},
        lambda: _train(films, roles, settings, progress),
    )
    model = UNet(patch_size=PATCH_SIZE)
    model.load_state(trained.arrays)
    earlier["model"] = trained.digest

    scored = stages.run("scores", earlier, lambda: _score(films, roles, model, progress))
    table = PatchTable(**scored.arrays)
    judged, kinds = _judged(films, roles, settings)

    study = {"judged": settings.n_judged, "steps": settings.study_steps}
    stages.run(
        "losses",
        earlier | study,
        lambda: _losses(films, roles, judged, kinds, settings, progress),
    )
    stages.run(
        "verdict",
        earlier | {"scores": scored.digest, "resamples": settings.n_resamples},
        lambda: _verdict(films, roles, table, kinds, settings, progress),
    )
    stages.run(
        "proposals",
        earlier | study,
        lambda: StageResult(
            figures={
                "rows": try_proposals(
                    films,
                    roles,
                    judged,
                    kinds,
                    segmenter=segmenter,
                    scorer=SCORER,
                    steps=settings.study_steps,
                    seed=settings.seed,
                    progress=progress,
                )
            }
        ),
    )
    preliminary = stages.run(
        "classifier",
        earlier | {"steps": settings.classifier_steps, "gradcam": settings.n_gradcam},
        lambda: _preliminary(films, settings, progress),
    )
    results = {
        "lungpatch": __version__,
        "data": {"name": dataset.name, "sha256": data, "boxed": bool(films.boxed().any())},
        "settings": attrs.asdict(settings),
        "kinds": list(kinds),
        "stages": {
            name: {
                "settings": record["settings"],
                "seed": settings.seed,
                "seconds": record["seconds"],
                "figures": record["figures"],
            }
            for name, record in stages.records.items()
        },
    }
    return Reproduction(
        settings=settings,
        films=films,
        roles=roles,
        kinds=kinds,
        model=model,
        table=table,
        preliminary=preliminary if preliminary.arrays else None,
        results=results,
    )


def _choose(
    films: Images, settings: ReproductionSettings, progress: ProgressCallback
) -> StageResult:
    dataset = films.dataset
    rng = stage_rng(settings.seed, "patches")
    usable = np.isin(films.status, ("ok", "implausible_lungs"))
    roles = choose_roles(
        np.where(usable, dataset.labels, ""),
        known_patients(dataset),
        films.n_patches,
        n_pneumonia=settings.n_pneumonia,
        n_held_normal=settings.n_held_normal,
        rng=rng,
    )
    with normal_patches(films, roles, NORMAL, rng=stage_rng(settings.seed, "cut")) as stores:
        patches = {role: len(stores[role]) for role in ROLES}
    progress("patches", 1, 1, {})
    learnt = np.isin(roles, ROLES)
    n_pneumonia = int((roles == "pneumonia").sum())
    on_a_grid = ((GRID_SIZE - PATCH_SIZE) // STRIDE + 1) ** 2
    flush = len(EXHAUSTIVE.sample(*films.read(int(np.flatnonzero(learnt)[0]))))
    return StageResult(
        figures={
            "normal_films": {role: int((roles == role).sum()) for role in (*ROLES, "held")},
            "normal_patches": patches,
            "normal_patches_before_drawing": int(films.n_patches[learnt].sum()),
            "normal_patches_a_film": float(films.n_patches[learnt].mean()),
            "pneumonia_films": n_pneumonia,
            "pneumonia_patches_a_film": flush,
            "places_of_the_stated_sizes": on_a_grid,
            "paper": {
                "normal_films": N_NORMAL_IMAGES,
                "normal_patches": NORMAL_PATCHES,
                "normal_patches_a_film_by_its_text": PATCHES_A_NORMAL_IMAGE,
                "normal_patches_a_film_by_its_totals": sum(NORMAL_PATCHES.values())
                / N_NORMAL_IMAGES,
                "pneumonia_films": N_PNEUMONIA_IMAGES,
                "pneumonia_patches": N_PNEUMONIA_PATCHES,
                "pneumonia_patches_a_film": N_PNEUMONIA_PATCHES / N_PNEUMONIA_IMAGES,
            },
        },
        arrays={"roles": roles},
    )


def _train(
    films: Images,
    roles: NDArray[np.str_],
    settings: ReproductionSettings,
    progress: ProgressCallback,
) -> StageResult:
    rng = stage_rng(settings.seed, "model")
    model = UNet(patch_size=PATCH_SIZE)
    with normal_patches(films, roles, NORMAL, rng=stage_rng(settings.seed, "cut")) as stores:
        history = learn(
            model,
            stores,
            steps=settings.training_steps,
            rng=rng,
            progress=progress,
            stage="model",
        )
        test = all_patches(stores["test"])
        sad = SCORER.score(test, model.reconstruct(test)).values
        try:
            found = identity_shortcut(model, stores["test"], rng=rng)
            shortcut = None if found is None else found.shortcut
        except InsufficientDataError:
            shortcut = None
    return StageResult(
        figures={
            "loss": model.loss,
            "base_channels": model.base_channels,
            "epochs": len(history.epochs),
            "best_epoch": history.best_epoch,
            "final": dict(history.epochs[-1]),
            "test_sad": {"mean": float(sad.mean()), "lowest": float(sad.min())},
            "paper_normal_sad": NORMAL_SAD,
            "identity_shortcut": shortcut,
        },
        arrays=model.state(),
    )


def _score(
    films: Images, roles: NDArray[np.str_], model: UNet, progress: ProgressCallback
) -> StageResult:
    scored = np.flatnonzero(np.isin(roles, ("test", "held", "pneumonia"))).tolist()
    table = score_images(
        films,
        scored,
        sampler=EXHAUSTIVE,
        model=model,
        scorer=SCORER,
        progress=progress,
        stage="scores",
    )
    sick = roles[table.image] == "pneumonia"
    by_kind = {
        kind: {"patches": int(chosen.sum()), "mean_sad": float(table.scores[chosen].mean())}
        for kind in (HEALTHY, OPACITY, UNREAD, OUTSIDE)
        if (chosen := sick & (table.kinds == kind)).any()
    }
    normal_lung = ~sick & (table.kinds == HEALTHY)
    return StageResult(
        figures={
            "pneumonia": {
                "patches": int(sick.sum()),
                "mean_sad": float(table.scores[sick].mean()),
                "by_kind": by_kind,
            },
            "normal_lung": {
                "patches": int(normal_lung.sum()),
                "mean_sad": float(table.scores[normal_lung].mean()),
            },
            "paper": {"normal_sad": NORMAL_SAD, "pneumonia_sad": PNEUMONIA_SAD},
        },
        arrays=table.arrays(),
    )


def _judged(
    films: Images, roles: NDArray[np.str_], settings: ReproductionSettings
) -> tuple[list[int], tuple[str, str, str]]:
    """Return the images on which losses and proposals are judged, and the three kinds there.

    Where there are boxes, images with boxes hold all three kinds. Elsewhere all that is known is
    lung of normal images, lung of pneumonia images, and outside.
    """
    sick = np.flatnonzero(roles == "pneumonia")
    boxed = sick[films.boxed()[sick]]
    if len(boxed):
        return boxed[: settings.n_judged].tolist(), (HEALTHY, OPACITY, OUTSIDE)
    normal = np.flatnonzero(np.isin(roles, ("test", "held")))
    half = max(1, settings.n_judged // 2)
    return [*normal[:half].tolist(), *sick[:half].tolist()], (HEALTHY, UNREAD, OUTSIDE)


def _losses(
    films: Images,
    roles: NDArray[np.str_],
    judged: list[int],
    kinds: tuple[str, ...],
    settings: ReproductionSettings,
    progress: ProgressCallback,
) -> StageResult:
    cut = list(patches_of_images(films, judged, EXHAUSTIVE))
    columns = [rows.arrays() for _, _, rows in cut]
    table = PatchTable(**{name: np.concatenate([c[name] for c in columns]) for name in columns[0]})
    rng = stage_rng(settings.seed, "judged")
    some = np.sort(rng.permutation(len(table))[: settings.n_study_patches])
    study = StudyPatches(
        patches=PatchBatch.concatenate([batch for _, batch, _ in cut])[some],
        table=table.select(some),
        kinds=kinds,
    )
    with normal_patches(films, roles, NORMAL, rng=stage_rng(settings.seed, "cut")) as stores:
        rows = study_losses(
            stores,
            study,
            scorer=SCORER,
            steps=settings.study_steps,
            seed=settings.seed,
            progress=progress,
        )
    return StageResult(figures={"rows": rows, "judged_patches": len(some)})


def _verdict(
    films: Images,
    roles: NDArray[np.str_],
    table: PatchTable,
    kinds: tuple[str, ...],
    settings: ReproductionSettings,
    progress: ProgressCallback,
) -> StageResult:
    rng = stage_rng(settings.seed, "verdict")
    n_resamples = settings.n_resamples
    sick = roles[table.image] == "pneumonia"
    scores = table.scores[sick]
    as_many = rng.permutation(scores)[:N_PNEUMONIA_PATCHES]
    figures: dict[str, Any] = {
        "dip_all": unimodality(scores).to_dict(),
        "dip_as_many_as_the_paper": unimodality(as_many).to_dict(),
        "significance": SIGNIFICANCE,
    }
    progress("verdict", 1, 4, {})

    # Within images with boxes, so that what differs between images does not count.
    within = table.select(films.boxed()[table.image] & sick) if OPACITY in kinds else table
    figures["pairs"] = compare_kinds(within, kinds, rng=rng, n_resamples=n_resamples)
    figures["n_films_of_the_kinds"] = len(np.unique(within.image))
    try:
        figures["table_1"] = table_1_rule(
            within.scores, within.kinds, kinds=kinds, fit_on=scores
        ).to_dict()
    except InsufficientDataError as error:
        figures["table_1"] = {"skipped": str(error)}
    progress("verdict", 2, 4, {})

    figures["patches_of_normal_and_pneumonia_films"] = _patches_by_image_class(
        table, sick, rng=rng, n_resamples=n_resamples
    )
    progress("verdict", 3, 4, {})
    figures["images"] = compare_images(
        _image_values(films, roles, table),
        _image_groups(films, roles),
        rng=rng,
        n_resamples=n_resamples,
    )
    progress("verdict", 4, 4, {})
    return StageResult(figures=figures)


def _patches_by_image_class(
    table: PatchTable, sick: NDArray[np.bool_], *, rng: np.random.Generator, n_resamples: int
) -> dict[str, Any]:
    """Compare patches of lung of pneumonia images with those of normal images."""
    lung = np.isin(table.kinds, (HEALTHY, OPACITY, UNREAD))
    side = np.where(sick, "pneumonia", "normal")
    patches = attrs.evolve(table, kinds=side).select(lung)
    labels = patches.kinds == "pneumonia"
    return {
        "auroc": auroc(patches.scores, labels),
        "interval": interval_over_images(patches, "pneumonia", rng=rng, n_resamples=n_resamples),
        "auroc_of_grey": auroc(patches.grey, labels),
    }


def _image_values(
    films: Images, roles: NDArray[np.str_], table: PatchTable
) -> Mapping[str, NDArray[np.float64]]:
    """Return a value a image: the method's, and those of controls that know nothing of lungs."""
    count = len(films.dataset)
    lung = table.lung_share >= 0.5
    total = np.bincount(table.image[lung], table.scores[lung], minlength=count)
    number = np.bincount(table.image[lung], minlength=count)
    sad = np.divide(total, number, out=np.full(count, np.nan), where=number > 0)
    values = {
        "mean SAD of the lung": sad,
        "control: grey of the lung": films.lung_grey,
        "control: share of the image that is lung": films.lung_share,
    }
    sizes = films.file_sizes()
    if sizes is not None:
        values["control: size of the file"] = sizes
    views = films.dataset.views
    if np.isin(views, ("AP", "PA")).any():
        values["control: view is AP"] = np.where(
            np.isin(views, ("AP", "PA")), (views == "AP").astype(np.float64), np.nan
        )
    return {name: np.where(roles == "", np.nan, value) for name, value in values.items()}


def _image_groups(
    films: Images, roles: NDArray[np.str_]
) -> Mapping[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Return the comparisons of images: the folders, and those that survive the confounders."""
    normal, sick = np.isin(roles, ("test", "held")), roles == "pneumonia"
    groups = {"normal folder against pneumonia folder": (normal, sick)}
    read = films.dataset.columns.get("rsna_class")
    if read is None:
        return groups
    clear, opaque = sick & (read == "Normal"), sick & (read == "Lung Opacity")
    groups["folder test: normal folder against pneumonia folder read as Normal"] = (normal, clear)
    groups["within the pneumonia folder: read as Normal against Lung Opacity"] = (clear, opaque)
    for view in ("PA", "AP"):
        of_view = films.dataset.views == view
        groups[f"the folders, {view} views only"] = (normal & of_view, sick & of_view)
        groups[f"within the pneumonia folder, {view} views only"] = (
            clear & of_view,
            opaque & of_view,
        )
    return groups


def _preliminary(
    films: Images, settings: ReproductionSettings, progress: ProgressCallback
) -> StageResult:
    dataset = films.dataset
    indices = np.array(
        list(usable_images(films, np.flatnonzero(np.isin(dataset.labels, ("normal", "pneumonia")))))
    )
    rng = stage_rng(settings.seed, "classes")
    try:
        roles = split_classes(dataset.labels[indices], known_patients(dataset)[indices], rng=rng)
    except InsufficientDataError as error:
        return StageResult(figures={"skipped": str(error)})
    result = run_preliminary(
        np.stack([films.read(int(index))[0].pixels for index in indices]),
        dataset.labels[indices],
        roles,
        lungs=np.stack([films.lungs(int(index)) for index in indices]),
        steps=settings.classifier_steps,
        n_gradcam=settings.n_gradcam,
        seed=settings.seed,
        progress=progress,
    )
    return attrs.evolve(result, arrays=result.arrays | {"shown": indices[result.arrays["shown"]]})
