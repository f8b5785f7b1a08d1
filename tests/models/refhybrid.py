# SPDX-License-Identifier: MIT
"""The reference forward passes of hybrids: attention of refdense.py in some layers, Mamba of refrecur.py in others, each as
its authors' paper, model card or published code puts them together. Nothing is shared with the C side but the names of tensors.
"""
import torch
import torch.nn.functional as F

import refmoe
from refdense import Dense, turn_pairs
from refmodel import rms_norm
from refrecur import Mamba, Mamba2


class Hybrid(Dense):
    """kv: heads of keys and values of each layer."""
    conv, mixer = Mamba.conv, Mamba2.mixer

    def __init__(s, *rest, **more):
        super().__init__(*rest, **more)
        n = s.key('block_count')
        s.kv = s.KV if isinstance(s.KV, list) else [s.KV] * n
        s.KV = max(s.kv)

    def unturned(s, T):
        angles = torch.zeros(T, s.head_dim() // 2, dtype=s.dtype)
        return angles + 1, angles

    def ffn(s, x, b):
        return refmoe.ffn(s, x, b) if b + 'ffn_gate_inp.weight' in s.w else s.gated(x, b, F.silu)


class GraniteHybrid(Hybrid):
    """Granite 4 (IBM): granite's four factors; nothing turns where the file says so."""
    turn = staticmethod(turn_pairs)

    def forward(s, tokens):
        s.scale = s.key('attention.scale')
        x = s.w['token_embd.weight'][torch.as_tensor(tokens).flatten()] * s.key('embedding_scale')
        rot = s.plain_rotary(len(x)) if s.key('rope.scaling.finetuned', True) else s.unturned(len(x))
        for i, kv in enumerate(s.kv):
            b, by = f'blk.{i}.', s.key('residual_scale')
            h = s.norm(x, b + 'attn_norm')
            x = x + by * (s.attend(h, b, *rot) if kv else s.mixer(h, b))
            x = x + by * s.ffn(s.norm(x, b + 'ffn_norm'), b)
        return s.head(x)[None] / s.key('logit_scale')


class FalconH1(Hybrid):
    """arXiv 2507.22448: attention and Mamba side by side. The multipliers are in the weights."""

    def forward(s, tokens):
        x = s.w['token_embd.weight'][torch.as_tensor(tokens).flatten()]
        for i in range(len(s.kv)):
            b = f'blk.{i}.'
            h = s.norm(x, b + 'attn_norm')
            x = x + s.attend(h, b, *s.plain_rotary(len(x))) + s.mixer(h, b)
            x = x + s.ffn(rms_norm(x, s.w[b + 'ffn_norm'], s.eps), b)    # without ".weight", as its files have it
        return s.head(x)[None]


class NemotronH(Hybrid):
    """arXiv 2504.03624: every layer is one of three things, its feed-forward has a squared ReLU, and nothing turns."""

    def forward(s, tokens):
        x = s.w['token_embd.weight'][torch.as_tensor(tokens).flatten()]
        for i, (kv, ff) in enumerate(zip(s.kv, s.key('feed_forward_length'))):
            b = f'blk.{i}.'
            h = s.norm(x, b + 'attn_norm')
            if kv:
                x = x + s.attend(h, b, *s.unturned(len(x)))
            elif ff:
                x = x + s.linear(F.relu(s.linear(h, b + 'ffn_up')) ** 2, b + 'ffn_down')
            else:
                x = x + s.mixer(h, b)
        return s.head(x)[None]


class Jamba(Hybrid):
    """arXiv 2403.19887: Mamba 1 with norms inside; nothing turns; experts in some layers."""
    mixer = Mamba.mixer

    def forward(s, tokens):
        x = s.w['token_embd.weight'][torch.as_tensor(tokens).flatten()]
        for i, kv in enumerate(s.kv):
            b = f'blk.{i}.'
            h = s.norm(x, b + 'attn_norm')
            x = x + (s.attend(h, b, *s.unturned(len(x))) if kv else s.mixer(h, b))
            x = x + s.ffn(s.norm(x, b + 'ffn_norm'), b)
        return s.head(x)[None]


ARCHS = {'falcon-h1': FalconH1, 'granitehybrid': GraniteHybrid, 'jamba': Jamba,
         'nemotron_h': NemotronH}
