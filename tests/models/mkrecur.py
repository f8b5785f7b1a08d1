#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Small random models of the recurrent architectures of refrecur.py, with their references, into tests/golden/data.

usage: mkrecur.py OUTDIR [PART-OF-A-NAME]

Decays are such that what was said a few tokens ago matters as well as what was said at the beginning. Weights as
mksmall.py makes them.
"""
import math
import os
import sys

import numpy as np
import torch

import gguf
from gguf import BOOL, F16, F32, FLOAT, Q8_0, STR, U32
from mkref import reference
from mksmall import LONG, NLL, PIECES, SHORT, SPREAD, SPREAD_8BIT
from refmodel import Model
from tok import Spm

MODELS = {
    'small-mamba':      dict(seed=1, arch='mamba', t=F16, dim=32, layers=2, inner=48, state=8, conv=4, rank=5),
    'small-mamba-Q8_0': dict(seed=2, arch='mamba', t=Q8_0, dim=32, layers=2, inner=64, state=16, conv=3, rank=32),
    'small-falcon-mamba': dict(seed=7, arch='mamba', t=F16, dim=32, layers=2, inner=64, state=8, conv=4, rank=5, rms=True),
    # a width of heads that is no multiple of the other widths, two groups of B and C, an output of its own
    'small-mamba2':     dict(seed=3, arch='mamba2', t=F16, dim=32, layers=2, inner=128, state=16, conv=4, rank=4, groups=2,
                             untied=True),
    'small-rwkv6':      dict(seed=4, arch='rwkv6', t=F16, dim=32, layers=3, ffn=40, size=8, low=4, rescale=2),
    'small-rwkv7':      dict(seed=5, arch='rwkv7', t=F16, dim=48, layers=2, ffn=40, size=24, low=4),
    'small-rwkv7-Q8_0': dict(seed=6, arch='rwkv7', t=Q8_0, dim=64, layers=2, ffn=96, size=32, low=8),
    'small-rwkv6qwen2': dict(seed=7, arch='rwkv6qwen2', t=F16, dim=48, layers=2, ffn=40, size=8, low=4, kv=2, biases=True),
    'small-rwkv6qwen2-Q8_0': dict(seed=16, arch='rwkv6qwen2', t=Q8_0, dim=64, layers=2, ffn=96, size=16, low=8, kv=4),
    'small-arwkv7':     dict(seed=16, arch='arwkv7', t=F16, dim=64, layers=2, ffn=40, size=32, low=2),
    'small-arwkv7-Q8_0': dict(seed=10, arch='arwkv7', t=Q8_0, dim=64, layers=2, ffn=96, size=32, low=4, gate=16,
                              head_norm=True),
}


def build(path, name, *, seed, arch, t, dim, layers, untied=False, inner=0, state=0, conv=0, rank=0, groups=0, ffn=0,
          size=0, low=0, rescale=0, rms=False, kv=0, biases=False, gate=0, head_norm=False):
    rng, w = np.random.default_rng(seed), {}
    rwkv_blocks = arch in ('rwkv6', 'rwkv7')
    vocab = Spm.minimal(PIECES)
    n_vocab = len(vocab.tokens)

    def matrix(n, rows, cols, gain=1.0, kind=t, count=0):
        x = rng.standard_normal((count or 1, rows, cols)) * np.exp(.3 * rng.standard_normal((count or 1, rows, 1)))
        x = x * np.exp(.3 * rng.standard_normal(cols)) * gain / math.sqrt(cols)
        w[n + '.weight'] = (x if count else x[0]).astype(np.float32), kind

    def vector(n, shape, mean, spread):
        w[n] = (mean + spread * rng.standard_normal(shape)).astype(np.float32), F32

    def uniform(n, shape, least, most):
        w[n] = rng.uniform(least, most, shape).astype(np.float32), F32

    def norm(n, shape=dim):
        vector(n + '.weight', shape, 1, .2)
        if rwkv_blocks or n.endswith('time_mix_ln'):
            vector(n + '.bias', shape, 0, .2)

    def mamba(b):
        wide = inner + 2 * groups * state
        norm(b + 'attn_norm')
        matrix(b + 'ssm_in', inner + wide + rank if groups else 2 * inner, dim, 1.5)
        vector(b + 'ssm_conv1d.weight', (wide, conv), 0, .7)
        vector(b + 'ssm_conv1d.bias', wide, 0, .3)
        uniform(b + 'ssm_dt.bias', rank if groups else inner, -4, 0)
        if groups:
            w[b + 'ssm_a'] = -np.exp(rng.uniform(-2, 1, (rank, 1))).astype(np.float32), F32
            vector(b + 'ssm_d', (rank, 1), 1, .3)
            norm(b + 'ssm_norm', (groups, inner // groups))
        else:
            w[b + 'ssm_a'] = -np.exp(rng.uniform(-2, 1, (inner, state))).astype(np.float32), F32
            vector(b + 'ssm_d', inner, 1, .3)
            matrix(b + 'ssm_x', rank + 2 * state, inner, 1.5)
            matrix(b + 'ssm_dt', inner, rank)
        matrix(b + 'ssm_out', dim, inner)

    def rwkv(b):
        norm(b + 'attn_norm')
        norm(b + ('attn_norm_2' if rwkv_blocks else 'ffn_norm'))
        if rwkv_blocks or head_norm:
            norm(b + 'time_mix_ln')
        for c in 'receptance', 'key', 'value', 'output':
            rows = kv * size if kv and c in ('key', 'value') else dim
            matrix(b + 'time_mix_' + c, rows, dim, 1.3)
            if biases and c != 'output':
                vector(f'{b}time_mix_{c}.bias', rows, 0, .5)
        uniform(b + 'time_mix_lerp_fused.weight', (6 if arch == 'rwkv7' or gate else 5, 1, 1, dim), 0, 1)
        if rwkv_blocks:
            uniform(b + 'channel_mix_lerp_k.weight', (1, 1, dim), 0, 1)
            matrix(b + 'channel_mix_key', ffn, dim, 1.3)
            matrix(b + 'channel_mix_value', dim, ffn)
        else:
            matrix(b + 'ffn_gate', ffn, dim, 1.3)
            matrix(b + 'ffn_up', ffn, dim, 1.3)
            matrix(b + 'ffn_down', dim, ffn)
        if 'rwkv6' in arch:
            uniform(b + 'time_mix_lerp_x.weight', (1, 1, dim), 0, 1)
            matrix(b + 'time_mix_w1', 5 * low, dim, 1, F32)
            matrix(b + 'time_mix_w2', dim, low, .5, F32, 5)
            if rwkv_blocks:
                vector(b + 'time_mix_first.weight', (dim // size, size), 0, 1)
            uniform(b + 'time_mix_decay.weight', dim, -6, 1)
            matrix(b + 'time_mix_decay_w1', 2 * low, dim, 1, F32)
            matrix(b + 'time_mix_decay_w2', dim, 2 * low, 1, F32)
            matrix(b + 'time_mix_gate', dim, dim, 1.3)
            if rwkv_blocks:
                uniform(b + 'channel_mix_lerp_r.weight', (1, 1, dim), 0, 1)
                matrix(b + 'channel_mix_receptance', dim, dim, 1.3)
            return
        uniform(b + 'time_mix_w0.weight', dim, -6, 1)
        for c, r, spread in ('w', 2 * low, 0), ('a', 2 * low, 1), ('v', low, 1), ('g', 3 * low if rwkv_blocks else gate, 0):
            if c == 'v' and b == 'blk.0.' and rwkv_blocks:
                continue
            if not r:
                continue
            if c == 'v' and b == 'blk.0.':                   # llama.cpp demands what is not used, as wide as a's
                r = 2 * low
            if spread:
                vector(f'{b}time_mix_{c}0.weight', dim, 0, spread)
            matrix(f'{b}time_mix_{c}1', r, dim, 1.3, F32)
            matrix(f'{b}time_mix_{c}2', dim, r, 1.3, F32)
        for c, mean, spread in ('k_k', 1, .3), ('k_a', 1, .3), ('r_k', 0, .3):
            vector(f'{b}time_mix_{c}.weight', dim, mean, spread)

    matrix('token_embd', n_vocab, dim, .1 * math.sqrt(dim))
    norm('output_norm')
    if rwkv_blocks:
        norm('token_embd_norm')
    if untied or 'rwkv' in arch:
        matrix('output', n_vocab, dim)
    for i in range(layers):
        (rwkv if 'rwkv' in arch else mamba)(f'blk.{i}.')

    shape = {'context_length': 256, 'embedding_length': dim, 'block_count': layers, 'feed_forward_length': ffn,
             'attention.head_count': 0, 'vocab_size': n_vocab,
             f'attention.layer_norm_{"" if rwkv_blocks else "rms_"}epsilon': 1e-5}
    if 'mamba' in arch:
        shape |= {'ssm.conv_kernel': conv, 'ssm.inner_size': inner, 'ssm.state_size': state, 'ssm.time_step_rank': rank}
        shape |= {'ssm.group_count': groups} if groups else {}
    elif 'rwkv6' in arch:
        shape |= {'wkv.head_size': size, 'time_mix_extra_dim': low, 'time_decay_extra_dim': 2 * low}
        shape |= {'rescale_every_n_layers': rescale} if rwkv_blocks else {'attention.head_count_kv': kv}
    else:
        shape |= {'wkv.head_size': size, 'attention.decay_lora_rank': 2 * low, 'attention.iclr_lora_rank': 2 * low,
                  'attention.value_residual_mix_lora_rank': low,
                  'attention.gate_lora_rank': 3 * low if rwkv_blocks else gate}
    if 'rwkv' in arch and not rwkv_blocks:
        shape['token_shift_count'] = 1
    if rms:
        shape['ssm.dt_b_c_rms'] = True
    kind = {int: U32, float: FLOAT, bool: BOOL}
    meta = [('general.architecture', STR, arch), ('general.name', STR, name), ('general.license', STR, 'mit'),
            ('general.file_type', U32, 1 if t == F16 else 7)]
    meta += [(f'{arch}.{k}', kind[type(v)], v) for k, v in shape.items()] + vocab.meta()

    def write():
        gguf.write(path, meta, [(n, x, k) for n, (x, k) in w.items()])

    write()
    with torch.no_grad():
        spread = float(Model.load(path).forward(vocab.encode(LONG)).std())
    for n in ('output_norm.weight', 'output_norm.bias'):
        if n in w:
            w[n] = w[n][0] * np.float32((SPREAD if t == F16 else SPREAD_8BIT) / spread), F32
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
