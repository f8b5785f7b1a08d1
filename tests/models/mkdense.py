#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Small random models of the dense architectures of refdense.py, with their references, into tests/golden/data.

usage: mkdense.py OUTDIR [PART-OF-A-NAME]

Windows, caps, factors and contexts are small, so that a hundred tokens feel them. Weights as mksmall.py makes them.
"""
import math
import os
import sys

import numpy as np
import torch

import gguf
from gguf import F16, F32, FLOAT, STR, U32
from mkref import reference
from mksmall import LONG, NLL, PIECES, SHORT, SPREAD
from refmodel import Model
from tok import Spm

LN = 'attention.layer_norm_epsilon'
# dim, layers, heads, KV heads, feed-forward width; `keys` of the architecture; `has` what its layers have
MODELS = {
    'small-gemma':     dict(seed=1, arch='gemma', layers=2, head=24),
    'small-gemma2':    dict(seed=2, arch='gemma2', layers=3, head=24, has='post',
                            keys={'attention.sliding_window': 9, 'attn_logit_softcapping': 3.0,
                                  'final_logit_softcapping': 6.0}),
    # as the first files were, without a word of windows and caps
    'small-gemma2-bare': dict(seed=14, arch='gemma2', layers=2, head=16, has='post'),
    'small-gemma3':    dict(seed=3, arch='gemma3', layers=6, dim=24, ffn=16, head=12, has='post qk',
                            keys={'attention.sliding_window': 7, 'rope.freq_base': 1e6, 'rope.scaling.type': 'linear',
                                  'rope.scaling.factor': 8.0}),
    'small-phi3-short': dict(seed=4, arch='phi3', layers=2, has='fused untied longrope',
                             keys={'attention.sliding_window': 33, 'rope.scaling.type': 'longrope',
                                   'rope.scaling.original_context_length': 256}),
    'small-phi3-long': dict(seed=5, arch='phi3', layers=2, has='fused longrope', head=16, rot=12,
                            # published files look like this: no rope.scaling.type
                            keys={'rope.scaling.original_context_length': 32,
                                  'rope.scaling.attn_factor': math.sqrt(1 + math.log(8) / math.log(32))}),
    'small-olmo2':     dict(seed=6, arch='olmo2', layers=2, has='untied post wide nopre'),
    'small-granite':   dict(seed=7, arch='granite', layers=2,
                            keys={'embedding_scale': 6.0, 'residual_scale': .4, 'attention.scale': .15,
                                  'logit_scale': 4.0}),
    'small-stablelm':  dict(seed=8, arch='stablelm', layers=2, has='ln lnbias untied qkvbias', rot=4, eps=LN),
    'small-stablelm-parallel': dict(seed=9, arch='stablelm', layers=2, has='ln lnbias untied headln noffn', rot=4, eps=LN),
    'small-starcoder2': dict(seed=10, arch='starcoder2', layers=2, has='ln lnbias qkvbias plain', eps=LN,
                             keys={'attention.sliding_window': 21}),
    'small-command-r': dict(seed=11, arch='command-r', layers=2, has='ln noffn', eps=LN, keys={'logit_scale': .25}),
    'small-command-r-norm': dict(seed=12, arch='command-r', layers=1, has='ln noffn headln', eps=LN,
                                 keys={'logit_scale': .5}),
    'small-llama-yarn': dict(seed=13, arch='llama', layers=2, heads=2, kv=1, head=32,
                             keys={'rope.scaling.type': 'yarn', 'rope.scaling.factor': 8.0,
                                   'rope.scaling.original_context_length': 32}),
}


def build(path, name, *, seed, arch, layers, dim=32, heads=4, kv=2, ffn=24, head=None, rot=None, has='', keys={},
          eps='attention.layer_norm_rms_epsilon'):
    rng, has, w = np.random.default_rng(seed), has.split(), {}
    vocab = Spm.minimal(PIECES)
    n_vocab, hd = len(vocab.tokens), head or dim // heads

    def matrix(n, rows, cols, gain=1.0):
        x = rng.standard_normal((rows, cols)) * np.exp(.3 * rng.standard_normal((rows, 1)))
        w[n + '.weight'] = (x * np.exp(.3 * rng.standard_normal(cols)) * gain / math.sqrt(cols)).astype(np.float32), F16

    def vector(n, size, mean, spread):
        w[n] = (mean + spread * rng.standard_normal(size)).astype(np.float32), F32

    def norm(n, size=dim):
        vector(n + '.weight', size, 1, .2)
        if 'lnbias' in has:
            vector(n + '.bias', size, 0, .2)

    # gemma multiplies embeddings by sqrt(dim) itself, granite by a factor
    matrix('token_embd', n_vocab, dim, .1 * (1 if arch.startswith('gemma') else math.sqrt(dim)))
    norm('output_norm')
    if 'untied' in has:
        matrix('output', n_vocab, dim)
    if 'longrope' in has:
        for size, by in (('short', 1.0), ('long', 3.0)):
            f = 1 + by * np.linspace(0, 2, (rot or hd) // 2) ** 2
            w[f'rope_factors_{size}.weight'] = f.astype(np.float32), F32
    for i in range(layers):
        b = f'blk.{i}.'
        if 'nopre' not in has:
            norm(b + 'attn_norm')
            if 'noffn' not in has:
                norm(b + 'ffn_norm')
        if 'post' in has:
            norm(b + 'post_attention_norm')
            norm(b + 'post_ffw_norm')
        if 'fused' in has:
            matrix(b + 'attn_qkv', (heads + 2 * kv) * hd, dim, 1.3)
        else:
            for c, n, gain in (('q', heads, 1.3), ('k', kv, 1.3), ('v', kv, 1.5)):
                matrix(f'{b}attn_{c}', n * hd, dim, gain)
                if 'qkvbias' in has:
                    vector(f'{b}attn_{c}.bias', n * hd, 0, .5)
        for c, n in (('q', heads), ('k', kv)):
            if 'qk' in has:
                vector(f'{b}attn_{c}_norm.weight', hd, 1.3, .2)
            elif 'wide' in has:
                vector(f'{b}attn_{c}_norm.weight', n * hd, 1.3, .2)
            elif 'headln' in has:
                vector(f'{b}attn_{c}_norm.weight', (n, hd), 1.3, .2)
        matrix(b + 'attn_output', dim, heads * hd)
        if 'plain' in has:
            for n, size in (('attn_output', dim), ('ffn_up', ffn), ('ffn_down', dim)):
                vector(f'{b}{n}.bias', size, 0, .3)
        elif 'fused' not in has:
            matrix(b + 'ffn_gate', ffn, dim, 1.5)
        matrix(b + 'ffn_up', 2 * ffn if 'fused' in has else ffn, dim, 1.5)
        matrix(b + 'ffn_down', dim, ffn)

    shape = {'context_length': 256, 'embedding_length': dim, 'block_count': layers, 'feed_forward_length': ffn,
             'attention.head_count': heads, 'attention.head_count_kv': kv, 'rope.dimension_count': rot or hd, eps: 1e-5}
    if head:
        shape |= {'attention.key_length': head, 'attention.value_length': head}
    kind = {int: U32, float: FLOAT, str: STR}
    meta = [('general.architecture', STR, arch), ('general.name', STR, name), ('general.license', STR, 'mit'),
            ('general.file_type', U32, 1), (arch + '.vocab_size', U32, n_vocab)]
    meta += [(f'{arch}.{k}', kind[type(v)], v) for k, v in (shape | keys).items()] + vocab.meta()

    def write():
        gguf.write(path, meta, [(n, x, k) for n, (x, k) in w.items()])

    write()
    with torch.no_grad():
        spread = float(Model.load(path).forward(vocab.encode(LONG)).std())
    for n in ('output_norm.weight', 'output_norm.bias'):
        if n in w:
            w[n] = w[n][0] * np.float32(SPREAD / spread), F32
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
