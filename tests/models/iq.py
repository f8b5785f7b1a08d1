# SPDX-License-Identifier: MIT
"""The table-driven block types of GGUF in numpy, both ways; kernels/iq.h describes the blocks.

The grids are read out of kernels/tables_iq.c, which tests/unit/iq.c checks entry by entry against llama.cpp; the rest
shares nothing with the C code. A block is split into its fields (index, sign, s, d, ...), which is all that differs
from type to type, and put together again.
"""
import os
import re

import numpy as np

IQ2_XXS, IQ2_XS, IQ3_XXS, IQ1_S, IQ4_NL, IQ3_S, IQ2_S, IQ4_XS, IQ1_M, MXFP4 = 16, 17, 18, 19, 20, 21, 22, 23, 29, 39
NAMES = {IQ2_XXS: 'IQ2_XXS', IQ2_XS: 'IQ2_XS', IQ3_XXS: 'IQ3_XXS', IQ1_S: 'IQ1_S', IQ4_NL: 'IQ4_NL', IQ3_S: 'IQ3_S',
         IQ2_S: 'IQ2_S', IQ4_XS: 'IQ4_XS', IQ1_M: 'IQ1_M', MXFP4: 'MXFP4'}
BLOCK = {IQ2_XXS: (256, 66), IQ2_XS: (256, 74), IQ3_XXS: (256, 98), IQ1_S: (256, 50), IQ4_NL: (32, 18),
         IQ3_S: (256, 110), IQ2_S: (256, 82), IQ4_XS: (256, 136), IQ1_M: (256, 56), MXFP4: (32, 17)}
IQ4 = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)
E2M1 = np.array([0, .5, 1, 1.5, 2, 3, 4, 6, 0, -.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def grids():
    source = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../kernels/tables_iq.c')).read()
    out = {}
    for name, body in re.findall(r'z5_(iq\w+)_grid\[\d+\] = \{(.*?)\};', source, re.S):
        words = np.array([int(x, 16) for x in re.findall(r'\b[0-9a-f]{4}\b', body)])
        if name.startswith('iq3'):
            level = words[:, None] >> 3 * np.arange(4) & 7
            out[name] = np.array([4, 12, 20, 28, 36, 44, 52, 62] if name == 'iq3_xxs' else range(1, 16, 2))[level]
        else:
            level = words[:, None] >> 2 * np.arange(8) & 3
            out[name] = np.array([-1, 0, 1] if name == 'iq1' else [8, 25, 43])[level]
    return {k: v.astype(np.float32) for k, v in out.items()}


GRID = grids()
OF = {IQ2_XXS: 'iq2_xxs', IQ2_XS: 'iq2_xs', IQ2_S: 'iq2_s', IQ3_XXS: 'iq3_xxs', IQ3_S: 'iq3_s', IQ1_S: 'iq1', IQ1_M: 'iq1'}


def half(b):
    return np.ascontiguousarray(b).view(np.float16).astype(np.float32)


def f16_bytes(d):
    return np.ascontiguousarray(d, np.float16).view(np.uint8).reshape(len(d), -1)


def words(b, t):
    """Bytes of each row as little-endian numbers of type t."""
    return np.ascontiguousarray(b).view(t).astype(np.int64)


def bits(v, n, width):
    """n fields of width bits of each number, lowest first, along the last axis."""
    return (v[..., None] >> width * np.arange(n) & ((1 << width) - 1)).reshape(*v.shape[:-1], -1)


def joined(f, n, width):
    """The other way: n neighbouring fields into a number."""
    return (f.reshape(*f.shape[:-1], -1, n).astype(np.int64) << width * np.arange(n)).sum(-1)


def parity(seven):
    p = np.zeros_like(seven)
    for i in range(7):
        p ^= seven >> i & 1
    return seven | p << 7


def fields(b, t):
    """index (a group of 8, IQ3: 4), sign bits (a group of 8), s (a sub-block), d."""
    if t == IQ1_M:
        sc = words(b[:, 48:], '<u2')
        d = half((sc >> 12 << 4 * np.arange(4)).sum(1).astype(np.uint16).view(np.uint8).reshape(-1, 2))
        high = bits(b[:, 32:48].astype(int), 2, 4)
        return b[:, :32] | (high & 7) << 8, high >> 3, bits(sc, 4, 3), d
    d = half(b[:, :2])
    if t in (IQ2_XXS, IQ3_XXS):
        rest = words(b[:, 2:], '<u4')[:, 1::2] if t == IQ2_XXS else words(b[:, 66:], '<u4')
        index = b[:, 2:].reshape(len(b), 8, 8)[:, :, :4].reshape(len(b), 32) if t == IQ2_XXS else b[:, 2:66]
        return index.astype(int), parity(bits(rest & (1 << 28) - 1, 4, 7)), rest >> 28, d
    if t == IQ2_XS:
        q = words(b[:, 2:66], '<u2')
        return q & 511, parity(q >> 9), bits(b[:, 66:].astype(int), 2, 4), d
    if t == IQ2_S:
        return b[:, 2:34] | bits(b[:, 66:74].astype(int), 4, 2) << 8, b[:, 34:66].astype(int), \
            bits(b[:, 74:].astype(int), 2, 4), d
    if t == IQ3_S:
        return b[:, 2:66] | bits(b[:, 66:74].astype(int), 8, 1) << 8, b[:, 74:106].astype(int), \
            bits(b[:, 106:].astype(int), 2, 4), d
    high = words(b[:, 34:], '<u2')
    return b[:, 2:34] | bits(high & 4095, 4, 3) << 8, np.repeat(high >> 15, 4, 1), high >> 12 & 7, d


def block(t, index, sign, s, d):
    """fields() backwards. d: float that a half holds."""
    n, u8 = len(index), np.uint8
    db = f16_bytes(d)
    if t == IQ1_M:
        dw = np.ascontiguousarray(d, np.float16).view(np.uint16).astype(np.int64).reshape(n, 1)
        sc = joined(s, 4, 3) | (dw >> 4 * np.arange(4) & 15) << 12
        return np.concatenate([(index & 255).astype(u8), joined(index >> 8 | sign << 3, 2, 4).astype(u8),
                               sc.astype('<u2').view(u8)], 1)
    if t in (IQ2_XXS, IQ3_XXS):
        rest = (joined(sign & 127, 4, 7) | s.astype(np.int64) << 28).astype('<u4').view(u8)
        index = index.astype(u8)
        if t == IQ3_XXS:
            return np.concatenate([db, index, rest], 1)
        both = np.concatenate([index.reshape(n, 8, 4), rest.reshape(n, 8, 4)], 2)
        return np.concatenate([db, both.reshape(n, 64)], 1)
    if t == IQ2_XS:
        return np.concatenate([db, (index | (sign & 127) << 9).astype('<u2').view(u8), joined(s, 2, 4).astype(u8)], 1)
    low = (index & 255).astype(u8)
    if t == IQ2_S:
        return np.concatenate([db, low, sign.astype(u8), joined(index >> 8, 4, 2).astype(u8), joined(s, 2, 4).astype(u8)], 1)
    if t == IQ3_S:
        return np.concatenate([db, low, joined(index >> 8, 8, 1).astype(u8), sign.astype(u8), joined(s, 2, 4).astype(u8)], 1)
    return np.concatenate([db, low, (joined(index >> 8, 4, 3) | s << 12 | sign[:, ::4] << 15).astype('<u2').view(u8)], 1)


def nibbles(q):
    return np.concatenate([q & 15, q >> 4], -1)


def iq4_xs_scales(b):
    high = bits(words(b[:, 2:4], '<u2'), 8, 2)
    return (bits(b[:, 4:8].astype(int), 2, 4) | high << 4) - 32


def dequantise(b, t):
    n = len(b)
    if t == IQ4_NL:
        return half(b[:, :2]) * IQ4[nibbles(b[:, 2:])]
    if t == MXFP4:                          # 2^-127 and 2^-128 are denormal: none
        return np.where(b[:, :1] < 2, 0, np.ldexp(np.float32(1), b[:, :1].astype(int) - 127)) * E2M1[nibbles(b[:, 1:])]
    if t == IQ4_XS:
        w = IQ4[nibbles(b[:, 8:].reshape(n, 8, 16))]
        return ((half(b[:, :2]) * iq4_xs_scales(b))[..., None] * w).reshape(n, 256).astype(np.float32)
    index, sign, s, d = fields(b, t)
    w = GRID[OF[t]][index].reshape(n, 32, 8)
    if t in (IQ1_S, IQ1_M):
        w = w + np.where(sign, -.125, .125)[..., None]
        scale = d * (2 * s + 1)
    else:
        w = w * np.where(bits(sign[..., None], 8, 1), -1, 1)
        scale = d * (2 * s + 1) * {IQ3_XXS: .25, IQ3_S: 1}.get(t, .125)
    return (scale[..., None] * w.reshape(n, s.shape[1], -1)).reshape(n, 256).astype(np.float32)


def scales_for(most, levels, steps):
    """d of a block and s of its sub-blocks so that d * (2 s + 1) * levels is about the largest of each."""
    d = half(f16_bytes(most.max(1, keepdims=True) / (2 * steps - 1) / levels))
    return d, np.clip(np.rint((most / levels / np.maximum(d, 1e-12) - 1) / 2), 0, steps - 1).astype(int)


def quantise(b, t):
    """Nothing clever: a scale from the largest weight, then the nearest level or grid entry."""
    n = len(b)
    if t == IQ4_NL:
        d = half(f16_bytes(np.abs(b).max(1, keepdims=True) / 113))
        q = np.abs(b[..., None] - d[..., None] * IQ4).argmin(-1).astype(np.uint8)
        return np.concatenate([f16_bytes(d), q[:, :16] | q[:, 16:] << 4], 1)
    if t == MXFP4:
        e = np.clip(np.floor(np.log2(np.maximum(np.abs(b).max(1, keepdims=True), 1e-30))) - 2 + 127, 2, 254).astype(int)
        q = np.abs(b[..., None] - np.ldexp(np.float32(1), e - 127)[..., None] * E2M1).argmin(-1).astype(np.uint8)
        return np.concatenate([e.astype(np.uint8), q[:, :16] | q[:, 16:] << 4], 1)
    if t == IQ4_XS:
        sub = b.reshape(n, 8, 32)
        most = np.abs(sub).max(2) / 113
        d = half(f16_bytes(most.max(1, keepdims=True) / -32))
        s = np.clip(np.rint(most / np.where(d, d, 1)), -32, 31).astype(int)
        q = np.abs(sub[..., None] - (d * s)[..., None, None] * IQ4).argmin(-1).astype(np.uint8)
        u = s + 32
        return np.concatenate([f16_bytes(d), joined(u >> 4, 8, 2).astype('<u2').view(np.uint8).reshape(n, 2),
                               joined(u & 15, 2, 4).astype(np.uint8),
                               (q[:, :, :16] | q[:, :, 16:] << 4).reshape(n, 128)], 1)
    one = t in (IQ1_S, IQ1_M)
    grid = GRID[OF[t]]
    subs = 8 if t in (IQ2_XXS, IQ3_XXS, IQ3_S, IQ1_S) else 16
    width = grid.shape[1]
    groups = 256 // width
    d, s = scales_for(np.abs(b).reshape(n, subs, -1).max(2), 1.6 if one else grid.max() / {IQ3_XXS: 4, IQ3_S: 1}.get(t, 8),
                      8 if one else 16)
    w = (b.reshape(n, subs, -1) / np.maximum(d * (2 * s + 1), 1e-12)[..., None] *
         (1 if one else {IQ3_XXS: 4, IQ3_S: 1}.get(t, 8))).reshape(n, groups, width)
    if one:
        sign = (w.mean(2) < 0).astype(int)
        if t == IQ1_S:
            sign = np.repeat(sign[:, ::4], 4, 1)
        w = w - np.where(sign, -.125, .125)[..., None]
    else:
        neg = (w < 0).reshape(n, 32, 8).astype(int)
        if t in (IQ2_XXS, IQ2_XS, IQ3_XXS):
            neg[..., 7] = neg[..., :7].sum(-1) & 1           # what the 8th has to be
        sign = joined(neg, 8, 1).reshape(n, 32)
        w = w * np.where(neg, -1, 1).reshape(w.shape)
    # |w - g|^2 without |w|^2
    index = np.stack([((grid ** 2).sum(1) - 2 * (x @ grid.T)).argmin(-1) for x in w])
    return block(t, index, sign, s, d)
