# SPDX-License-Identifier: MIT
"""GGUF v3 in numpy: reader, writer, and block types, both ways (those with tables are in iq.py, ternary ones in
ternary.py).

A tensor is a numpy array [rows, columns]; the file lists its dimensions the other way round. Shares no code
with the C reader, so that the two can disagree.
"""
import struct

import numpy as np

import iq
import ternary
from iq import BLOCK as IQ_BLOCK, NAMES as IQ_NAMES

F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, BF16 = 0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 30
NAMES = {F32: 'F32', F16: 'F16', Q4_0: 'Q4_0', Q4_1: 'Q4_1', Q5_0: 'Q5_0', Q5_1: 'Q5_1', Q8_0: 'Q8_0', Q2_K: 'Q2_K',
         Q3_K: 'Q3_K', Q4_K: 'Q4_K', Q5_K: 'Q5_K', Q6_K: 'Q6_K', BF16: 'BF16'}
# elements and bytes of a block
BLOCK = {F32: (1, 4), F16: (1, 2), BF16: (1, 2), Q4_0: (32, 18), Q4_1: (32, 20), Q5_0: (32, 22), Q5_1: (32, 24),
         Q8_0: (32, 34), Q2_K: (256, 84), Q3_K: (256, 110), Q4_K: (256, 144), Q5_K: (256, 176), Q6_K: (256, 210)}
NAMES.update(IQ_NAMES)
BLOCK.update(IQ_BLOCK)
NAMES.update(ternary.NAMES)
BLOCK.update(ternary.BLOCK)

U32, I32, FLOAT, BOOL, STR, ARR = 4, 5, 6, 7, 8, 9
SCALAR = {0: 'B', 1: 'b', 2: 'H', 3: 'h', U32: 'I', I32: 'i', FLOAT: 'f', BOOL: '?', 10: 'Q', 11: 'q', 12: 'd'}


# ------------------------------------------------------------------------------------------ dequantise
def half(b):
    return np.ascontiguousarray(b).view(np.float16).astype(np.float32)


def k4_scales(s):
    """Q4_K keeps 8 scales and 8 minima of 6 bits in 12 bytes."""
    lo, mid, hi = s[:, 0:4], s[:, 4:8], s[:, 8:12]
    scale = np.concatenate([lo & 63, (hi & 15) | (lo >> 6 << 4)], 1)
    least = np.concatenate([mid & 63, (hi >> 4) | (mid >> 6 << 4)], 1)
    return scale.astype(np.float32), least.astype(np.float32)


def nibbles(b):
    """Low ones first: of bytes [..., n] 2n numbers."""
    return np.concatenate([b & 15, b >> 4], -1)


def bits(b, width, count):
    """Fields of `width` bits from the lowest on, a new axis of `count` before the last one."""
    return np.stack([b >> (width * i) & ((1 << width) - 1) for i in range(count)], -2)


def dequantise(raw, t):
    raw = np.frombuffer(raw, np.uint8)
    if t == F32:
        return raw.view(np.float32).copy()
    if t == F16:
        return half(raw)
    if t == BF16:
        return (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if t in ternary.BLOCK:
        return ternary.dequantise(raw, t)
    b = raw.reshape(-1, BLOCK[t][1])
    n = len(b)
    if t in IQ_BLOCK:
        return iq.dequantise(b, t).reshape(-1)
    if t == Q8_0:
        y = half(b[:, :2]) * b[:, 2:].view(np.int8)
    elif t == Q4_0:
        q = b[:, 2:]
        y = half(b[:, :2]) * (np.concatenate([q & 15, q >> 4], 1).astype(np.float32) - 8)
    elif t == Q4_1:
        y = half(b[:, :2]) * nibbles(b[:, 4:]) + half(b[:, 2:4])
    elif t in (Q5_0, Q5_1):
        at = 2 if t == Q5_0 else 4
        q = nibbles(b[:, at + 4:]) + 16 * np.unpackbits(b[:, at:at + 4], axis=1, bitorder='little').astype(np.float32)
        y = half(b[:, :2]) * (q - 16) if t == Q5_0 else half(b[:, :2]) * q + half(b[:, 2:4])
    elif t == Q2_K:
        q = bits(b[:, 16:80].reshape(n, 2, 32), 2, 4).reshape(n, 16, 16)
        y = ((half(b[:, 80:82]) * (b[:, :16] & 15))[..., None] * q -
             (half(b[:, 82:84]) * (b[:, :16] >> 4))[..., None])
    elif t == Q3_K:
        q = bits(b[:, 32:96].reshape(n, 2, 32), 2, 4).reshape(n, 8, 32) + 4.0 * bits(b[:, :32], 1, 8) - 4
        scale = nibbles(b[:, 96:104]) + 16.0 * bits(b[:, 104:108], 2, 4).reshape(n, 16) - 32
        y = (half(b[:, 108:]) * scale)[..., None] * q.reshape(n, 16, 16)
    elif t in (Q4_K, Q5_K):
        scale, least = k4_scales(b[:, 4:16])
        q = b[:, -128:].reshape(n, 4, 32)
        q = np.stack([q & 15, q >> 4], 2).reshape(n, 8, 32)
        if t == Q5_K:
            q = q + 16 * bits(b[:, 16:48], 1, 8)
        y = (half(b[:, :2]) * scale)[..., None] * q - (half(b[:, 2:4]) * least)[..., None]
    elif t == Q6_K:
        lo, hi = b[:, :128].reshape(n, 2, 2, 32), b[:, 128:192].reshape(n, 2, 32)
        q = np.stack([(lo[:, :, 0] & 15) | (hi & 3) << 4, (lo[:, :, 1] & 15) | (hi >> 2 & 3) << 4,
                      (lo[:, :, 0] >> 4) | (hi >> 4 & 3) << 4, (lo[:, :, 1] >> 4) | (hi >> 6) << 4], 2)
        scale = half(b[:, 208:]) * b[:, 192:208].view(np.int8)
        y = scale[..., None] * (q.reshape(n, 16, 16).astype(np.float32) - 32)
    else:
        raise ValueError(t)
    return np.ascontiguousarray(y, np.float32).reshape(-1)


# ------------------------------------------------------------------------------------------ quantise
def inverse(d):
    return np.divide(1, d, out=np.zeros_like(d), where=d != 0)


def f16_bytes(d):
    return np.ascontiguousarray(d, np.float16).view(np.uint8).reshape(len(d), -1)


def signed_scale(x, levels):
    """Scale d for x ~ d * q, -levels <= q < levels: around "the largest value becomes -levels", the best of a few."""
    big = np.take_along_axis(x, np.abs(x).argmax(-1)[..., None], -1)[..., 0]
    best, err = None, None
    for f in np.linspace(.85, 1.15, 13, dtype=np.float32):
        d = -big / levels * f
        q = np.clip(np.rint(x * inverse(d)[..., None]), -levels, levels - 1)
        e = ((d[..., None] * q - x) ** 2).sum(-1)
        best, err = (d, e) if best is None else (np.where(e < err, d, best), np.minimum(e, err))
    return best


def affine_scale(x, levels):
    """Scale and minimum for x ~ d * q - m, 0 <= q <= levels, m >= 0: the best of a few."""
    lo, hi = np.minimum(x.min(-1), 0), x.max(-1)
    best = None
    for f in np.linspace(.8, 1.1, 7, dtype=np.float32):
        for g in np.linspace(.8, 1.1, 7, dtype=np.float32):
            m = -lo * g
            d = np.maximum(hi * f + m, 0) / levels
            q = np.clip(np.rint((x + m[..., None]) * inverse(d)[..., None]), 0, levels)
            e = ((d[..., None] * q - m[..., None] - x) ** 2).sum(-1)
            if best is None:
                best = d, m, e
            else:
                w = e < best[2]
                best = np.where(w, d, best[0]), np.where(w, m, best[1]), np.minimum(e, best[2])
    return best[0], best[1]


def affine_scales(s, levels, most):
    """Blocks [n, sub-blocks, columns] as D * scale * q - M * minimum, scales and minima integers 0..most."""
    d, m = affine_scale(s, levels)
    D, M = half(f16_bytes(d.max(1) / most)), half(f16_bytes(m.max(1) / most))
    ds = np.clip(np.rint(d * inverse(D)), 0, most).astype(np.uint8)
    ms = np.clip(np.rint(m * inverse(M)), 0, most).astype(np.uint8)
    q = np.clip(np.rint((s + (M * ms)[..., None]) * inverse(D * ds)[..., None]), 0, levels).astype(np.uint8)
    return D, M, ds, ms, q


def signed_scales(d, most):
    """Scales [n, sub-blocks] as D times integers -most..most - 1."""
    big = np.take_along_axis(d, np.abs(d).argmax(1)[:, None], 1)
    D = half(f16_bytes(big / -most))
    return D, np.clip(np.rint(d * inverse(D)), -most, most - 1).astype(np.int8)


def quantise(x, t):
    x = np.ascontiguousarray(x, np.float32)
    if t == F32:
        return x.tobytes()
    if t == F16:
        return x.astype(np.float16).tobytes()
    if t == BF16:
        u = x.view(np.uint32).astype(np.uint64)
        return ((u + 0x7fff + (u >> 16 & 1)) >> 16).astype(np.uint16).tobytes()
    assert x.shape[-1] % BLOCK[t][0] == 0, (x.shape, t)
    b = x.reshape(-1, BLOCK[t][0])
    n = len(b)
    if t in IQ_BLOCK:
        return iq.quantise(b, t).tobytes()
    if t in ternary.BLOCK:
        return ternary.quantise(b, t).tobytes()
    if t == Q8_0:
        d = half(f16_bytes(np.abs(b).max(1) / 127))
        q = np.clip(np.rint(b * inverse(d)), -127, 127).astype(np.int8)
        return np.concatenate([f16_bytes(d), q.view(np.uint8)], 1).tobytes()
    if t == Q4_0:
        d = half(f16_bytes(signed_scale(b, 8)))
        q = np.clip(np.rint(b * inverse(d)) + 8, 0, 15).astype(np.uint8)
        return np.concatenate([f16_bytes(d), q[:, :16] | q[:, 16:] << 4], 1).tobytes()
    if t == Q4_1 or t == Q5_1:
        levels = 15 if t == Q4_1 else 31
        d, m = (half(f16_bytes(v)) for v in affine_scale(b, levels))
        q = np.clip(np.rint((b + m) * inverse(d)), 0, levels).astype(np.uint8)
        fifth = [] if t == Q4_1 else [np.packbits(q >> 4, axis=1, bitorder='little')]
        return np.concatenate([f16_bytes(d), f16_bytes(-m), *fifth, q[:, :16] & 15 | q[:, 16:] << 4], 1).tobytes()
    if t == Q5_0:
        d = half(f16_bytes(signed_scale(b, 16)))
        q = np.clip(np.rint(b * inverse(d)) + 16, 0, 31).astype(np.uint8)
        return np.concatenate([f16_bytes(d), np.packbits(q >> 4, axis=1, bitorder='little'),
                               q[:, :16] & 15 | q[:, 16:] << 4], 1).tobytes()
    if t == Q2_K:
        D, M, ds, ms, q = affine_scales(b.reshape(n, 16, 16), 3, 15)
        q = q.reshape(n, 2, 4, 32)
        return np.concatenate([ds | ms << 4, (q[:, :, 0] | q[:, :, 1] << 2 | q[:, :, 2] << 4 | q[:, :, 3] << 6)
                               .reshape(n, 64), f16_bytes(D), f16_bytes(M)], 1).tobytes()
    if t == Q3_K:
        s = b.reshape(n, 16, 16)
        D, ds = signed_scales(signed_scale(s, 4), 32)
        q = np.clip(np.rint(s * inverse(D * ds)[..., None]) + 4, 0, 7).astype(np.uint8).reshape(n, 8, 32)
        third, two = np.packbits(q >> 2, axis=1, bitorder='little').reshape(n, 32), (q & 3).reshape(n, 2, 4, 32)
        two = two[:, :, 0] | two[:, :, 1] << 2 | two[:, :, 2] << 4 | two[:, :, 3] << 6
        ds = (ds + 32).astype(np.uint8)
        top = (ds >> 4).reshape(n, 4, 4)
        return np.concatenate([third, two.reshape(n, 64), ds[:, :8] & 15 | ds[:, 8:] << 4,
                               top[:, 0] | top[:, 1] << 2 | top[:, 2] << 4 | top[:, 3] << 6, f16_bytes(D)], 1).tobytes()
    if t == Q4_K or t == Q5_K:
        D, M, ds, ms, q = affine_scales(b.reshape(n, 8, 32), 15 if t == Q4_K else 31, 63)
        packed = np.concatenate([ds[:, :4] | ds[:, 4:] >> 4 << 6, ms[:, :4] | ms[:, 4:] >> 4 << 6,
                                 (ds[:, 4:] & 15) | ms[:, 4:] << 4], 1)
        fifth = [] if t == Q4_K else [np.packbits(q >> 4, axis=1, bitorder='little').reshape(n, 32)]
        q = q.reshape(n, 4, 2, 32)
        return np.concatenate([f16_bytes(D), f16_bytes(M), packed, *fifth,
                               (q[:, :, 0] & 15 | q[:, :, 1] << 4).reshape(n, 128)], 1).tobytes()
    if t == Q6_K:
        s = b.reshape(n, 16, 16)
        D, ds = signed_scales(signed_scale(s, 32), 128)
        q = np.clip(np.rint(s * inverse(D * ds)[..., None]) + 32, 0, 63).astype(np.uint8).reshape(n, 2, 4, 32)
        lo = np.stack([(q[:, :, 0] & 15) | (q[:, :, 2] & 15) << 4, (q[:, :, 1] & 15) | (q[:, :, 3] & 15) << 4], 2)
        hi = q[:, :, 0] >> 4 | q[:, :, 1] >> 4 << 2 | q[:, :, 2] >> 4 << 4 | q[:, :, 3] >> 4 << 6
        return np.concatenate([lo.reshape(n, 128), hi.reshape(n, 64), ds.view(np.uint8), f16_bytes(D)], 1).tobytes()
    raise ValueError(t)


# ------------------------------------------------------------------------------------------ write
def string(s):
    b = s.encode()
    return struct.pack('<Q', len(b)) + b


def value(t, v):
    if t == STR:
        return string(v)
    if t == ARR:
        et, items = v
        return struct.pack('<IQ', et, len(items)) + b''.join(value(et, x) for x in items)
    return struct.pack('<' + SCALAR[t], v)


class Raw:
    """A tensor whose blocks are made already."""

    def __init__(s, shape, data):
        s.shape, s.data = shape, data


def write(path, meta, tensors, align=32):
    """meta: [(key, type, value)]; tensors: [(name, array or Raw, block type)]"""
    head = struct.pack('<4sIQQ', b'GGUF', 3, len(tensors), len(meta))
    for k, t, v in meta:
        head += string(k) + struct.pack('<I', t) + value(t, v)
    data = b''
    for name, x, t in tensors:
        dims = x.shape[::-1]
        head += string(name) + struct.pack(f'<I{len(dims)}QIQ', len(dims), *dims, t, len(data))
        data += x.data if isinstance(x, Raw) else quantise(x, t)
        data += bytes(-len(data) % align)
    with open(path, 'wb') as f:
        f.write(head + bytes(-len(head) % align) + data)


# ------------------------------------------------------------------------------------------ read
class Gguf:
    """meta: {key: value}, info: {tensor: (dims, type, offset)}. For files we made: it trusts what it reads."""

    def __init__(s, path):
        with open(path, 'rb') as f:
            s.bytes = f.read()
        s.at = 0
        magic, version, n_tensors, n_meta = s.take('4sIQQ')
        assert magic == b'GGUF' and version == 3
        s.meta, s.info = {}, {}
        for _ in range(n_meta):
            k = s.string()
            s.meta[k] = s.value(s.take('I')[0])
        for _ in range(n_tensors):
            name = s.string()
            dims = s.take('%dQ' % s.take('I')[0])
            s.info[name] = (dims, *s.take('IQ'))
        align = s.meta.get('general.alignment', 32)
        s.data = (s.at + align - 1) // align * align

    def take(s, fmt):
        v = struct.unpack_from('<' + fmt, s.bytes, s.at)
        s.at += struct.calcsize('<' + fmt)
        return v

    def string(s):
        return s.take('%ds' % s.take('Q')[0])[0].decode()

    def value(s, t):
        if t == STR:
            return s.string()
        if t == ARR:
            et, n = s.take('IQ')
            return [s.value(et) for _ in range(n)]
        return s.take(SCALAR[t])[0]

    def tensor(s, name):
        dims, t, offset = s.info[name]
        elements, size = BLOCK[t]
        n = int(np.prod(dims)) // elements * size + ternary.TAIL.get(t, 0)
        return dequantise(s.bytes[s.data + offset:s.data + offset + n], t).reshape(dims[::-1])
