"""The decisions of pipelines as tables: for Markdown, the terminal and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from lungpatch.evaluation.kinds import ALL_POSITIVE, N_SHOWN
from lungpatch.evaluation.operating_points import SHIPPED, Outcomes, PointResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lungpatch.evaluation.bootstrap import Estimate
    from lungpatch.evaluation.kinds import Kinds
    from lungpatch.evaluation.protocol import Evaluation

_ROLE_WORDS = {
    "positive": "positive",
    "reference": "normal",
    "normal": "normal",
    "neither": "neither",
}


@attrs.frozen(kw_only=True)
class OperatingTables:
    """The decisions of one pipeline as text.

    Parameters
    ----------
    facts : tuple of str
        Sentences on the calibration, the shipped thresholds, and the rates that are left empty.
    head : tuple of str
        The operating points.
    images, boxes : mapping of str to tuple of str
        One cell per operating point by row; empty if there is nothing to count.

    Examples
    --------
    >>> operating_tables(evaluation)["default"].images                 # doctest: +SKIP
    {'opacity (positive, 54 images)': ('0.24 [0.13, 0.36]', ...), ...}
    """

    facts: tuple[str, ...]
    head: tuple[str, ...]
    images: Mapping[str, tuple[str, ...]]
    boxes: Mapping[str, tuple[str, ...]]


def operating_tables(evaluation: Evaluation) -> dict[str, OperatingTables]:
    """Return the decisions of each pipeline as text.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    dict of str to OperatingTables
        By pipeline.

    Examples
    --------
    >>> operating_tables(evaluation)["default"].head                   # doctest: +SKIP
    ('as shipped', 'rate 0.05', 'rate 0.1', 'rate 0.2')
    """
    n_boxes = sum(len(case.boxes) for case in evaluation.cases)
    return {
        name: OperatingTables(
            facts=_facts(name, outcomes, results),
            head=tuple(_heading(result) for result in results),
            images=_image_rows(results, evaluation.kinds),
            boxes=_box_rows(results, evaluation.kinds, n_boxes),
        )
        for name, outcomes, results in _of_pipelines(evaluation)
    }


def operating_record(evaluation: Evaluation) -> dict[str, Any]:
    """Return the decisions of each pipeline, ready for JSON.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    dict
        By pipeline: on how many patients it was calibrated, the finest rate, and one record per
        operating point.

    Examples
    --------
    >>> operating_record(evaluation)["default"]["finest_rate"]         # doctest: +SKIP
    0.038
    """
    return {
        name: {
            "calibration_patients": outcomes.n_patients,
            "finest_rate": outcomes.finest_rate,
            "undecided_images": outcomes.n_undecided,
            "points": [
                {
                    **attrs.asdict(result.point),
                    "flagged": _plain(result.flagged),
                    "images_with_boxes": _plain(result.with_boxes),
                    "lesions_hit": (
                        None if result.lesions_hit is None else attrs.asdict(result.lesions_hit)
                    ),
                    "false_boxes_per_image": _plain(result.false_boxes),
                }
                for result in results
            ],
        }
        for name, outcomes, results in _of_pipelines(evaluation)
    }


def _plain(by_kind: Mapping[str, Estimate]) -> dict[str, dict[str, float]]:
    return {kind: attrs.asdict(value) for kind, value in by_kind.items()}


def _of_pipelines(evaluation: Evaluation) -> list[tuple[str, Outcomes, list[PointResult]]]:
    by_name = {each.predictions.name: each.predictions.outcomes for each in evaluation.results}
    return [
        (name, outcomes, results)
        for name, results in evaluation.operating_points().items()
        if (outcomes := by_name[name]) is not None
    ]


def _heading(result: PointResult) -> str:
    return SHIPPED if result.point.name == SHIPPED else f"rate {result.point.name}"


def _facts(name: str, outcomes: Outcomes, results: Sequence[PointResult]) -> tuple[str, ...]:
    shipped = results[0].point
    facts = [
        f"{name} was calibrated on {outcomes.n_patients} normal patients, so the finest "
        f"false-alarm rate that can be asked for is {outcomes.finest_rate:.2g}. As shipped: image "
        f"scores above {shipped.threshold:.4g}, regions above {shipped.region_threshold:.4g}."
    ]
    facts += [
        f"Rate {result.point.name} is empty: {result.point.reason}."
        for result in results
        if result.point.reason
    ]
    if outcomes.n_undecided:
        plural = "1 image is" if outcomes.n_undecided == 1 else f"{outcomes.n_undecided} images are"
        facts.append(f"{plural} out of scope or without a score, and count as not flagged.")
    return tuple(facts)


def _image_rows(results: Sequence[PointResult], kinds: Kinds) -> dict[str, tuple[str, ...]]:
    if kinds.known_by == "boxes":
        return {}
    return {
        label: _cells(result.flagged.get(kind) for result in results)
        for kind, label in _labels(kinds).items()
    }


def _box_rows(
    results: Sequence[PointResult], kinds: Kinds, n_boxes: int
) -> dict[str, tuple[str, ...]]:
    rows = {
        f"{label}: fraction with a box": _cells(result.with_boxes.get(kind) for result in results)
        for kind, label in _labels(kinds).items()
    }
    if n_boxes:
        rows[f"true boxes hit ({n_boxes})"] = _cells(result.lesions_hit for result in results)
    for kind in results[0].false_boxes:
        rows[f"false boxes per {kind} image"] = _cells(
            result.false_boxes.get(kind) for result in results
        )
    return rows


def _labels(kinds: Kinds) -> dict[str, str]:
    """Return the label of the row of each group of images; of many positive kinds, of some."""
    labels, n_positive = {}, 0
    for kind, images in kinds.groups().items():
        role = kinds.roles.get(kind, "positive")
        n_positive += role == "positive"
        # Beside the group of all positive kinds.
        if role == "positive" and n_positive > N_SHOWN + 1:
            continue
        number = int(images.sum())
        counted = "1 image" if number == 1 else f"{number} images"
        words = counted if kind == ALL_POSITIVE else f"{_ROLE_WORDS[role]}, {counted}"
        labels[kind] = f"{kind} ({words})"
    return labels


def _cells(values: Iterable[Estimate | None]) -> tuple[str, ...]:
    return tuple("" if value is None else str(value) for value in values)
