from .chest_xray import load_chest_xray as load_chest_xray
from .dataset import Dataset as Dataset
from .labelled_folder import load_folder as load_folder
from .nih import load_nih as load_nih
from .phantom import PhantomCase as PhantomCase
from .phantom import phantom_chest as phantom_chest
from .phantom import phantom_cohort as phantom_cohort
from .phantom import save_cohort as save_cohort
from .pneumoniamnist import fetch_pneumoniamnist as fetch_pneumoniamnist
from .pneumoniamnist import load_pneumoniamnist as load_pneumoniamnist
from .rsna import load_rsna as load_rsna
from .splits import Split as Split
from .splits import load_split as load_split
from .tables import read_patients as read_patients

__all__ = [
    "Dataset",
    "PhantomCase",
    "Split",
    "fetch_pneumoniamnist",
    "load_chest_xray",
    "load_folder",
    "load_nih",
    "load_pneumoniamnist",
    "load_rsna",
    "load_split",
    "phantom_chest",
    "phantom_cohort",
    "read_patients",
    "save_cohort",
]
