"""Figures of the paper that show images and patches: 1 to 5, 7, 8 and 10."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lungpatch._utils.axes import LUNGS, axes_or_new, draw_outline, figure_or_new, show_grey
from lungpatch.containers.colours import ColourScale
from lungpatch.errors import ConfigurationError, InsufficientDataError, InvalidMaskError
from lungpatch.scorers.region import check_pixelwise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from lungpatch.containers import ChestImage, LungMask, PatchBatch, PatchScores, Reconstruction

_IMAGE_INCHES = 2.4
_SMALL = 8
"""Size of the writing beside an image, in points."""

_BACKGROUND = (0.16, 0.42, 0.75)
"""The one colour that what is not lung is painted in: not grey, so that it is no grey level."""

_PATCH_COLUMNS = 12
_GREY_LEVEL_EDGES = np.linspace(0.0, 256.0, 33)
"""Bins of a patch's histogram: 8 grey levels each."""


def plot_examples(
    normal: Sequence[ChestImage], pneumonia: Sequence[ChestImage], *, figure: Figure | None = None
) -> Figure:
    """Draw images of the two classes, a row each: the paper's figure 1.

    What to look for: opacities of pneumonia are bright and hide the vessels and the borders of
    heart and diaphragm. Look also at what differs between the rows without being disease: view,
    position, contrast, letters on the image.

    Parameters
    ----------
    normal, pneumonia : sequence of ChestImage
        Of any sizes and numbers, but one of each at least.
    figure : matplotlib.figure.Figure, optional
        Where to draw; by default a new one.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    InsufficientDataError
        If a class has no image.

    Examples
    --------
    >>> from lungpatch.datasets import phantom_chest
    >>> normal = [phantom_chest(seed, size=64).image for seed in range(3)]
    >>> pneumonia = [phantom_chest(seed, size=64, opacity="lobar").image for seed in range(3)]
    >>> figure = plot_examples(normal, pneumonia)                        # doctest: +SKIP
    >>> figure.savefig("examples.pdf")                                   # doctest: +SKIP
    """
    rows = {"normal": normal, "pneumonia": pneumonia}
    for name, films in rows.items():
        if len(films) == 0:
            raise InsufficientDataError(
                f"there is no {name} image: give one of each class at least"
            )
    columns = max(map(len, rows.values()))
    figure = figure_or_new(figure, (_IMAGE_INCHES * columns, 2 * _IMAGE_INCHES + 0.6))
    grid = figure.subplots(2, columns, squeeze=False)
    for axes_of_row, (name, films) in zip(grid, rows.items(), strict=True):
        axes_of_row[0].set_ylabel(name)
        for axes, film in zip(axes_of_row, films, strict=False):
            show_grey(axes, film.pixels)
            axes.set_title(film.image_id, fontsize=_SMALL, parse_math=False)
        for axes in axes_of_row[len(films) :]:
            axes.set_axis_off()
    return figure


def plot_gradcam(
    images: ArrayLike,
    cams: ArrayLike,
    probabilities: ArrayLike,
    lungs: ArrayLike | None = None,
    *,
    titles: Sequence[str] | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw where the two-class CNN looks, a column an image: the paper's figure 2.

    Above the image, below it Grad-CAM over it; the hottest colour is what speaks most for the class
    that each image is called. What to look for: heat outside the lungs' outline, on letters,
    shoulders, the diaphragm, corners. Then the network tells the classes apart by something else
    than opacities, which is what the paper found. With ``lungs``, each column says how much of the
    heat lies within them, beside their share of the image, which heat spread evenly would reach.

    Parameters
    ----------
    images : array_like of float, shape (N, H, W), values in [0, 1]
    cams : array_like of float, shape (N, H, W), values in [0, 1]
        Of `lungpatch.reference.gradcam.grad_cam`.
    probabilities : array_like of float, shape (N,)
        Of pneumonia.
    lungs : array_like of bool, shape (N, H, W), optional
    titles : sequence of str, optional
        One an image, such as its name or what it shows.
    figure : matplotlib.figure.Figure, optional
        Where to draw; by default a new one.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    ConfigurationError
        If shapes or lengths disagree.
    InsufficientDataError
        If there is no image.

    Examples
    --------
    >>> cams = grad_cam(model, images)                                    # doctest: +SKIP
    >>> figure = plot_gradcam(images, cams, model.predict_proba(images))   # doctest: +SKIP
    """
    from lungpatch.reference.gradcam import mass_inside

    films, heat, chances = np.asarray(images), np.asarray(cams), np.asarray(probabilities)
    masks = None if lungs is None else np.asarray(lungs, dtype=np.bool_)
    names = [""] * len(films) if titles is None else list(titles)
    arrays = {"images": films, "cams": heat} | ({} if masks is None else {"lungs": masks})
    shapes = {name: array.shape for name, array in arrays.items()}
    lengths = {"images": len(films), "probabilities": len(chances), "titles": len(names)}
    if films.ndim != 3 or len(set(shapes.values())) > 1 or len(set(lengths.values())) > 1:
        raise ConfigurationError(
            f"arrays of shape (N, H, W) and lengths N must agree, got {shapes} and {lengths}"
        )
    if len(films) == 0:
        raise InsufficientDataError("there is no image to draw Grad-CAM on")
    scale = ColourScale(low=0.0, high=1.0)
    figure = figure_or_new(figure, (_IMAGE_INCHES * len(films), 2 * _IMAGE_INCHES + 0.9))
    grid = figure.subplots(2, len(films), squeeze=False)
    for column, (above, below) in enumerate(grid.T):
        for axes in (above, below):
            show_grey(axes, films[column])
        below.imshow(scale.to_rgba(heat[column]))
        head = f"P(pneumonia) = {chances[column]:.2f}"
        lines = [names[column], head] if names[column] else [head]
        above.set_title("\n".join(lines), fontsize=_SMALL, parse_math=False)
        if masks is not None:
            draw_outline(above, masks[column], LUNGS)
            draw_outline(below, masks[column], LUNGS)
            share = mass_inside(heat[column, None], masks[column, None])[0]
            found = "no heat" if np.isnan(share) else f"{share:.0%} of the heat in the lungs"
            text = f"{found}\nlungs: {masks[column].mean():.0%} of the image"
            below.set_xlabel(text, fontsize=_SMALL)
    return figure


def plot_patches(
    patches: PatchBatch,
    *,
    count: int = 60,
    seed: int = 0,
    title: str | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw patches, chosen at random: the paper's figures 3 (normal) and 4 (pneumonia).

    What to look for: patches of a normal lung show ribs and vessels on dark lung and nothing else.
    Those cut from all over an image of pneumonia are of three kinds: such normal lung, lung with
    opacity, and bone, organs and background.

    Parameters
    ----------
    patches : PatchBatch
        Of one image or, by `PatchBatch.concatenate`, of many.
    count : int
        At most so many are drawn, 12 a row; at least 1.
    seed : int
        Chooses them, without replacement; they are drawn in the order of the batch.
    title : str, optional
    axes : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    ConfigurationError
        If ``count`` is below 1.
    InsufficientDataError
        If there is no patch.

    Examples
    --------
    >>> axes = plot_patches(detection.patches, title="one image")         # doctest: +SKIP
    >>> axes.figure.savefig("patches.pdf")                               # doctest: +SKIP
    """
    from skimage.util import montage

    chosen = patches.pixels[_some(len(patches), count, seed)]
    columns = min(_PATCH_COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    gap = max(1, patches.patch_size // 16)
    sheet = montage(chosen, fill=1.0, grid_shape=(rows, columns), padding_width=gap)
    axes = axes_or_new(axes, (0.7 * columns, 0.7 * rows + 0.4))
    show_grey(axes, sheet)
    if title is not None:
        axes.set_title(title, parse_math=False)
    return axes


def plot_segmentation(
    image: ChestImage, lungs: LungMask, *, figure: Figure | None = None
) -> Figure:
    """Draw image, lung mask, and the image with what is not lung in one colour: figure 5.

    What to look for: both lungs whole, without heart, diaphragm or what lies outside the chest. On
    images of pneumonia, whether the opacity is still within the mask: what is cut out is never
    scored.

    Parameters
    ----------
    image : ChestImage
    lungs : LungMask
        Of the same shape.
    figure : matplotlib.figure.Figure, optional
        Where to draw; by default a new one.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    InvalidMaskError
        If image and mask differ in shape.

    Examples
    --------
    >>> figure = plot_segmentation(detection.resized, detection.lungs)   # doctest: +SKIP
    >>> figure.savefig("segmentation.pdf")                               # doctest: +SKIP
    """
    if image.shape != lungs.pixels.shape:
        raise InvalidMaskError(
            f"{image.image_id}: an image of {image.shape} and a lung mask of {lungs.pixels.shape}: "
            "segment the image that you draw"
        )
    figure = figure_or_new(figure, (3 * _IMAGE_INCHES, _IMAGE_INCHES + 0.5))
    film, mask, painted = figure.subplots(1, 3)
    for axes in (film, painted):
        show_grey(axes, image.pixels)
    show_grey(mask, lungs.pixels)
    painted.imshow(np.where(lungs.pixels[..., None], (0.0,) * 4, (*_BACKGROUND, 1.0)))
    film.set_title(image.image_id, fontsize=_SMALL, parse_math=False)
    doubt = "" if lungs.implausible is None else f", implausible: {lungs.implausible}"
    mask.set_title(f"{lungs.fraction:.1%} lung{doubt}", fontsize=_SMALL, parse_math=False)
    painted.set_title("background in one colour", fontsize=_SMALL)
    return figure


def plot_reconstructions(
    patches: PatchBatch,
    reconstruction: Reconstruction,
    scores: PatchScores,
    *,
    count: int = 6,
    seed: int = 0,
    label: str = "SAD",
    title: str | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw patches, chosen at random, beside what the model made of them: figures 7 and 8.

    A column a patch: input, reconstruction, the grey-level histogram of each, and the score. Figure
    7 is of normal patches, figure 8 of patches of a pneumonia image. What to look for: whether
    patches with opacity, or without any lung, are reconstructed as well as normal ones. In the
    paper they are, at a SAD near 5 against 1, and the two histograms all but coincide.

    Parameters
    ----------
    patches : PatchBatch
    reconstruction : Reconstruction
        Of the same patches by a model of pixels, (N, 1, P, P). What lies beyond white or black is
        drawn, and counted, as white or black.
    scores : PatchScores
        Of the same patches.
    count : int
        At most so many columns, at least 1.
    seed : int
        Chooses the patches, without replacement; they are drawn in the order of the batch.
    label : str
        What the scores are.
    title : str, optional
    figure : matplotlib.figure.Figure, optional
        Where to draw; by default a new one.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    ConfigurationError
        If patches, reconstruction and scores are not of one batch, the reconstruction is of
        features, or ``count`` is below 1.
    InsufficientDataError
        If there is no patch.

    Examples
    --------
    >>> figure = plot_reconstructions(                                   # doctest: +SKIP
    ...     detection.patches, detection.reconstruction, detection.scores)
    """
    check_pixelwise(patches, reconstruction)
    _check_scores(patches, scores)
    if reconstruction.target.shape[1] != 1:
        raise ConfigurationError(
            f"a reconstruction of {reconstruction.target.shape[1]} channels is of features, not of "
            "grey levels: only that of a pixel model can be drawn"
        )
    chosen = _some(len(patches), count, seed)
    width = max(1.3 * len(chosen) + 0.6, 4.0)
    figure = figure_or_new(figure, (width, 4.4 if title is None else 4.7))
    grid = figure.subplots(3, len(chosen), squeeze=False, height_ratios=(1.0, 1.0, 0.7))
    for (above, below, histogram), index in zip(grid.T, chosen, strict=True):
        pictures = {
            "input": reconstruction.target[index, 0],
            "reconstruction": reconstruction.expected[index, 0],
        }
        for axes, picture in zip((above, below), pictures.values(), strict=True):
            show_grey(axes, picture)
        above.set_title(f"{label} {scores.values[index]:.2f}", fontsize=_SMALL, parse_math=False)
        for (name, picture), (filled, colour) in zip(
            pictures.items(), ((True, "0.7"), (False, "red")), strict=True
        ):
            levels = np.rint(255.0 * np.clip(picture, 0.0, 1.0))
            counts, edges = np.histogram(levels, _GREY_LEVEL_EDGES)
            histogram.stairs(counts, edges, fill=filled, color=colour, label=name)
        histogram.set(xlim=(0, 256), xticks=(0, 128, 255), yticks=[])
        histogram.tick_params(labelsize=_SMALL - 1)
    for axes, name in zip(grid[:, 0], ("input", "reconstruction", "pixels"), strict=True):
        axes.set_ylabel(name, fontsize=_SMALL)
    figure.supxlabel("grey level", fontsize=_SMALL)
    figure.legend(
        *grid[2, 0].get_legend_handles_labels(), loc="outside lower right", ncols=2, fontsize=_SMALL
    )
    if title is not None:
        figure.suptitle(title, parse_math=False)
    return figure


def plot_patch_frames(
    image: ChestImage,
    patches: PatchBatch,
    scores: PatchScores,
    score_range: tuple[float, float],
    *,
    label: str = "SAD",
    axes: Axes | None = None,
) -> Axes:
    """Frame, in red on their image, the patches whose score lies in a range: figure 10.

    What to look for: whether the frames gather on the opacity. In the paper they lie without
    regularity, whatever the range.

    Parameters
    ----------
    image : ChestImage
        The image that the patches were cut from, of the size it then had.
    patches : PatchBatch
    scores : PatchScores
        Of the same patches.
    score_range : tuple of float
        Frames are drawn for ``low < score <= high``, as thresholds divide scores into classes;
        either end may be infinite.
    label : str
        What the scores are.
    axes : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Its title says how many of the patches are framed.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    ConfigurationError
        If patches and scores are not of one batch, the image has another size, or ``low`` is not
        below ``high``.

    Examples
    --------
    >>> axes = plot_patch_frames(                                        # doctest: +SKIP
    ...     detection.resized, detection.patches, detection.scores, (4.0, 6.0))
    """
    _check_scores(patches, scores)
    low, high = score_range
    if not low < high:
        raise ConfigurationError(
            f"score_range must be (low, high) with low < high, got {low, high}"
        )
    if image.shape != patches.image_shape:
        raise ConfigurationError(
            f"the patches were cut from an image of {patches.image_shape}, not of {image.shape}: "
            "give the image in the size of the pipeline, such as detection.resized"
        )
    axes = axes_or_new(axes, (4.5, 4.8))
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    show_grey(axes, image.pixels)
    framed = (scores.values > low) & (scores.values <= high)
    frames = [
        # Pixel centres lie on whole numbers, so the edge of a patch is half a pixel before it.
        Rectangle((column - 0.5, row - 0.5), width, height)
        for (row, column), (height, width) in zip(
            patches.corners[framed], patches.extents[framed], strict=True
        )
    ]
    axes.add_collection(
        PatchCollection(frames, facecolor="none", edgecolor="red", linewidth=0.8), autolim=False
    )
    bounds = [f"{low:.3g} <"] * bool(np.isfinite(low)) + [label]
    bounds += [f"\N{LESS-THAN OR EQUAL TO} {high:.3g}"] * bool(np.isfinite(high))
    text = f"{len(frames)} of {len(patches)} patches: {' '.join(bounds)}"
    axes.set_title(f"{image.image_id}\n{text}", fontsize=_SMALL + 1, parse_math=False)
    return axes


def _some(available: int, count: int, seed: int) -> NDArray[np.int64]:
    """Return indices of at most ``count`` of the patches, ascending."""
    if count < 1:
        raise ConfigurationError(f"count must be at least 1, got {count}")
    if available == 0:
        raise InsufficientDataError("there is no patch to draw")
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(available, min(count, available), replace=False))


def _check_scores(patches: PatchBatch, scores: PatchScores) -> None:
    if len(scores) != len(patches):
        raise ConfigurationError(
            f"{len(patches)} patches, but {len(scores)} scores: pass the scores of the same batch"
        )
