"""Folders and public sets in, images and their table out; and a synthetic cohort."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
