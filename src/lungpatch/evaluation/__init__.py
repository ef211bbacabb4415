"""How well a detector finds what readers found. The only room that sees ground truth."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
