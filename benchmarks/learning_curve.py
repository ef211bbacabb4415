"""Whether more normal images would help: the lesion head fitted to a part of the patients.

    python benchmarks/learning_curve.py --data ../shared/data/cxr --out curve

`benchmarks/detectors/lesion-head-lung.toml`, fitted to an eighth, a quarter, a half and all of the
patients of the training part of split `cxr-half`, and evaluated on the images held out by the
protocol of `lungpatch evaluate`. Writes the table `curve.inc`. A pipeline that is in `--out`
already is not fitted again.
"""

from __future__ import annotations

from study import Study, parser_of, unfitted
from tables import markdown_table, write_table

import lungpatch

DETECTOR = "lesion-head-lung"
PARTS = (8, 4, 2, 1)
METRICS = ("image AUROC", "patch AUROC", "pixel AUROC", "pointing game", "folder test")


def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    study = Study.read(arguments.data)
    owners = sorted({study.patients[image.name] for image in study.training})
    pipelines = {}
    for part in PARTS:
        kept = set(owners[::part])
        images = [image for image in study.training if study.patients[image.name] in kept]
        pipeline = unfitted(DETECTOR)
        # Conformal ones need more images.
        pipeline.thresholder = lungpatch.QuantileThresholder()
        pipeline.region_thresholder = lungpatch.QuantileThresholder()
        saved = arguments.out / f"images-{len(images)}.lungpatch"
        pipelines[str(len(images))] = study.fitted(pipeline, saved, images)
    rows = study.evaluate(pipelines).table("all")
    table = markdown_table(
        ("normal images", *METRICS),
        [[name, *(rows[name][metric] for metric in METRICS)] for name in pipelines],
    )
    write_table("curve", table, arguments.out, publish=arguments.publish)


if __name__ == "__main__":
    main()
