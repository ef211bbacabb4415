"""Scorers: components that measure how far a patch is from what the model expected."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
