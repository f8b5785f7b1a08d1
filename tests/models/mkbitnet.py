#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Small random BitNet models, llama.cpp's kind and Microsoft's, with their references, into tests/golden/data.

usage: mkbitnet.py OUTDIR [PART-OF-A-NAME]
"""
import math
import os
import sys

import numpy as np
import torch

import gguf
from gguf import F16, F32, FLOAT, Q8_0, STR, U32
from mkref import reference
from mksmall import LONG, NLL, PIECES, SHORT, SPREAD_8BIT
from refmodel import Model
from ternary import I2_S, TQ1_0, TQ2_0
from tok import Spm

# `scale`: matrices hold -1, 0 and 1, and a tensor beside each its size; else weights have it in them
MODELS = {
    'small-bitnet-TQ':   dict(seed=5, arch='bitnet', t=TQ1_0, mix={'attn_q': TQ2_0, 'ffn_up': TQ2_0}, embd=Q8_0, scale=True),
    'small-bitnet-I2_S': dict(seed=15, arch='bitnet-b1.58', t=I2_S, embd=F16, kv=1, base=500000.0),
}
FILE_TYPE = {TQ1_0: 36, I2_S: 40}


def build(path, name, *, seed, arch, t, embd, mix={}, dim=256, heads=4, kv=2, ffn=256, scale=False, base=10000.0):
    rng, w, vocab = np.random.default_rng(seed), {}, Spm.minimal(PIECES)
    n_vocab, hd = len(vocab.tokens), dim // heads

    def matrix(n, rows, cols, gain=1.0):
        x = rng.choice(np.array([-1, 0, 1], np.float32), (rows, cols), p=[.3, .4, .3])
        # every float type has it, so that tests can write the same weights in all of them
        m, e = math.frexp(gain / math.sqrt(.6 * cols))
        size = np.float32(math.ldexp(round(m * 256), e - 8))
        if scale:
            w[n + '.scale'] = np.array([size], np.float32), F32
        else:
            x = x * size
        w[n + '.weight'] = x, mix.get(n.split('.')[-1], t)

    def norm(n, size):
        w[n + '.weight'] = (1 + .2 * rng.standard_normal(size)).astype(np.float32), F32

    w['token_embd.weight'] = (.1 * rng.standard_normal((n_vocab, dim))).astype(np.float32), embd
    norm('output_norm', dim)
    b = 'blk.0.'
    for n, size in (('attn_norm', dim), ('attn_sub_norm', dim), ('ffn_norm', dim), ('ffn_sub_norm', ffn)):
        norm(b + n, size)
    for c, n, gain in (('q', heads, 1.3), ('k', kv, 1.3), ('v', kv, 1.5)):
        matrix(f'{b}attn_{c}', n * hd, dim, gain)
    matrix(b + 'attn_output', dim, dim)
    matrix(b + 'ffn_gate', ffn, dim, 1.5)
    matrix(b + 'ffn_up', ffn, dim, 1.5)
    matrix(b + 'ffn_down', dim, ffn)

    shape = {'vocab_size': n_vocab, 'context_length': 256, 'embedding_length': dim, 'block_count': 1, 'feed_forward_length': ffn,
             'attention.head_count': heads, 'attention.head_count_kv': kv, 'rope.dimension_count': hd,
             'rope.freq_base': base, 'attention.layer_norm_rms_epsilon': 1e-5}
    meta = [('general.architecture', STR, arch), ('general.name', STR, name), ('general.license', STR, 'mit'),
            ('general.file_type', U32, FILE_TYPE[t])]
    meta += [(f'{arch}.{k}', FLOAT if isinstance(v, float) else U32, v) for k, v in shape.items()] + vocab.meta()

    def write():
        gguf.write(path, meta, [(n, x, k) for n, (x, k) in w.items()])

    write()
    with torch.no_grad():
        spread = float(Model.load(path).forward(vocab.encode(LONG)).std())
    w['output_norm.weight'] = w['output_norm.weight'][0] * np.float32(SPREAD_8BIT / spread), F32
    write()


def main(out, part=''):
    for name, shape in MODELS.items():
        if part not in name:
            continue
        path = os.path.join(out, name + '.gguf')
        build(path, name, **shape)
        r = reference(path, out, [SHORT, '', LONG], (0,), 32, NLL)
        print(name, os.path.getsize(path), 'nll %.3f' % r['nll']['mean'], 'argmax', [c['argmax'] for c in r['cases']],
              'least margin %.3f' % r['cases'][0]['greedy_min_margin'], repr(r['cases'][0]['greedy_text']))


if __name__ == '__main__':
    main(*sys.argv[1:])
