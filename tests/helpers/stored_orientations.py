"""How pixels are stored under each value of PatientOrientation."""

# How an image of the usual orientation, L\F, is stored under another.
STORED = {
    "L\\F": lambda shown: shown,
    "R\\F": lambda shown: shown[:, ::-1],
    "L\\H": lambda shown: shown[::-1],
    "R\\H": lambda shown: shown[::-1, ::-1],
    "F\\L": lambda shown: shown.T,
    "F\\R": lambda shown: shown[:, ::-1].T,
    "H\\L": lambda shown: shown[::-1].T,
    "H\\R": lambda shown: shown[::-1, ::-1].T,
}
