from .chest_xray import load_chest_xray as load_chest_xray
from .confounders import CONFOUNDER_KINDS as CONFOUNDER_KINDS
from .confounders import PaintedConfounder as PaintedConfounder
from .confounders import paint_confounder as paint_confounder
from .dataset import Dataset as Dataset
from .labelled_folder import load_folder as load_folder
from .labelled_folder import read_folder as read_folder
from .nih import load_nih as load_nih
from .phantom import PhantomCase as PhantomCase
from .phantom import phantom_chest as phantom_chest
from .phantom import phantom_cohort as phantom_cohort
from .phantom import save_cohort as save_cohort
from .pneumoniamnist import fetch_pneumoniamnist as fetch_pneumoniamnist
from .pneumoniamnist import load_pneumoniamnist as load_pneumoniamnist
from .rsna import load_rsna as load_rsna
from .sample import sample as sample
from .splits import Split as Split
from .splits import every_second_patient as every_second_patient
from .splits import load_split as load_split
from .splits import pixels_digest as pixels_digest
from .tables import read_patients as read_patients

__all__ = [
    "CONFOUNDER_KINDS",
    "Dataset",
    "PaintedConfounder",
    "PhantomCase",
    "Split",
    "every_second_patient",
    "fetch_pneumoniamnist",
    "load_chest_xray",
    "load_folder",
    "load_nih",
    "load_pneumoniamnist",
    "load_rsna",
    "load_split",
    "paint_confounder",
    "phantom_chest",
    "phantom_cohort",
    "pixels_digest",
    "read_folder",
    "read_patients",
    "sample",
    "save_cohort",
]
