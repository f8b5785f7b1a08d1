#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Blocks of the table-driven types with what llama.cpp makes of them: tests/unit/iq.blocks.

usage: mkiq.py QUANTIZE... >tests/unit/iq.blocks

QUANTIZE is llama.cpp's llama-quantize with what it takes to start it; it turns a file of made-up blocks into floats
(--allow-requantize IN OUT F32). The blocks have every index of every grid, every pattern of signs, every scale of a
sub-block and every nibble; MXFP4 every e from 2 to 254 (llama-quantize refuses 255). A line is a type, the bytes of a block and a hash (FNV-1a, 64
bits) of the floats that llama.cpp unpacks, in hexadecimal.
"""
import subprocess
import sys
import tempfile

import numpy as np

import gguf
import iq


def blocks(t, rng):
    if t == iq.MXFP4:
        e = np.arange(2, 255)
        # no infinities: a level of 1/2 at most where 6 is too much
        q = rng.integers(0, 16, (len(e), 32))
        q[e > 252] &= 9
        q[0, :16] = q[1, 16:] = np.arange(16)
        return np.concatenate([e[:, None], q[:, :16] | q[:, 16:] << 4], 1).astype(np.uint8)
    n = {iq.IQ4_NL: 4, iq.IQ4_XS: 8}.get(t) or max(8, len(iq.GRID[iq.OF[t]]) * iq.GRID[iq.OF[t]].shape[1] // 256)
    b = rng.integers(0, 256, (n, iq.BLOCK[t][1])).astype(np.uint8)
    d = (rng.uniform(.01, 2, (n, 1)) * np.where(rng.random((n, 1)) < .5, -1, 1)).astype(np.float16).astype(np.float32)
    d[0], d[1] = 3e-7, 1                                     # a denormal half, and a plain one
    if t in (iq.IQ4_NL, iq.IQ4_XS):
        b[:, :2] = gguf.f16_bytes(d)
        b[0, -16:] = np.arange(16) | np.arange(15, -1, -1) << 4
        if t == iq.IQ4_XS:                                   # the 64 scales in order
            u = np.arange(64).reshape(8, 8)
            b[:, 2:4] = iq.joined(u >> 4, 8, 2).astype('<u2').view(np.uint8).reshape(8, 2)
            b[:, 4:8] = iq.joined(u & 15, 2, 4)
        return b
    index, sign, s, _ = iq.fields(b, t)
    size = len(iq.GRID[iq.OF[t]])
    index = rng.permutation(np.arange(index.size) % size).reshape(index.shape)
    if t in (iq.IQ1_S, iq.IQ1_M):
        s = rng.permutation(np.arange(s.size) % 8).reshape(s.shape)
    else:
        most = 256 if t in (iq.IQ2_S, iq.IQ3_S) else 128
        sign = rng.permutation(np.arange(sign.size) % most).reshape(sign.shape)
        sign = sign if most == 256 else iq.parity(sign)
        s = rng.permutation(np.arange(s.size) % 16).reshape(s.shape)
    return iq.block(t, index, sign, s, d)


def fnv(data):
    h = 0xcbf29ce484222325
    for c in data:
        h = (h ^ c) * 0x100000001b3 & (1 << 64) - 1
    return h


def main(quantize):
    rng = np.random.default_rng(3)
    made = {t: blocks(t, rng) for t in sorted(iq.NAMES)}
    with tempfile.TemporaryDirectory() as tmp:
        tensors = [(f'blk.0.{iq.NAMES[t].lower()}.weight', gguf.Raw((len(b), iq.BLOCK[t][0]), b.tobytes()), t)
                   for t, b in made.items()]
        meta = [('general.architecture', gguf.STR, 'llama'), ('general.file_type', gguf.U32, 0),
                ('llama.block_count', gguf.U32, 1), ('llama.context_length', gguf.U32, 64),
                ('llama.embedding_length', gguf.U32, 256), ('llama.feed_forward_length', gguf.U32, 256),
                ('llama.attention.head_count', gguf.U32, 8), ('llama.attention.layer_norm_rms_epsilon', gguf.FLOAT, 1e-5)]
        gguf.write(tmp + '/in.gguf', meta, tensors)
        subprocess.run([*quantize, '--allow-requantize', tmp + '/in.gguf', tmp + '/out.gguf', 'F32'], check=True,
                       stdout=sys.stderr)
        out = gguf.Gguf(tmp + '/out.gguf')
    print('# SPDX-License-Identifier: MIT')
    print('# Made by tests/models/mkiq.py: a type, a block, FNV-1a of the floats that llama.cpp makes of it.')
    for t, b in made.items():
        name = f'blk.0.{iq.NAMES[t].lower()}.weight'
        assert out.info[name][1] == gguf.F32, out.info[name]
        want = out.tensor(name).reshape(len(b), -1)
        mine = iq.dequantise(b, t)
        print(iq.NAMES[t], len(b), 'blocks,', int((want.view(np.uint32) != mine.view(np.uint32)).sum()), 'of', want.size,
              'floats differ from iq.py', file=sys.stderr)
        for raw, row in zip(b, want):
            print(iq.NAMES[t], raw.tobytes().hex(), f'{fnv(row.astype("<f4").tobytes()):016x}')


if __name__ == '__main__':
    main(sys.argv[1:])
