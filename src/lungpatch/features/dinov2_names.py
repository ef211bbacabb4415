"""The weights of transformers' DINOv2 networks, by the names of timm."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_TELLING = "embeddings.position_embeddings"

_NAMES = (
    (r"^embeddings\.", ""),
    (r"^position_embeddings$", "pos_embed"),
    (r"^patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^register_tokens$", "reg_token"),
    (r"^encoder\.layer\.", "blocks."),
    (r"^layernorm\.", "norm."),
    (r"\.layer_scale(\d)\.lambda1$", r".ls\1.gamma"),
    # Both have two generations of names.
    (r"\.attention\.(?:output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.attention\.(?:attention\.)?(q|k|v)(?:uery|ey|alue|_proj)\.", r".attn.\1."),
)


def as_timm_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a ``Dinov2Model`` as timm's vision transformer has them.

    Parameters
    ----------
    weights : mapping of str to Tensor

    Returns
    -------
    dict
        Other weights as they are.

    Examples
    --------
    >>> list(as_timm_names({"conv1.weight": torch.zeros(1)}))
    ['conv1.weight']
    >>> list(as_timm_names({"embeddings.position_embeddings": torch.zeros(1, 5, 8)}))
    ['pos_embed']
    """
    if _TELLING not in weights:
        return dict(weights)
    renamed = {}
    for name, values in weights.items():
        for pattern, replacement in _NAMES:
            name = re.sub(pattern, replacement, name)
        renamed[name] = values
    for name in [name for name in renamed if ".attn.q." in name]:
        parts = [renamed.pop(name.replace(".q.", f".{part}."), None) for part in "qkv"]
        joined = [part for part in parts if part is not None]
        renamed[name.replace(".q.", ".qkv.")] = torch.cat(joined)
    if "reg_token" in renamed:
        # timm has added the position of the class token to the token itself.
        positions = renamed["pos_embed"]
        renamed["cls_token"] = renamed["cls_token"] + positions[:, :1]
        renamed["pos_embed"] = positions[:, 1:]
    return renamed
