"""The results of a reproduction as tables, for the report and for the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from lungpatch.reference.conclusions import with_interval
from lungpatch.reference.settings import CLASSIFIER_IMAGES, GRID_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN = "-"
"""Cell of what is not known, or not given by the paper."""


@attrs.frozen
class Table:
    """A header, and rows as long as the header.

    Examples
    --------
    >>> print(Table(("image", "score"), [("a", 0.5)]).to_markdown())
    | image | score |
    |---|---|
    | a | 0.5 |
    """

    header: tuple[str, ...]
    rows: list[tuple[object, ...]]

    def to_markdown(self) -> str:
        """Return the table as Markdown, without a line break at the end."""
        lines = [self.header, *self.rows]
        header, *rows = ["| " + " | ".join(map(str, line)) + " |" for line in lines]
        return "\n".join([header, "|" + "---|" * len(self.header), *rows])


def result_tables(results: Mapping[str, Any]) -> dict[str, Table]:
    """Return what a reproduction found as tables.

    Parameters
    ----------
    results : mapping
        Content of ``results.json``.

    Returns
    -------
    dict of str to Table
        By name: ``patches``, ``scores``, ``losses``, ``kinds``, ``images``, ``proposals`` and,
        where the two-class CNN was trained, ``classifier``.
    """
    values = {name: stage["values"] for name, stage in results["stages"].items()}
    kinds = results["kinds"]
    tables = {
        "patches": _patches(values["patches"]),
        "scores": _scores(values["model"], values["scores"]),
        "losses": _losses(values["losses"], kinds),
        "kinds": _kinds(values["claims"]),
        "images": _images(values["claims"]),
        "proposals": _proposals(values["proposals"], kinds),
    }
    if "skipped" not in values["classifier"]:
        tables["classifier"] = classifier_table(values["classifier"])
    return tables


def _patches(values: Mapping[str, Any]) -> Table:
    paper = values["paper"]
    n_used = sum(count for role, count in values["normal_images"].items() if role != "held")
    return Table(
        ("patches", "paper", "here"),
        [
            ("normal images for training, validation and test", paper["normal_images"], n_used),
            *(
                (f"{role} patches", f"{paper['normal_patches'][role]:,}", f"{count:,}")
                for role, count in values["normal_patches"].items()
            ),
            (
                "patches per normal image",
                f"{paper['normal_patches_per_image_by_its_totals']:.1f} by its totals, about "
                f"{paper['normal_patches_per_image_by_its_text']} by its text",
                f"{values['normal_patches_per_image']:.1f}",
            ),
            ("pneumonia images", paper["pneumonia_images"], values["pneumonia_images"]),
            (
                "patches per pneumonia image",
                f"{paper['pneumonia_patches_per_image']:.0f}; its sizes give "
                f"{values['positions_of_the_stated_sizes']}",
                f"{values['pneumonia_patches_per_image']} (with a last row and column flush)",
            ),
        ],
    )


def _scores(model: Mapping[str, Any], scores: Mapping[str, Any]) -> Table:
    paper, pneumonia = scores["paper"], scores["pneumonia"]
    return Table(
        ("mean SAD, grey levels", "paper", "here"),
        [
            ("normal test patches", paper["normal_sad"], f"{model['test_sad']['mean']:.2f}"),
            (
                "patches of pneumonia images",
                paper["pneumonia_sad"],
                f"{pneumonia['mean_sad']:.2f}",
            ),
            *(
                (f"of them {kind} ({row['patches']:,})", UNKNOWN, f"{row['mean_sad']:.2f}")
                for kind, row in pneumonia["by_kind"].items()
            ),
        ],
    )


def _losses(values: Mapping[str, Any], kinds: list[str]) -> Table:
    header = (
        "network",
        "loss",
        "output",
        "SAD",
        "mean output",
        "outputs, 1 to 99 %",
        "white",
        "light meter",
        f"AUROC: {', '.join(kinds[1:])}",
    )
    rows: list[tuple[object, ...]] = []
    for row in values["rows"]:
        head = (row["network"], row["loss"], row["output"])
        if "failed" in row:
            rows.append((*head, *(UNKNOWN,) * 5, f"failed: {row['failed']}"))
            continue
        rows.append(
            (
                *head,
                f"{row['sad']:.1f}",
                f"{row['output_mean']:.0f}",
                f"{row['output_low']:.0f} to {row['output_high']:.0f}",
                f"{row['white']:.0%}",
                _value(row["light_meter"]),
                _aurocs(row, kinds),
            )
        )
    return Table(header, rows)


def _kinds(claims: Mapping[str, Any]) -> Table:
    return Table(
        ("expected lower SAD", "expected higher", "AUROC", "overlap"),
        [
            (
                row["lower"],
                row["higher"],
                with_interval(row["auroc"], row["interval"]),
                f"{row['overlap']:.2f}",
            )
            for row in claims["pairs"]
        ],
    )


def _images(claims: Mapping[str, Any]) -> Table:
    names = dict.fromkeys(name for row in claims["images"] for name in row["auroc"])
    return Table(
        ("AUROC of whole images", "images", *names),
        [
            (
                row["comparison"],
                f"{row['n_lower']} / {row['n_higher']}",
                *(
                    with_interval(row["auroc"][name], row["intervals"][name])
                    if name in row["auroc"]
                    else UNKNOWN
                    for name in names
                ),
            )
            for row in claims["images"]
        ],
    )


def _proposals(values: Mapping[str, Any], kinds: list[str]) -> Table:
    header = (
        "proposal",
        f"AUROC: {', '.join(kinds[1:])}",
        "balanced accuracy",
        "adjusted Rand",
        "separated?",
    )
    rows: list[tuple[object, ...]] = []
    for row in values["rows"]:
        if "skipped" in row:
            rows.append((row["name"], *(UNKNOWN,) * 3, f"not tried: {row['skipped']}"))
            continue
        rows.append(
            (
                row["name"],
                _aurocs(row, kinds),
                _value(row["balanced_accuracy"]),
                _value(row["adjusted_rand"]),
                row["separated"],
            )
        )
    return Table(header, rows)


def classifier_table(values: Mapping[str, Any], *, here: str = "here") -> Table:
    """Return what the two-class CNN found as a table.

    Parameters
    ----------
    values : mapping
        As `lungpatch.reference.preliminary.run_preliminary` returns them.
    here : str
        Header of the column with these values.

    Returns
    -------
    Table
    """
    test = values["test"]
    images = {role: f"{sum(counts.values()):,}" for role, counts in values["images"].items()}
    rows: list[tuple[object, ...]] = [
        ("side of the images, pixels", GRID_SIZE, values["image_size"]),
        ("training images", f"{sum(CLASSIFIER_IMAGES.values()):,}", images["training"]),
        ("validation images", UNKNOWN, images["validation"]),
        ("epochs; the one kept", UNKNOWN, f"{values['epochs']}; {values['best_epoch']}"),
        ("test images", UNKNOWN, test["n_images"]),
        ("accuracy", f"{values['paper_accuracy']:.1%}", f"{test['accuracy']:.1%}"),
        (
            "accuracy of predicting the more frequent class",
            UNKNOWN,
            f"{test['majority']:.1%}",
        ),
        ("AUROC", UNKNOWN, f"{test['auroc']:.3f}"),
        (
            "sensitivity, specificity",
            UNKNOWN,
            f"{test['sensitivity']:.2f}, {test['specificity']:.2f}",
        ),
        ("confusion, rows true", UNKNOWN, test["confusion"]),
    ]
    attention = values.get("attention")
    if attention and attention["fraction"] is not None:
        rows += [
            ("fraction of Grad-CAM within the lungs", UNKNOWN, f"{attention['fraction']:.1%}"),
            ("fraction of the image that is lung", UNKNOWN, f"{attention['chance']:.1%}"),
            (
                "test images with more Grad-CAM in the lungs than that",
                UNKNOWN,
                f"{attention['n_above_chance']} of {attention['n_images']}",
            ),
        ]
    if attention and attention["n_empty"]:
        rows.append(("test images on which Grad-CAM is empty", UNKNOWN, attention["n_empty"]))
    return Table(("two-class CNN", "paper", here), rows)


def _aurocs(row: Mapping[str, Any], kinds: list[str]) -> str:
    return ", ".join(_value(row["aurocs"].get(kind)) for kind in kinds[1:])


def _value(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"
