"""The metrics by section, and why some of them cannot be computed on some images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lungpatch.evaluation.cases import Case
    from lungpatch.evaluation.kinds import Kinds

COMPARED = ("image AUROC", "image AP")
FOLDER_TEST = ("folder test",)
WITHIN = ("patch AUROC", "patch AP", "pixel AUROC", "pixel AP", "pointing game", "AUPRO")
POOLED = ("pooled patch AUROC", "pooled patch AP", "pooled pixel AUROC", "pooled pixel AP")
BOXES = (
    "sensitivity at 0.25",
    "sensitivity at 0.5",
    "sensitivity at 1",
    "sensitivity at 2",
    "sensitivity at 4",
    "mean sensitivity",
    "best box IoU",
)
SECTIONS = {
    "Images": COMPARED + FOLDER_TEST,
    "Localisation within each image": WITHIN,
    "Localisation, all images pooled": POOLED,
    "Boxes, by false boxes per image": BOXES,
}


def measurable(cases: Sequence[Case]) -> set[str]:
    """Return the metrics that can be computed on images.

    Parameters
    ----------
    cases : sequence of Case

    Returns
    -------
    set of str

    Examples
    --------
    >>> measurable([])
    set()
    """
    metrics: set[str] = set()
    if _any_of("positive", cases) and _any_of("reference", cases):
        metrics.update(COMPARED)
    if _any_of("reference", cases) and _any_of("normal", cases):
        metrics.update(FOLDER_TEST)
    if any(case.localised for case in cases):
        metrics.update(WITHIN + POOLED)
    if any(len(case.boxes) for case in cases):
        metrics.update(BOXES)
    return metrics


def reasons_left_out(cases: Sequence[Case], kinds: Kinds) -> dict[str, str]:
    """Say why metrics cannot be computed on images.

    Parameters
    ----------
    cases : sequence of Case
    kinds : Kinds
        Of these images.

    Returns
    -------
    dict of str to str
        Reason by metric; empty if all metrics can be computed.

    Examples
    --------
    >>> reasons_left_out(cases, kinds)["folder test"]                  # doctest: +SKIP
    'only the column rsna_class tells normal images of two sources apart'
    """
    boxed = any(len(case.boxes) for case in cases)
    reasons = {
        **dict.fromkeys(COMPARED, _why_not_compared(cases, kinds)),
        **dict.fromkeys(FOLDER_TEST, _why_no_folder_test(kinds)),
        **dict.fromkeys(
            WITHIN + POOLED,
            "no image has lung both in and outside its boxes" if boxed else "no image has a box",
        ),
        **dict.fromkeys(BOXES, "no image has a box"),
    }
    possible = measurable(cases)
    return {metric: reason for metric, reason in reasons.items() if metric not in possible}


def describe_left_out(reasons: Mapping[str, str]) -> list[str]:
    """Say in sentences which metrics are left out, and why.

    Parameters
    ----------
    reasons : mapping of str to str
        From `reasons_left_out`.

    Returns
    -------
    list of str
        One sentence per reason.

    Examples
    --------
    >>> describe_left_out({"image AUROC": "no label is known", "image AP": "no label is known"})
    ['Not computed, since no label is known: image AUROC, image AP.']
    """
    by_reason: dict[str, list[str]] = {}
    for section, metrics in SECTIONS.items():
        of_section = {metric: reasons[metric] for metric in metrics if metric in reasons}
        if len(of_section) == len(metrics) and len(set(of_section.values())) == 1:
            by_reason.setdefault(of_section[metrics[0]], []).append(f"all of '{section}'")
        else:
            for metric, reason in of_section.items():
                by_reason.setdefault(reason, []).append(metric)
    return [
        f"Not computed, since {reason}: {', '.join(names)}." for reason, names in by_reason.items()
    ]


def _why_not_compared(cases: Sequence[Case], kinds: Kinds) -> str:
    if kinds.known_by == "boxes":
        return "no label is known, so no image is known to be normal"
    missing = [
        words
        for role, words in (
            ("positive", kinds.positive_words),
            ("reference", kinds.reference_words),
        )
        if not _any_of(role, cases)
    ]
    return f"there are no {' and no '.join(missing)}"


def _why_no_folder_test(kinds: Kinds) -> str:
    if kinds.known_by == "readings":
        return "there are not both images read as normal and images labelled normal"
    return "only the column rsna_class tells normal images of two sources apart"


def _any_of(role: str, cases: Sequence[Case]) -> bool:
    return any(case.role == role for case in cases)
