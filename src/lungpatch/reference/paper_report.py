"""The report of a reproduction: one page that reads like a short paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lungpatch._utils.html_page import HtmlPage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CAPTIONS = {
    "figure-01": "Figure 1. Images of the two classes.",
    "figure-02": "Figure 2. Grad-CAM of the two-class CNN, for the class it calls each image; the "
    "lungs are outlined.",
    "figure-03": "Figure 3. Patches of normal lungs.",
    "figure-04": "Figure 4. Patches from all over images of pneumonia.",
    "figure-05-normal": "Figure 5. A normal image, its lungs, and the background in one colour.",
    "figure-05-pneumonia": "Figure 5, on an image of pneumonia, where the paper's segmenter failed.",
    "figure-06": "Figure 6. The network.",
    "figure-07": "Figure 7. Normal patches, their reconstructions, and both histograms.",
    "figure-08": "Figure 8. The same of patches of pneumonia images.",
    "figure-09": "Figure 9. SAD of the patches of pneumonia images, and of each kind.",
    "figure-10": "Figure 10. Patches framed by their SAD: lower, middle and upper third.",
    "table-1": "Table 1. The rule that turns a SAD into a kind; thresholds by multi-level Otsu.",
    "table-1-confusion": "What patches are (rows) and what table 1's rule calls them (columns).",
    "two-class-confusion": "Confusion table of the two-class CNN on its test images.",
}


def write_report(results: Mapping[str, Any], pictures: Mapping[str, Path], path: Path) -> Path:
    """Write the report of a reproduction as one self-contained page.

    Parameters
    ----------
    results : mapping
        What ``results.json`` holds.
    pictures : mapping of str to pathlib.Path
        PNG files by the names in `CAPTIONS`.
    path : path

    Returns
    -------
    pathlib.Path
        ``path``.
    """
    found = {name: stage["figures"] for name, stage in results["stages"].items()}
    page = HtmlPage("The paper, reproduced")

    def show(*names: str) -> None:
        for name in names:
            if name in pictures:
                with Image.open(pictures[name]) as image:
                    pixels = np.asarray(image.convert("RGB"))
                page.picture(pixels, caption=CAPTIONS[name], alt=CAPTIONS[name])

    _claim(page, results, found)
    page.heading("Preliminary experiment: a two-class CNN")
    show("figure-01")
    _classifier(page, found)
    show("figure-02", "two-class-confusion")
    page.heading("Patches")
    _patches(page, found)
    show("figure-05-normal", "figure-05-pneumonia", "figure-03", "figure-04")
    page.heading("Network and reconstructions")
    _model(page, found)
    show("figure-06", "figure-07", "figure-08")
    page.heading("Losses")
    _losses(page, found["losses"], results["kinds"])
    page.heading("Scores and kinds")
    _kinds(page, found, results)
    show("figure-09", "table-1", "table-1-confusion", "figure-10")
    page.heading("Normal against pneumonia, and the confounders")
    _images(page, found["verdict"])
    page.heading("The paper's proposals")
    _proposals(page, found["proposals"], results["kinds"])
    page.heading("Verdict")
    for sentence in verdict_sentences(results):
        page.paragraph(sentence)
    page.heading("Settings")
    page.paragraph(
        f"lungpatch {results['lungpatch']}; data {results['data']['name']}; seed "
        f"{results['settings']['seed']}. Every figure with its setting is in results.json."
    )
    page.table(list(results["settings"].items()), header=("setting", "value"))
    page.table(
        [(name, f"{stage['seconds']:.0f}") for name, stage in results["stages"].items()],
        header=("stage", "seconds"),
    )
    page.write(path)
    return path


def verdict_sentences(results: Mapping[str, Any]) -> list[str]:
    """Say in words what came out.

    Parameters
    ----------
    results : mapping
        What ``results.json`` holds.

    Returns
    -------
    list of str
        A sentence or two for each of the paper's conclusions.
    """
    found = {name: stage["figures"] for name, stage in results["stages"].items()}
    verdict, sentences = found["verdict"], []
    dip = verdict["dip_as_many_as_the_paper"]
    everything = verdict["dip_all"]
    peaks = "1 peak" if everything["modes"] == 1 else f"{everything['modes']} peaks"
    sentences.append(
        f"One peak: with {dip['n_scores']:,} patches of pneumonia images Hartigan's dip is "
        f"{dip['dip']:.4f}, p = {dip['p_value']:.2g}, so one mode {_stands(dip)}; with all "
        f"{everything['n_scores']:,}, p = {everything['p_value']:.2g}, it {_stands(everything)} (a "
        f"smoothed density has {peaks}). Overlapping patches are not independent, which favours "
        "rejection."
    )
    rule = verdict["table_1"]
    if "skipped" in rule:
        sentences.append(f"Three thresholds: not tested, {rule['skipped']}.")
    else:
        sentences.append(
            f"Three kinds: table 1's rule has a balanced accuracy of "
            f"{rule['balanced_accuracy']:.2f} (chance {1 / len(rule['kinds']):.2f}); no thresholds "
            f"whatever, chosen with the labels, exceed {rule['best_balanced_accuracy']:.2f}, with "
            f"the kinds in the order {', '.join(rule['best_order'])}."
        )
    sentences += [
        f"{row['higher'].capitalize()} against {row['lower']}: AUROC of SAD "
        f"{_with_interval(row)}, overlap {row['overlap']:.2f}."
        for row in verdict["pairs"]
    ]
    apart = verdict["patches_of_normal_and_pneumonia_films"]
    sentences.append(
        f"Patches of lung of normal and of pneumonia images: AUROC {_with_interval(apart)} by SAD, "
        f"{apart['auroc_of_grey']:.2f} by their mean grey alone."
    )
    name = "mean SAD of the lung"
    for row in verdict["images"]:
        if name in row["auroc"] and "only" not in row["comparison"]:
            low, high = row["intervals"][name]
            best, control = max(
                (max(value, 1 - value), key) for key, value in row["auroc"].items() if key != name
            )
            sentences.append(
                f"Whole images, {row['comparison']} ({row['n_lower']} and {row['n_higher']}): AUROC "
                f"{row['auroc'][name]:.2f} [{low:.2f}, {high:.2f}] by mean SAD; the best "
                f"{control} reaches {best:.2f}, whichever way round."
            )
    sentences += _folder_test(verdict["images"], name)
    tried = [row for row in found["proposals"]["rows"] if "skipped" not in row]
    worked = [row["name"] for row in tried if row["separated"] == "yes"]
    partly = [row["name"] for row in tried if row["separated"] == "partly"]
    sentences.append(
        f"Of {len(tried)} proposals tried, these separate the three kinds: "
        f"{'; '.join(worked) or 'none'}. Partly: {'; '.join(partly) or 'none'}."
    )
    if "test" in found["classifier"]:
        test = found["classifier"]["test"]
        sentences.append(
            f"The two-class CNN: accuracy {test['accuracy']:.1%} on {test['n_images']} test images "
            f"(the paper: {found['classifier']['paper_accuracy']:.1%}; calling all by the more "
            f"frequent class: {test['majority']:.1%}), AUROC {test['auroc']:.2f}."
        )
    attention = found["classifier"].get("attention_pneumonia")
    if attention and attention["share"] is not None:
        sentences.append(
            f"Where it looks: {attention['share']:.0%} of Grad-CAM's mass on images of pneumonia "
            f"lies within the lungs; spread evenly over the image it would be "
            f"{attention['chance']:.0%}."
        )
    elif attention and attention["n_empty"]:
        sentences.append(
            f"Where it looks: Grad-CAM is empty on the {attention['n_empty']} images of pneumonia "
            "tried, since no place in them speaks for the class that the network calls them."
        )
    return sentences


def _folder_test(rows: list[Mapping[str, Any]], name: str) -> list[str]:
    """Say whether what tells the folders apart is disease."""
    tests = [row for row in rows if row["comparison"].startswith("folder test")]
    if not tests or name not in tests[0]["auroc"]:
        return []
    low, high = tests[0]["intervals"][name]
    if low <= 0.5 <= high:
        return ["The folder test does not show that SAD tells the folders apart without disease."]
    return [
        "So the difference between the folders does not survive the folder test: SAD tells the "
        "normal folder from images of the pneumonia folder that readers called Normal. What it "
        "sees there is how the images were made."
    ]


def _claim(page: HtmlPage, results: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    images = found["images"]["images"]
    page.paragraph(
        "Claim. Nagamura, Tokunaga and Okita (Pneumonia Detection Using Anomaly Detection by "
        "U-net) train a U-Net to reconstruct small patches of normal lung and ask whether patches "
        "with pneumonia are reconstructed worse. They report that they are not told apart: the "
        "scores of pneumonia patches have one peak, and no threshold separates normal lung, "
        "opacity and what lies outside the lung."
    )
    boxes = (
        f"Boxes around opacities are known on {found['images']['boxed']} images."
        if results["data"]["boxed"]
        else "No boxes are known, so that opacity cannot be told from normal lung within images "
        "of pneumonia; lung of pneumonia images stands in for it."
    )
    page.paragraph(
        f"What we did. The same, with the stated sizes, on {images['normal']} normal and "
        f"{images['pneumonia']} pneumonia images of {results['data']['name']}. {boxes}"
    )
    page.paragraph("What came out, in short:")
    for sentence in verdict_sentences(results):
        page.paragraph(sentence)


def _classifier(page: HtmlPage, found: Mapping[str, Any]) -> None:
    figures = found["classifier"]
    if "skipped" in figures:
        page.paragraph(f"Not run: {figures['skipped']}.")
        return
    test, validation = figures["test"], figures["images"]["validation"]
    others = (
        "of other patients" if found["images"]["patients"] else "(of which patients is not known)"
    )
    page.paragraph(
        f"At {figures['image_size']} pixels, trained on {figures['images']['training']['normal']} "
        f"normal and {figures['images']['training']['pneumonia']} pneumonia images (a normal image "
        f"counts {figures['normal_weight']:.2f} times); of {figures['epochs']} epochs, number "
        f"{figures['best_epoch']} is kept, which has the lowest loss on {validation['normal']} "
        f"normal and {validation['pneumonia']} pneumonia images {others}, for validation: accuracy "
        f"{test['accuracy']:.1%} on {test['n_images']} test images {others} (the paper: "
        f"{figures['paper_accuracy']:.1%}; calling all by the more frequent class: "
        f"{test['majority']:.1%}), AUROC {test['auroc']:.3f}, sensitivity "
        f"{test['sensitivity']:.2f}, specificity {test['specificity']:.2f}."
    )
    for name, what in (("attention", "all"), ("attention_pneumonia", "pneumonia")):
        attention = figures.get(name)
        if attention and attention["share"] is not None:
            page.paragraph(
                f"Grad-CAM on {attention['n_images']} test images ({what}): "
                f"{attention['share']:.1%} of its mass lies within the lungs; lungs are "
                f"{attention['chance']:.1%} of the image; above that chance on "
                f"{attention['n_above_chance']} images."
            )
        if attention and attention["n_empty"]:
            page.paragraph(
                f"It is empty on {attention['n_empty']} test images ({what}): no place in them "
                "speaks for the class that the network calls them."
            )


def _patches(page: HtmlPage, found: Mapping[str, Any]) -> None:
    ours, paper = found["patches"], found["patches"]["paper"]
    status = ", ".join(f"{count} {name}" for name, count in found["images"]["status"].items())
    page.paragraph(f"Images by what the segmenter made of them: {status}.")
    rows: list[tuple[str, object, object]] = [
        ("normal images learnt from", paper["normal_films"], _learnt_images(ours)),
    ]
    rows += [
        (f"{role} patches", f"{paper['normal_patches'][role]:,}", f"{count:,}")
        for role, count in ours["normal_patches"].items()
    ]
    rows += [
        (
            "patches a normal image",
            f"{paper['normal_patches_a_film_by_its_totals']:.1f} by its totals, about "
            f"{paper['normal_patches_a_film_by_its_text']} by its text",
            f"{ours['normal_patches_a_film']:.1f}",
        ),
        ("pneumonia images", paper["pneumonia_films"], ours["pneumonia_films"]),
        (
            "patches a pneumonia image",
            f"{paper['pneumonia_patches_a_film']:.0f}; its sizes give "
            f"{ours['places_of_the_stated_sizes']}",
            f"{ours['pneumonia_patches_a_film']} (with a last row and column flush)",
        ),
    ]
    page.table(rows, header=("", "the paper", "here"))


def _learnt_images(ours: Mapping[str, Any]) -> int:
    return sum(count for role, count in ours["normal_films"].items() if role != "held")


def _model(page: HtmlPage, found: Mapping[str, Any]) -> None:
    model, scores = found["model"], found["scores"]
    collapse = model["identity_shortcut"]
    page.paragraph(
        f"A U-Net with the squared Dice loss. SAD of normal test patches: mean "
        f"{model['test_sad']['mean']:.2f} grey levels, lowest {model['test_sad']['lowest']:.2f} "
        f"(the paper: near {model['paper_normal_sad']:.0f}, never 0). Of patches of pneumonia "
        f"images: {scores['pneumonia']['mean_sad']:.2f} (the paper: around "
        f"{scores['paper']['pneumonia_sad']:.0f})."
    )
    if collapse is not None:
        page.paragraph(
            f"Identity shortcut {collapse:.2f}: 0 would restore normal lung under an opacity, 1 "
            "copies the opacity."
        )
    page.table(
        [
            (kind, f"{row['patches']:,}", f"{row['mean_sad']:.2f}")
            for kind, row in scores["pneumonia"]["by_kind"].items()
        ],
        header=("patches of pneumonia images", "number", "mean SAD"),
    )


def _losses(page: HtmlPage, figures: Mapping[str, Any], kinds: list[str]) -> None:
    page.paragraph(
        "The printed Dice loss, 2 sum IJ / sum (I + J) without squares, is not lowest at J = I but "
        "at a black and white patch, for most patches all white; then SAD is 255 less the grey "
        "level, a light meter. With a linear output it has no lowest value at all. Outputs below "
        "are of normal test patches, in grey levels; the light meter column is the correlation of "
        "SAD with the patch's darkness."
    )
    rows = []
    for row in figures["rows"]:
        head = (row["network"], row["loss"], row["output"])
        if "failed" in row:
            rows.append((*head, *("-",) * 5, row["failed"]))
            continue
        aurocs = ", ".join(
            "unknown" if row["aurocs"][kind] is None else f"{row['aurocs'][kind]:.2f}"
            for kind in kinds[1:]
        )
        rows.append(
            (
                *head,
                f"{row['sad']:.1f}",
                f"{row['output_mean']:.0f}",
                f"{row['output_low']:.0f} to {row['output_high']:.0f}",
                f"{row['white']:.0%}",
                "-" if row["light_meter"] is None else f"{row['light_meter']:.2f}",
                aurocs,
            )
        )
    page.table(
        rows,
        header=(
            "network",
            "loss",
            "output",
            "SAD",
            "mean output",
            "1 to 99 %",
            "white",
            "light meter",
            f"AUROC against {kinds[0]} of: {', '.join(kinds[1:])}",
        ),
    )


def _kinds(page: HtmlPage, found: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    verdict = found["verdict"]
    page.paragraph(
        f"Kinds of patches on {verdict['n_films_of_the_kinds']} images; AUROC is the chance that a "
        "patch of the second kind scores above one of the first, its interval resamples images; "
        "overlap is the area that two densities share."
    )
    page.table(
        [
            (row["lower"], row["higher"], _with_interval(row), f"{row['overlap']:.2f}")
            for row in verdict["pairs"]
        ],
        header=("expected lower", "expected higher", "AUROC", "overlap"),
    )


def _images(page: HtmlPage, verdict: Mapping[str, Any]) -> None:
    page.paragraph(
        "AUROC of a value of the whole image. A control knows nothing of disease: where it does as "
        "well, the comparison measures how the images were made."
    )
    names = list(dict.fromkeys(name for row in verdict["images"] for name in row["auroc"]))
    page.table(
        [
            (
                row["comparison"],
                f"{row['n_lower']} / {row['n_higher']}",
                *(
                    f"{row['auroc'][name]:.2f} [{row['intervals'][name][0]:.2f}, "
                    f"{row['intervals'][name][1]:.2f}]"
                    if name in row["auroc"]
                    else "-"
                    for name in names
                ),
            )
            for row in verdict["images"]
        ],
        header=("comparison", "images", *names),
    )


def _proposals(page: HtmlPage, figures: Mapping[str, Any], kinds: list[str]) -> None:
    page.paragraph(
        "Each as a row: AUROC of the SAD of each kind against normal lung, the balanced accuracy "
        "of three classes (1/3 by chance) and the adjusted Rand index (0 by chance). Clusters are "
        "named so that they fit best, which flatters them."
    )
    rows = []
    for row in figures["rows"]:
        if "skipped" in row:
            rows.append((row["name"], "-", "-", "-", f"not tried: {row['skipped']}"))
            continue
        values = [row["aurocs"].get(kind) for kind in kinds[1:]]
        rows.append(
            (
                row["name"],
                ", ".join("-" if value is None else f"{value:.2f}" for value in values),
                f"{row['balanced_accuracy']:.2f}",
                f"{row['adjusted_rand']:.2f}",
                row["separated"],
            )
        )
    page.table(
        rows,
        header=(
            "proposal",
            f"AUROC: {', '.join(kinds[1:])}",
            "balanced accuracy",
            "adjusted Rand",
            "separated the kinds?",
        ),
    )


def _with_interval(row: Mapping[str, Any]) -> str:
    low, high = row["interval"]
    return f"{row['auroc']:.2f} [{low:.2f}, {high:.2f}]"


def _stands(dip: Mapping[str, Any]) -> str:
    return "stands" if dip["one_mode"] else "is rejected"
