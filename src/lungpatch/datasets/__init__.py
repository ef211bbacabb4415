"""Load folders and public data sets, split them by patient, and make synthetic chest images."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
