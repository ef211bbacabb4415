"""How a site's normal images differ from those of the calibration: a figure, and a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch._utils.axes import load_pyplot
from lungpatch._utils.files import atomic_write, write_json
from lungpatch._utils.forks import IMPORTING
from lungpatch._utils.marks import RESULT_MARK

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from lungpatch.reports.fields import SiteFields

SITE_FIGURE = "site.png"
SITE_RECORD = "site.json"

_REFERENCE, _SITE = "0.45", "C0"


def plot_site(report: SiteFields, *, axes: Any = None) -> NDArray[np.object_]:
    """Draw how a site's normal images differ from those of the calibration.

    Parameters
    ----------
    report : SiteReport
    axes : array-like of matplotlib.axes.Axes, shape (3,), optional
        Where to draw; by default on a new figure.

    Returns
    -------
    ndarray of matplotlib.axes.Axes, shape (3,)
        The distributions of the image scores; the p-values, against those of a site that does not
        differ, with the range that 95 of 100 such sites stay in at each point; the shifts of
        anomaly scores by zone of the lungs and of the grey level.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.

    See Also
    --------
    write_site_report : Write it to a folder.

    Examples
    --------
    >>> plot_site(pipeline.check("our-normals/"))                      # doctest: +SKIP
    """
    pyplot = load_pyplot()
    if axes is None:
        _, axes = pyplot.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    panels: NDArray[np.object_] = np.asarray(axes, dtype=object)
    scores, p_values, shifts = panels

    reference = report.reference
    for values, colour, label in (
        (reference.image_scores, _REFERENCE, "calibration"),
        (report.image_scores, _SITE, "these images"),
    ):
        scores.ecdf(values, color=colour, label=f"{label} ({len(values)} patients)")
    scores.axvline(reference.threshold, color="C3", ls="--", lw=1, label="threshold")
    scores.set(xlabel="image score", ylabel="fraction of patients", title="Image scores")
    scores.legend(loc="lower right", fontsize="small")

    with IMPORTING:
        from scipy import stats

    n = len(report.p_values)
    expected = (np.arange(1, n + 1) - 0.5) / n
    # Order statistics of n scores among m of the calibration: beta-binomial.
    m = len(reference.image_scores)
    rank = np.arange(1, n + 1)
    low, high = (
        (1 + stats.betabinom.ppf(q, m, rank, n + 1 - rank)) / (m + 1) for q in (0.025, 0.975)
    )
    p_values.fill_between(expected, low, high, color="0.9", label="if they do not differ")
    p_values.plot([0, 1], [0, 1], color=_REFERENCE, lw=1)
    p_values.plot(expected, np.sort(report.p_values), color=_SITE, label="these images")
    p_values.set(
        xlabel="fraction of patients", ylabel="p-value", title="p-values", xlim=(0, 1), ylim=(0, 1)
    )
    p_values.legend(loc="lower right", fontsize="small")

    bars = {**report.zone_shifts, "grey level": report.grey_shift}
    names = list(bars)
    shifts.barh(names, [bars[name] for name in names], color=_SITE)
    shifts.axvline(0, color="0.3", lw=1)
    shifts.invert_yaxis()
    shifts.set(xlabel="shift (standard deviations)", title="Anomaly score by zone; grey level")
    return panels


def write_site_report(folder: str | os.PathLike[str], report: SiteFields) -> None:
    """Write a comparison to a folder: ``site.png`` and ``site.json``.

    Parameters
    ----------
    folder : path
        Made if it is missing.
    report : SiteReport

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    OSError
        If the files cannot be written.

    See Also
    --------
    plot_site : The figure.

    Examples
    --------
    >>> write_site_report("check", pipeline.check("our-normals/"))     # doctest: +SKIP
    """
    folder = Path(folder)
    write_json(folder / SITE_RECORD, report.to_dict())
    figure = plot_site(report)[0].figure
    with atomic_write(folder / SITE_FIGURE) as temporary:
        figure.savefig(temporary, format="png", dpi=110, metadata={"Comment": RESULT_MARK})
    load_pyplot().close(figure)
