"""Networks, how they are trained, and how they run.

Most of it needs torch; importing this does not. `onnx_network` and `lung_input` do without.

Models, extractors and segmenters are built on it.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
