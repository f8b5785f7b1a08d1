#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Small random models of the hybrids of refhybrid.py, with their references, into tests/golden/data.

usage: mkhybrid.py OUTDIR [PART-OF-A-NAME]     writes the models and their references
       mkhybrid.py seeds [PART-OF-A-NAME]      looks for seeds of those with experts, as mkmoe.py does

Weights as mkrecur.py and mkmoe.py make them. In `layers` M stands for Mamba, * for attention, + for both side by side,
- for a feed-forward that is a layer of its own.
"""
import math
import os
import sys
import tempfile

import numpy as np
import torch

import gguf
from gguf import ARR, BOOL, F16, F32, FLOAT, I32, Q8_0, STR, U32
from mkmoe import GRANITE, Builder, cases, exact, steady, steps
from mkref import reference
from mksmall import PIECES, SPREAD, SPREAD_8BIT
from mksmall import LONG, NLL
from refmodel import Model
from tok import Spm

TURNLESS = {'rope.scaling.finetuned': (BOOL, False)}

MODELS = {
    # as published: nothing turns
    'small-granitehybrid':      dict(seed=1, arch='granitehybrid', t=F16, dim=32, layers='M*M', heads=2, kv=1, ffn=24, inner=64,
                                     state=16, conv=4, rank=4, groups=1, keys={**GRANITE, **TURNLESS}),
    'small-granitehybrid-moe':  dict(seed=10, arch='granitehybrid', t=F16, dim=32, layers='M*', heads=2, kv=1, ffn=16, inner=64,
                                     state=16, conv=4, rank=2, groups=2, experts=4, used=2, ffn_shared=20, keys=GRANITE),
    'small-granitehybrid-Q8_0': dict(seed=3, arch='granitehybrid', t=Q8_0, dim=64, layers='*M', heads=4, kv=2, ffn=64, inner=128,
                                     state=32, conv=4, rank=4, groups=1, keys={**GRANITE, **TURNLESS}),
    # the two kinds that are published: without and with the norm of heads
    'small-falcon-h1':          dict(seed=5, arch='falcon-h1', t=F16, dim=32, layers='++', heads=3, kv=1, head=16, ffn=24, inner=48,
                                     state=16, conv=4, rank=3, groups=1, norm=False),
    'small-falcon-h1-norm':     dict(seed=6, arch='falcon-h1', t=Q8_0, dim=64, layers='+', heads=4, kv=2, head=16, ffn=64, inner=96,
                                     state=32, conv=4, rank=6, groups=2),
    # experts every other layer
    'small-jamba':              dict(seed=17, arch='jamba', t=F16, dim=32, layers='M*', heads=2, kv=1, ffn=20, inner=64, state=8,
                                     conv=4, rank=5, groups=0, experts=4, used=2, experts_at=1),
    # three groups of two heads; heads of 24; biases, which published models could have and have not
    'small-nemotron_h':         dict(seed=4, arch='nemotron_h', t=F16, dim=32, layers='M-*M-', heads=2, kv=1, head=24, ffn=40,
                                     inner=96, state=16, conv=4, rank=6, groups=3, biases=True,
                                     keys={'attention.layer_norm_epsilon': (FLOAT, 1e-5)}),
}


class Hybrid(Builder):
    def mamba(s, b, c):
        dim, inner, state, rank, groups = (c[x] for x in ('dim', 'inner', 'state', 'rank', 'groups'))
        if not groups:
            s.mamba1(b, c)
            return
        wide = inner + 2 * groups * state
        s.matrix(b + 'ssm_in.weight', inner + wide + rank, dim, gain=1.5)
        s.vector(b + 'ssm_conv1d.weight', wide, c['conv'], spread=.7)
        s.vector(b + 'ssm_conv1d.bias', wide, spread=.3)
        s.uniform(b + 'ssm_dt.bias', -4, 0, rank)
        s.uniform(b + 'ssm_a', -2, 1, rank, 1)
        s.w[b + 'ssm_a'] = -np.exp(s.w[b + 'ssm_a'][0]), F32
        s.vector(b + 'ssm_d', rank, 1, mean=1, spread=.3)
        if c.get('norm', True):
            s.vector(b + 'ssm_norm.weight', groups, inner // groups, mean=1, spread=.2)
        s.matrix(b + 'ssm_out.weight', dim, inner, gain=1.5)

    def mamba1(s, b, c):
        dim, inner, state, rank = (c[x] for x in ('dim', 'inner', 'state', 'rank'))
        s.matrix(b + 'ssm_in.weight', 2 * inner, dim, gain=1.5)
        s.vector(b + 'ssm_conv1d.weight', inner, c['conv'], spread=.7)
        s.vector(b + 'ssm_conv1d.bias', inner, spread=.3)
        s.matrix(b + 'ssm_x.weight', rank + 2 * state, inner, gain=1.5)
        for n, size in (('dt', rank), ('b', state), ('c', state)):
            s.vector(f'{b}ssm_{n}_norm.weight', size, mean=1, spread=.3)
        s.matrix(b + 'ssm_dt.weight', inner, rank)
        s.uniform(b + 'ssm_dt.bias', -4, 0, inner)
        s.uniform(b + 'ssm_a', -2, 1, inner, state)
        s.w[b + 'ssm_a'] = -np.exp(s.w[b + 'ssm_a'][0]), F32
        s.vector(b + 'ssm_d', inner, mean=1, spread=.3)
        s.matrix(b + 'ssm_out.weight', dim, inner, gain=1.5)

    def uniform(s, n, least, most, *shape):
        s.w[n] = s.rng.uniform(least, most, shape).astype(np.float32), F32

    def alone(s, b, c):
        s.matrix(b + 'ffn_up.weight', c['ffn'], c['dim'], gain=1.5)
        s.matrix(b + 'ffn_down.weight', c['dim'], c['ffn'], gain=.5)
        for n, size in (('up', c['ffn']), ('down', c['dim'])):
            s.vector(f'{b}ffn_{n}.bias', size, spread=.3)

    def ffn(s, b, c, i):
        s.vector(b + ('ffn_norm' if c['arch'] == 'falcon-h1' else 'ffn_norm.weight'), c['dim'], mean=1)
        if 'experts' in c and i % 2 == c.get('experts_at', i % 2):
            s.experts(b, c, c['dim'])
            return
        s.matrix(b + 'ffn_gate.weight', c['ffn'], c['dim'], gain=1.5)
        s.matrix(b + 'ffn_up.weight', c['ffn'], c['dim'], gain=1.5)
        s.matrix(b + 'ffn_down.weight', c['dim'], c['ffn'])


def metadata(name, c, n_vocab):
    a, hd = c['arch'] + '.', c.get('head', c['dim'] // c['heads'])
    numbers = {'vocab_size': n_vocab, 'context_length': 256, 'embedding_length': c['dim'], 'block_count': len(c['layers']),
               'attention.head_count': c['heads'], 'rope.dimension_count': hd,
               'ssm.conv_kernel': c['conv'], 'ssm.inner_size': c['inner'], 'ssm.state_size': c['state'],
               'ssm.time_step_rank': c['rank'], 'ssm.group_count': c['groups'], 'expert_count': c.get('experts', 0),
               'expert_used_count': c.get('used', 0)}
    if not c['groups']:
        del numbers['ssm.group_count'], numbers['rope.dimension_count']
    if 'ffn_shared' in c:
        numbers['expert_shared_feed_forward_length'] = c['ffn_shared']
    if 'head' in c:
        numbers |= {'attention.key_length': hd, 'attention.value_length': hd}
    if '-' in c['layers']:
        ffn = [(a + 'feed_forward_length', ARR, (I32, [c['ffn'] if x == '-' else 0 for x in c['layers']]))]
    else:
        ffn = [(a + 'feed_forward_length', U32, c['ffn'])]
    if '+' in c['layers']:
        kv = [(a + 'attention.head_count_kv', U32, c['kv'])]
    else:
        kv = [(a + 'attention.head_count_kv', ARR, (I32, [c['kv'] if x == '*' else 0 for x in c['layers']]))]
    return ([('general.architecture', STR, c['arch']), ('general.name', STR, name), ('general.license', STR, 'mit'),
             ('general.file_type', U32, 1 if c['t'] == F16 else 7), ('general.quantization_version', U32, 2)] +
            [(a + k, U32, v) for k, v in numbers.items()] + ffn +
            kv + [(a + 'attention.layer_norm_rms_epsilon', FLOAT, 1e-5), (a + 'rope.freq_base', FLOAT, 10000.0)] +
            [(a + k, *v) for k, v in c.get('keys', {}).items()])


def build(path, name, c):
    vocab, dim = Spm.minimal(PIECES), c['dim']
    s = Hybrid(c['seed'], c['t'], None)
    s.matrix('token_embd.weight', len(vocab.tokens), dim, gain=.1 * math.sqrt(dim))
    s.vector('output_norm.weight', dim, mean=1)
    for i, kind in enumerate(c['layers']):
        b = f'blk.{i}.'
        s.vector(b + 'attn_norm.weight', dim, mean=1)
        if kind in 'M+':
            s.mamba(b, c)
        if kind == '-':
            s.alone(b, c)
        elif kind in '*+':
            s.heads(b, c, dim, c.get('head', dim // c['heads']))
            for n, size in (('q', c['heads'] * c['head']), ('k', c['kv'] * c['head']), ('v', c['kv'] * c['head']),
                            ('output', dim)) if 'biases' in c else ():
                s.vector(f'{b}attn_{n}.bias', size, spread=.3)
        if '-' not in c['layers']:
            s.ffn(b, c, i)
    meta = metadata(name, c, len(vocab.tokens)) + vocab.meta()

    def write():
        gguf.write(path, meta, [(n, x, t) for n, (x, t) in s.w.items()])

    write()
    with torch.no_grad():
        spread = float(Model.load(path).forward(vocab.encode(LONG)).std())
    x, t = s.w['output_norm.weight']
    s.w['output_norm.weight'] = x * np.float32((SPREAD if exact(c) else SPREAD_8BIT) / spread), t
    write()
    return vocab


def find_seeds(part=''):
    for name, c in MODELS.items():
        if part not in name or 'experts' not in c:
            continue
        with tempfile.TemporaryDirectory() as d:
            path, found = os.path.join(d, name + '.gguf'), []
            for seed in range(1, 31):
                vocab = build(path, name, dict(c, seed=seed))
                margin, worst, good = steady(path, vocab, c)
                varied = len(set(Model.load(path).greedy(vocab.encode(cases(c)[0]), steps(c))[0]))
                found.append((good, varied, margin, worst, seed))
        print(name, sorted(found, reverse=True)[:4], flush=True)


def main(out, part=''):
    for name, c in MODELS.items():
        if part not in name:
            continue
        path = os.path.join(out, name + '.gguf')
        vocab = build(path, name, c)
        if 'experts' in c:
            assert steady(path, vocab, c)[2], steady(path, vocab, c)
        r = reference(path, out, cases(c), (0,), steps(c), NLL)
        print(name, os.path.getsize(path), 'nll %.3f' % r['nll']['mean'], 'argmax', [x['argmax'] for x in r['cases']],
              'least margin %.3f' % r['cases'][0]['greedy_min_margin'], repr(r['cases'][0]['greedy_text']))


if __name__ == '__main__':
    (find_seeds if sys.argv[1] == 'seeds' else main)(*sys.argv[1 + (sys.argv[1] == 'seeds'):])
