"""The results of a reproduction in words: a sentence or two for each of the paper's claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lungpatch.reference.claim_checks import SAD_OF_IMAGE
from lungpatch.reference.proposals import degree_of_separation

if TYPE_CHECKING:
    from collections.abc import Mapping


def conclusions(results: Mapping[str, Any]) -> list[str]:
    """Say in words what a reproduction found.

    Parameters
    ----------
    results : mapping
        Content of ``results.json``.

    Returns
    -------
    list of str
        A sentence or two for each of the paper's claims.
    """
    values = {name: stage["values"] for name, stage in results["stages"].items()}
    claims = values["claims"]
    return [
        _one_peak(claims),
        _three_kinds(claims["table_1"]),
        *(_pair(row) for row in claims["pairs"]),
        _lungs(claims["patches_of_normal_and_pneumonia_images"]),
        *_whole_images(claims["images"]),
        *_folder_test(claims["images"]),
        _proposals(values["proposals"]["rows"]),
        *_classifier(values["classifier"]),
        *_attention(values["classifier"]),
    ]


def verdict(results: Mapping[str, Any]) -> str:
    """Say whether the paper's main result holds: that no threshold separates the three kinds.

    Parameters
    ----------
    results : mapping
        Content of ``results.json``.

    Returns
    -------
    str
        Two or three sentences.
    """
    claims, kinds = results["stages"]["claims"]["values"], results["kinds"]
    rule = claims["table_1"]
    if "skipped" in rule:
        answer = f"The paper's main result could not be tested: {rule['skipped']}."
    else:
        accuracy, chance = rule["best_balanced_accuracy"], 1 / len(rule["kinds"])
        answer = _ANSWERS[degree_of_separation(accuracy)] + (
            f" ({', '.join(kinds)}). Even thresholds that are chosen with the labels reach a "
            f"balanced accuracy of {accuracy:.2f} ({chance:.2f} by chance, 1 at best)."
        )
    pairs = [row for row in claims["pairs"] if {row["lower"], row["higher"]} == set(kinds[:2])]
    for row in pairs:
        auroc = with_interval(row["auroc"], row["interval"])
        answer += (
            f" A patch of {row['higher']} scores above one of {row['lower']} with probability "
            f"{auroc} (0.50 by chance)."
        )
    return answer


_ANSWERS = {
    "no": "The paper's negative result holds: its score does not separate patches of three kinds",
    "partly": "The paper's negative result holds in part: its score separates patches of three "
    "kinds, but not well",
    "yes": "The paper's negative result does not hold: its score separates patches of three kinds",
}


def with_interval(auroc: float, interval: tuple[float, float]) -> str:
    """Return an AUROC with its interval as text.

    Examples
    --------
    >>> with_interval(0.512, (0.4, 0.61))
    '0.51 [0.40, 0.61]'
    """
    low, high = interval
    return f"{auroc:.2f} [{low:.2f}, {high:.2f}]"


def _one_peak(claims: Mapping[str, Any]) -> str:
    some, everything = claims["dip_as_many_as_the_paper"], claims["dip_all"]
    peaks = "1 peak" if everything["modes"] == 1 else f"{everything['modes']} peaks"
    return (
        f"One peak: with {some['n_scores']:,} patches of pneumonia images Hartigan's dip is "
        f"{some['dip']:.4f}, p = {some['p_value']:.2g}, so one mode {_rejected(some)}; with all "
        f"{everything['n_scores']:,}, p = {everything['p_value']:.2g}, it {_rejected(everything)} "
        f"(a smoothed density has {peaks}). Overlapping patches are not independent, which makes "
        "rejection more likely."
    )


def _rejected(dip: Mapping[str, Any]) -> str:
    return "is not rejected" if dip["one_mode"] else "is rejected"


def _three_kinds(rule: Mapping[str, Any]) -> str:
    if "skipped" in rule:
        return f"Three thresholds: not tested, {rule['skipped']}."
    return (
        f"Three kinds: table 1's rule has a balanced accuracy of "
        f"{rule['balanced_accuracy']:.2f} (chance {1 / len(rule['kinds']):.2f}); no thresholds, "
        f"even chosen with the labels, exceed {rule['best_balanced_accuracy']:.2f}, with the kinds "
        f"in the order {', '.join(rule['best_order'])}."
    )


def _pair(row: Mapping[str, Any]) -> str:
    return (
        f"{row['higher'].capitalize()} against {row['lower']}: AUROC of SAD "
        f"{with_interval(row['auroc'], row['interval'])}, overlap {row['overlap']:.2f}."
    )


def _lungs(row: Mapping[str, Any]) -> str:
    return (
        f"Patches of lung of normal and of pneumonia images: AUROC "
        f"{with_interval(row['auroc'], row['interval'])} by SAD, {row['auroc_of_grey']:.2f} by "
        "their mean grey level alone."
    )


def _whole_images(rows: list[Mapping[str, Any]]) -> list[str]:
    sentences = []
    for row in rows:
        if SAD_OF_IMAGE not in row["auroc"] or "only" in row["comparison"]:
            continue
        auroc, interval = row["auroc"][SAD_OF_IMAGE], row["intervals"][SAD_OF_IMAGE]
        best, control = max(
            (max(value, 1 - value), name)
            for name, value in row["auroc"].items()
            if name != SAD_OF_IMAGE
        )
        sentences.append(
            f"Whole images, {row['comparison']} ({row['n_lower']} and {row['n_higher']}): AUROC "
            f"{with_interval(auroc, interval)} by mean SAD; the best control "
            f"({control.removeprefix('control: ')}) reaches {best:.2f}, in either direction."
        )
    return sentences


def _folder_test(rows: list[Mapping[str, Any]]) -> list[str]:
    """Say whether the folders differ by disease."""
    tests = [row for row in rows if row["comparison"].startswith("folder test")]
    if not tests or SAD_OF_IMAGE not in tests[0]["auroc"]:
        return []
    low, high = tests[0]["intervals"][SAD_OF_IMAGE]
    if low <= 0.5 <= high:
        return ["The folder test does not show that SAD separates the folders without disease."]
    return [
        "So the difference between the folders does not survive the folder test: SAD separates the "
        "normal folder from images of the pneumonia folder that readers called Normal. What it "
        "measures there is how the images were made."
    ]


def _proposals(rows: list[Mapping[str, Any]]) -> str:
    tried = [row for row in rows if "skipped" not in row]
    worked, partly = (
        "; ".join(row["name"] for row in tried if row["separated"] == degree) or "none"
        for degree in ("yes", "partly")
    )
    return (
        f"Of {len(tried)} proposals tried, these separate the three kinds: {worked}. "
        f"Partly: {partly}."
    )


def _classifier(values: Mapping[str, Any]) -> list[str]:
    if "test" not in values:
        return []
    test = values["test"]
    return [
        f"The two-class CNN: accuracy {test['accuracy']:.1%} on {test['n_images']} test images "
        f"(the paper: {values['paper_accuracy']:.1%}; predicting the more frequent class for every "
        f"image: {test['majority']:.1%}), AUROC {test['auroc']:.2f}."
    ]


def _attention(values: Mapping[str, Any]) -> list[str]:
    attention = values.get("attention_pneumonia")
    if attention and attention["fraction"] is not None:
        return [
            f"Where it looks: {attention['fraction']:.0%} of Grad-CAM on images of pneumonia lies "
            f"within the lungs; a map with one value everywhere would have "
            f"{attention['chance']:.0%}."
        ]
    if attention and attention["n_empty"]:
        return [
            f"Where it looks: Grad-CAM is empty on all {attention['n_empty']} images of pneumonia "
            "tried, since no region of them supports the class that the network predicts."
        ]
    return []
