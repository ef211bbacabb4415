"""What each part of the detector `default` is worth: variants of it over several sources of truth.

    python benchmarks/ablation.py --data ../shared/data --out ablation

Fits each of `VARIANTS` to the training half of split `cxr-half`, normal images only, and evaluates
it on images of other patients as `lungpatch evaluate --data` does. A variant whose result is in
`--out` already is neither fitted nor evaluated again. Writes the table `ablation.inc`: values, then
differences from `default` on the same resamples of the patients.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import attrs
import numpy as np
from confounders import one_image_per_patient, usable
from study import Study, parser_of
from tables import markdown_table, write_table

import lungpatch
from lungpatch._utils.files import write_json
from lungpatch.containers import LungMask
from lungpatch.datasets import CONFOUNDER_KINDS, paint_confounder
from lungpatch.evaluation import Estimate, evaluate_sources, load_sources
from lungpatch.evaluation.across_sources import part_statistics
from lungpatch.evaluation.bootstrap import Statistic, difference, estimate, patient_weights
from lungpatch.evaluation.protocol import N_RESAMPLES
from lungpatch.pipeline import pipeline_settings
from lungpatch.synthesis import RECIPES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lungpatch.evaluation.sources import Source
    from lungpatch.pipeline import Pipeline

LUNG, PHOTOGRAPHS = pipeline_settings(lungpatch.load_preset("default"))["model"]["members"]
"""The members of `default`: heads on `lung-encoder` and on `imagenet`."""
TRAINED = {
    "weight": 1.0,
    "scorer": LUNG["scorer"],
    "model": LUNG["model"]
    | {
        "extractor": {
            "name": "lesion-encoder",
            "patch_size": 256,
            "levels": [0, 1, 2, 3, 4],
            "epochs": 20,
        }
    },
}
"""A member whose features are trained, too."""
SOFT = ["ground-glass", "veil", "interstitial"]
DENSE = ["lobar", "patchy", "effusion", "nodular"]
PASTED = ["foreign", "poisson"]
HALF = "half of the patients"


def heads(**settings: Any) -> dict[str, Any]:
    """Return settings of both heads by their dotted keys."""
    return {
        f"model.members.{member}.model.{key}": value
        for member in (0, 1)
        for key, value in settings.items()
    }


VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "`lung-encoder` alone": {"model.members": [LUNG]},
    "`imagenet` alone": {"model.members": [PHOTOGRAPHS]},
    "members with equal weights": {"model.members.1.weight": LUNG["weight"]},
    "no distractors": heads(distractor_fraction=0.0),
    "no pasted lesions": heads(recipes=[each for each in RECIPES if each not in PASTED]),
    "only soft lesions": heads(recipes=SOFT),
    "only dense lesions": heads(recipes=DENSE),
    "ridge 0.3": heads(ridge=0.3),
    "5 passes": heads(passes=5),
    # So that there are enough calibration patients for the threshold.
    HALF: {"pipeline.calibration_fraction": 0.25},
    "seed 1": {"pipeline.seed": 1},
    "seed 2": {"pipeline.seed": 2},
    "crops of 384 pixels": {
        "fit_sampler.patch_size": 384,
        "sampler.patch_size": 384,
        **heads(patch_size=384),
    },
    "a trained member added": {"model.members": [LUNG, PHOTOGRAPHS, TRAINED]},
}
"""Settings that differ from `default`, by variant."""


COLUMNS = {
    "boxes: image": ("boxes", "image AUROC"),
    "boxes: pixel": ("boxes", "pixel AUROC"),
    "boxes: pooled": ("boxes", "pooled pixel AUROC"),
    "boxes: pointing": ("boxes", "pointing game"),
    "consolidation: image": ("second-readers", "image AUROC"),
    "consolidation: pixel": ("second-readers", "pixel AUROC"),
    "consolidation: pooled": ("second-readers", "pooled pixel AUROC"),
    "consolidation: pointing": ("second-readers", "pointing game"),
    "COVID: pixel": ("lesions", "pixel AUROC"),
    "COVID: pooled": ("lesions", "pooled pixel AUROC"),
    "COVID: pointing": ("lesions", "pointing game"),
    "extent": ("severity", "rank correlation"),
    "folder test": ("boxes", "folder test"),
}
"""The source and the metric of each column; of a source its first part."""
WITH_INTERVALS = (
    "boxes: image",
    "consolidation: image",
    "boxes: pixel",
    "consolidation: pixel",
    "COVID: pixel",
    "extent",
    "folder test",
)
"""Columns whose differences from `default` are shown."""
PACEMAKER = ("pacemaker, at the fit's threshold", "pacemaker, at 0.1 of these images")
N_PAINTED = 40
"""Number of normal images that a pacemaker is painted into."""


@attrs.frozen(kw_only=True)
class Result:
    """The figures of a variant, in the order of `COLUMNS`, and what a pacemaker does.

    `pacemaker` holds how many images became anomalous, and how many were not before: at the
    threshold of the fit, and at the conformal one of the images without pacemakers.
    """

    values: list[Estimate]
    differences: list[Estimate]
    pacemaker: list[list[int]]

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read what was written."""
        record = json.loads(file.read_text(encoding="utf-8"))
        return cls(
            values=[Estimate(**each) for each in record["values"]],
            differences=[Estimate(**each) for each in record["differences"]],
            pacemaker=record["pacemaker"],
        )


def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    study = Study.read(arguments.data / "cxr")
    sources = sources_of_columns(arguments.data)
    painted_on = one_image_per_patient(
        arguments.data / "cxr" / "normal", arguments.data / "cxr" / "metadata.csv"
    )[:N_PAINTED]

    @cache
    def fitted(name: str) -> Pipeline:
        return study.fitted(
            lungpatch.load_preset("default", changes=VARIANTS[name]),
            arguments.out / f"{file_stem(name)}.lungpatch",
            half_of_patients(study) if name == HALF else None,
        )

    @cache
    def of_default() -> list[Measured]:
        return measure(fitted("default"), sources, study)

    results = {}
    for name in VARIANTS:
        file = arguments.out / f"{file_stem(name)}.json"
        if not file.exists():
            result = compare(
                of_default() if name == "default" else measure(fitted(name), sources, study),
                of_default(),
                pacemaker=made_anomalous(fitted(name), painted_on),
            )
            write_json(file, attrs.asdict(result))
        results[name] = Result.read(file)
    write_table("ablation", table_of(results), arguments.out, publish=arguments.publish)


def file_stem(name: str) -> str:
    return name.replace("`", "").replace(" ", "-")


def sources_of_columns(data: Path) -> list[Source]:
    names = dict.fromkeys(source for source, _ in COLUMNS.values())
    return [attrs.evolve(source, parts=source.parts[:1]) for source in load_sources(data, [*names])]


def half_of_patients(study: Study) -> list[Path]:
    kept = set(sorted({study.patients[image.name] for image in study.training})[::2])
    return [image for image in study.training if study.patients[image.name] in kept]


@attrs.frozen(kw_only=True)
class Measured:
    """A metric of a column: its value, and how it follows from how often images are drawn."""

    value: Estimate
    statistic: Statistic
    patients: Sequence[str]


def measure(pipeline: Pipeline, sources: Sequence[Source], study: Study) -> list[Measured]:
    """Evaluate a fitted pipeline; the metrics are in the order of `COLUMNS`."""
    name = "this"
    evaluation = evaluate_sources(
        {name: pipeline}, sources, study.split, segmenter=lungpatch.UNetSegmenter()
    )
    rows = {source.name: evaluation.row(source.name) for source in evaluation.sources}
    statistics = {
        source.name: part_statistics(
            source.parts[0], rows[source.name].cases, rows[source.name].predictions[name]
        )
        for source in evaluation.sources
    }
    return [
        Measured(
            value=rows[source].metrics[name][metric],
            statistic=statistics[source][metric],
            patients=[case.patient for case in rows[source].cases],
        )
        for source, metric in COLUMNS.values()
    ]


def compare(
    variant: Sequence[Measured], default: Sequence[Measured], *, pacemaker: list[list[int]]
) -> Result:
    return Result(
        values=[each.value for each in variant],
        differences=[
            estimate(
                difference(one.statistic, other.statistic),
                patient_weights(one.patients, N_RESAMPLES, np.random.default_rng(0)),
            )
            for one, other in zip(variant, default, strict=True)
        ],
        pacemaker=pacemaker,
    )


def made_anomalous(pipeline: Pipeline, images: Sequence[Path]) -> list[list[int]]:
    """Return how many images a painted pacemaker makes anomalous, and how many were not before.

    At two thresholds, as in `Result`.
    """
    kind = "pacemaker"
    first_seed = CONFOUNDER_KINDS.index(kind) * len(images)  # as in confounders.py
    before = [found for found in pipeline.detect_many(images) if usable(found)]
    painted = [
        paint_confounder(
            found.image, LungMask(pixels=found.native_lungs), kind, np.random.default_rng(seed)
        ).image
        for seed, found in enumerate(before, start=first_seed)
    ]
    pairs = np.array(
        [
            (without.pred_score, found.pred_score)
            for without, found in zip(before, pipeline.detect_many(painted), strict=True)
            if usable(found)
        ]
    )
    of_images = lungpatch.ConformalThresholder(alpha=0.1).fit(pairs[:, 0]).threshold_
    counts = []
    for threshold in (before[0].decision.threshold, of_images):
        normal = pairs[:, 0] <= threshold
        counts.append([int((pairs[normal, 1] > threshold).sum()), int(normal.sum())])
    return counts


def table_of(results: Mapping[str, Result]) -> str:
    """Return the values of all variants, and how they differ from `default`, as two tables.

    A value whose difference has an interval of 95 % without 0 is bold.
    """
    values = [
        [
            name,
            *(
                f"**{value.value:.2f}**" if differs(change) else f"{value.value:.2f}"
                for value, change in zip(result.values, result.differences, strict=True)
            ),
            *("{} of {}".format(*counts) for counts in result.pacemaker),
        ]
        for name, result in results.items()
    ]
    shown = [list(COLUMNS).index(heading) for heading in WITH_INTERVALS]
    default = [str(results["default"].values[number]) for number in shown]
    changes = [
        [name, *(signed(result.differences[number]) for number in shown)]
        for name, result in results.items()
        if name != "default"
    ]
    return "\n".join(
        (
            markdown_table(("variant", *COLUMNS, *PACEMAKER), values),
            "`default` with its intervals of 95 %, and the differences of the others from it:\n",
            markdown_table(("variant", *WITH_INTERVALS), [["default", *default], *changes]),
        )
    )


def differs(change: Estimate) -> bool:
    return change.low > 0 or change.high < 0


def signed(change: Estimate) -> str:
    return f"{change.value:+.2f} [{change.low:+.2f}, {change.high:+.2f}]"


if __name__ == "__main__":
    main()
