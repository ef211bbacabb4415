"""The report of a reproduction: one page that reads like a short paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from PIL import Image

from lungpatch._utils.html_page import HtmlPage
from lungpatch.reference.conclusions import conclusions, verdict
from lungpatch.reference.figures.drawing import CAPTIONS
from lungpatch.reference.settings import ReproductionSettings
from lungpatch.reference.tables import Table, result_tables


def write_report(results: Mapping[str, Any], renderings: Mapping[str, Path], path: Path) -> Path:
    """Write the report of a reproduction as one self-contained page.

    Parameters
    ----------
    results : mapping
        Content of ``results.json``.
    renderings : mapping of str to pathlib.Path
        PNG files of the figures, by the names in `CAPTIONS`.
    path : path

    Returns
    -------
    pathlib.Path
        ``path``.
    """
    settings = ReproductionSettings(**results["settings"])
    quick = settings == ReproductionSettings.quick(seed=settings.seed)
    _Report(
        page=HtmlPage("The paper, reproduced" + (": a quick run" if quick else "")),
        quick=quick,
        results=results,
        values={name: stage["values"] for name, stage in results["stages"].items()},
        tables=result_tables(results),
        renderings=renderings,
    ).write(path)
    return path


@attrs.frozen(eq=False, kw_only=True)
class _Report:
    """The page, and what goes into it."""

    page: HtmlPage
    quick: bool
    results: Mapping[str, Any]
    values: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, Table]
    renderings: Mapping[str, Path]

    def write(self, path: Path) -> None:
        self.verdict()
        self.claim()
        self.page.heading("Preliminary experiment: a two-class CNN")
        self.show("figure-01")
        self.classifier()
        self.show("figure-02", "two-class-confusion")
        self.page.heading("Patches")
        self.patches()
        self.show("figure-05-normal", "figure-05-pneumonia", "figure-03", "figure-04")
        self.page.heading("Network and reconstructions")
        self.network()
        self.show("figure-06", "figure-07", "figure-08")
        self.page.heading("Losses")
        self.losses()
        self.page.heading("Scores and kinds")
        self.kinds()
        self.show("figure-09", "table-1", "table-1-confusion", "figure-10")
        self.page.heading("Normal against pneumonia, and the confounders")
        self.images()
        self.page.heading("The paper's proposals")
        self.proposals()
        self.page.heading("Conclusions")
        self.conclude()
        self.page.heading("Settings")
        self.settings()
        self.page.write(path)

    def show(self, *names: str) -> None:
        """Add figures, those of them that were drawn."""
        for name in names:
            if name in self.renderings:
                with Image.open(self.renderings[name]) as image:
                    pixels = np.asarray(image.convert("RGB"))
                self.page.figure(pixels, caption=CAPTIONS[name], alt=CAPTIONS[name])

    def table(self, name: str) -> None:
        table = self.tables[name]
        self.page.table(table.rows, header=table.header)

    def conclude(self) -> None:
        for sentence in conclusions(self.results):
            self.page.paragraph(sentence)

    def verdict(self) -> None:
        if self.quick:
            settings = self.results["settings"]
            self.page.paragraph(
                f"This was a quick run (--quick): the network was trained for "
                f"{settings['training_steps']} steps, and {settings['n_pneumonia']} pneumonia "
                "images at most were scored. It shows that every stage runs. What it found, this "
                "verdict included, means nothing."
            )
        self.page.paragraph(f"Verdict. {verdict(self.results)}")

    def claim(self) -> None:
        prepared, data = self.values["images"], self.results["data"]
        self.page.paragraph(
            "Claim. Nagamura, Tokunaga and Okita (Pneumonia Detection Using Anomaly Detection by "
            "U-net) train a U-Net to reconstruct small patches of normal lung and ask whether "
            "patches with pneumonia are reconstructed worse. They report that they are not: the "
            "scores of pneumonia patches have one peak, and no threshold separates normal lung, "
            "opacity and what lies outside the lung."
        )
        boxes = (
            f"Boxes around opacities are known for {prepared['boxed']} images."
            if data["boxed"]
            else "No boxes are known, so that opacity cannot be distinguished from normal lung "
            "within images of pneumonia; lung of pneumonia images stands in for it."
        )
        self.page.paragraph(
            f"What we did. The same, with the stated sizes, on {prepared['images']['normal']} "
            f"normal and {prepared['images']['pneumonia']} pneumonia images of {data['name']}. "
            f"{boxes}"
        )
        self.page.paragraph("What came out, in short:")
        self.conclude()

    def classifier(self) -> None:
        values = self.values["classifier"]
        if "skipped" in values:
            self.page.paragraph(f"Not run: {values['skipped']}.")
            return
        others = (
            "Test and validation images are of other patients than the training images."
            if self.values["images"]["patients"]
            else "Patients are not known, so that images of one patient may be on two sides."
        )
        training, validation = values["images"]["training"], values["images"]["validation"]
        self.page.paragraph(
            f"Trained on {training['normal']} normal and {training['pneumonia']} pneumonia images; "
            f"the weight of a normal image in the loss is {values['normal_weight']:.2f}. Of "
            f"{values['epochs']} epochs, number {values['best_epoch']} is kept, which has the "
            f"lowest loss on {validation['normal']} normal and {validation['pneumonia']} pneumonia "
            f"images for validation. {others}"
        )
        self.table("classifier")

    def patches(self) -> None:
        status = self.values["images"]["status"]
        counts = ", ".join(f"{count} {name}" for name, count in status.items())
        self.page.paragraph(f"Images by the status of their lungs: {counts}.")
        self.table("patches")

    def network(self) -> None:
        model = self.values["model"]
        self.page.paragraph(
            f"A U-Net with the squared Dice loss. The lowest SAD of a normal test patch is "
            f"{model['test_sad']['lowest']:.2f} (the paper: never 0)."
        )
        if model["identity_shortcut"] is not None:
            self.page.paragraph(
                f"Identity shortcut {model['identity_shortcut']:.2f}: at 0 the network would "
                "restore the normal lung under an opacity, at 1 it copies the opacity."
            )
        self.table("scores")

    def losses(self) -> None:
        self.page.paragraph(
            "The printed Dice loss, 2 sum IJ / sum (I + J) without squares, is not lowest at J = I "
            "but at a black and white patch, for most patches all white. Then SAD is 255 minus the "
            "grey level, a light meter. With a linear output it has no lowest value at all. "
            "Outputs below are of normal test patches, in grey levels; the light meter column is "
            "the correlation of SAD with the patch's darkness; AUROC is against "
            f"{self.results['kinds'][0]}."
        )
        self.table("losses")

    def kinds(self) -> None:
        n_images = self.values["claims"]["n_images_of_the_kinds"]
        self.page.paragraph(
            f"Kinds of patches on {n_images} images. AUROC is the probability that a patch of the "
            "second kind scores above one of the first; its interval resamples images; overlap is "
            "the area below both densities."
        )
        self.table("kinds")

    def images(self) -> None:
        self.page.paragraph(
            "AUROC of one value per image. Controls use no lesion information: where one does as "
            "well, the comparison measures how the images were made."
        )
        self.table("images")

    def proposals(self) -> None:
        self.page.paragraph(
            "For each proposal: AUROC of the SAD of each kind against normal lung, the balanced "
            "accuracy of three classes (1/3 by chance) and the adjusted Rand index (0 by chance). "
            "Clusters are matched to kinds so that they fit best, which makes them look better."
        )
        self.table("proposals")

    def settings(self) -> None:
        results = self.results
        self.page.paragraph(
            f"lungpatch {results['lungpatch']}; data {results['data']['name']}; seed "
            f"{results['settings']['seed']}. All values with their settings are in results.json."
        )
        self.page.table(list(results["settings"].items()), header=("setting", "value"))
        self.page.table(
            [(name, f"{stage['seconds']:.0f}") for name, stage in results["stages"].items()],
            header=("stage", "seconds"),
        )
