#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The small models of tests/golden/data: every variant of the first slice, random weights, fixed seeds.

usage: mksmall.py OUTDIR [PART-OF-A-NAME]

The weights are random but not flat: rows and columns have their own scale, attention scores have a spread of about
two, layers outweigh the embedding (else a tied model only repeats its last token; the seeds are those of 40 that
repeat least), and the last norm is scaled until the logits spread as those of a trained model do.
"""
import math
import os
import sys

import numpy as np
import torch

import gguf
from gguf import FLOAT, STR, U32, F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K
from iq import IQ1_M, IQ1_S, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS, IQ4_NL, IQ4_XS, MXFP4
from mkref import reference
from refmodel import Model
from tok import SPACE, Bpe, Spm

# Standard deviation of the logits. At 3, 8-bit activations in rows this short cost up to 0.12 RMS and 0.5 at
# worst; the smaller spread keeps them well under the limits that wider models meet.
SPREAD, SPREAD_8BIT = 3.0, 1.25
SHORT = 'The old owl sat in the tree'
LONG = ('Then the other hen ate the tan nut there, and the ant in the tent then heard the thin note: tea at ten, '
        'tin hat! An inn, 12 + 30 = 42, the end.')
NLL = 'The hen and the ant ate the nut in the tent, then the other ant ran to the inn.'
MERGES = [('t', 'h'), ('th', 'e'), ('Ġ', 't'), ('Ġ', 'a'), ('e', 'n'), ('a', 'n'), ('Ġt', 'he'), ('an', 'd'),
          ('i', 'n'), ('Ġa', 'n')]
PIECES = [SPACE + 't', 'he', SPACE + 'the', 'en', 'an', SPACE, 't', 'h', 'e', 'a', 'n']

# dim, layers, heads, KV heads, ffn; `t` is the type of matrices, `small` of those whose rows do not fill a block, `mix`
# of those with these names
MODELS = {
    'small-llama-F32':       dict(seed=25, dim=32, layers=2, heads=2, kv=1, ffn=24, t=F32, untied=True),
    'small-llama-ropefreqs': dict(seed=36, dim=32, layers=1, heads=2, kv=1, ffn=24, t=F16, base=500000.0, freqs=True),
    'small-llama-linear':    dict(seed=40, dim=32, layers=1, heads=2, kv=1, ffn=24, t=F16, linear=4.0),
    'small-llama-headdim':   dict(seed=33, dim=32, layers=2, heads=3, kv=1, ffn=24, t=F16, head=16),
    'small-qwen2-BF16':      dict(seed=10, arch='qwen2', dim=32, layers=2, heads=4, kv=2, ffn=24, t=BF16, base=1e6),
    'small-qwen3-F16':       dict(seed=14, arch='qwen3', dim=32, layers=2, heads=2, kv=1, ffn=24, t=F16, base=1e6,
                                  head=24),
    'small-llama-Q8_0':      dict(seed=12, dim=64, layers=1, heads=4, kv=2, ffn=64, t=Q8_0),
    'small-llama-Q4_0':      dict(seed=29, dim=64, layers=2, heads=4, kv=2, ffn=64, t=Q4_0),
    'small-llama-Q4_K':      dict(seed=25, dim=256, layers=1, heads=2, kv=1, ffn=32, t=Q4_K, small=Q8_0, head=16),
    'small-llama-Q6_K':      dict(seed=32, dim=256, layers=1, heads=2, kv=1, ffn=32, t=Q6_K, small=Q8_0, head=16),
    'small-llama-Q5':        dict(seed=14, dim=64, layers=2, heads=4, kv=2, ffn=64, t=Q4_1,
                                  mix={'attn_q': Q5_0, 'attn_v': Q5_1, 'ffn_gate': Q5_0, 'ffn_down': Q5_1}),
    'small-llama-K':         dict(seed=12, dim=256, layers=1, heads=2, kv=1, ffn=32, t=Q3_K, small=Q5_0, head=16,
                                  mix={'attn_q': Q2_K, 'attn_v': Q5_K, 'ffn_gate': Q2_K, 'ffn_up': Q5_K}),
    'small-llama-IQ4':       dict(seed=32, dim=256, layers=1, heads=2, kv=1, ffn=32, t=IQ4_XS, small=IQ4_NL, head=16,
                                  mix={'ffn_down': MXFP4}),
    'small-llama-IQ':        dict(seed=32, dim=256, layers=1, heads=2, kv=1, ffn=256, t=IQ3_S, small=Q8_0, head=16,
                                  mix={'attn_q': IQ2_XXS, 'attn_k': IQ2_XS, 'attn_v': IQ2_S, 'ffn_gate': IQ3_XXS,
                                       'ffn_up': IQ1_S, 'ffn_down': IQ1_M}),
}


def llama3_factors(n_rot, base, factor=8.0, low=1.0, high=4.0, context=64):
    """Meta's rule: long waves are stretched by the factor, short ones kept, those between blended. The context is
    64 here (8192 in Llama 3.1), so that a hundred tokens feel it."""
    wave = 2 * math.pi * base ** (np.arange(n_rot // 2) * 2 / n_rot)
    blend = np.clip((context / wave - low) / (high - low), 0, 1)
    return (1 / ((1 - blend) / factor + blend)).astype(np.float32)


def build(path, name, *, seed, arch='llama', dim, layers, heads, kv, ffn, t, small=None, untied=False, base=10000.0,
          head=None, freqs=False, linear=None, mix={}):
    rng = np.random.default_rng(seed)
    spm = arch == 'llama'
    vocab = Spm.minimal(PIECES) if spm else Bpe(MERGES, ['<|endoftext|>', '<|im_start|>', '<|im_end|>'])
    n_vocab, hd = len(vocab.tokens), head or dim // heads
    w = {}

    def matrix(n, rows, cols, gain=1.0):
        x = rng.standard_normal((rows, cols)) * np.exp(.3 * rng.standard_normal((rows, 1)))
        x *= np.exp(.3 * rng.standard_normal(cols)) * gain / math.sqrt(cols)
        kind = mix.get(n.split('.')[-2]) or (t if cols % gguf.BLOCK[t][0] == 0 else small)
        w[n] = x.astype(np.float32), kind

    def vector(n, size, mean, spread):
        w[n] = (mean + spread * rng.standard_normal(size)).astype(np.float32), F32

    matrix('token_embd.weight', n_vocab, dim, .1 * math.sqrt(dim))
    vector('output_norm.weight', dim, 1, .1)
    if untied:
        matrix('output.weight', n_vocab, dim)
    if freqs:
        w['rope_freqs.weight'] = llama3_factors(hd, base), F32
    for i in range(layers):
        b = f'blk.{i}.'
        vector(b + 'attn_norm.weight', dim, 1, .1)
        for c, n, gain in (('q', heads, 1.3), ('k', kv, 1.3), ('v', kv, 1.5)):
            matrix(f'{b}attn_{c}.weight', n * hd, dim, gain)
            if arch == 'qwen2':
                vector(f'{b}attn_{c}.bias', n * hd, 0, .5)
        if arch == 'qwen3':
            vector(b + 'attn_q_norm.weight', hd, 1.3, .2)
            vector(b + 'attn_k_norm.weight', hd, 1.3, .2)
        matrix(b + 'attn_output.weight', dim, heads * hd)
        vector(b + 'ffn_norm.weight', dim, 1, .1)
        matrix(b + 'ffn_gate.weight', ffn, dim, 1.5)
        matrix(b + 'ffn_up.weight', ffn, dim, 1.5)
        matrix(b + 'ffn_down.weight', dim, ffn)

    a = arch + '.'
    file_type = {F32: 0, F16: 1, Q4_0: 2, Q4_1: 3, Q8_0: 7, Q3_K: 12, Q4_K: 14, Q6_K: 18, IQ3_S: 26, IQ4_XS: 30, BF16: 32}[t]
    meta = [('general.architecture', STR, arch), ('general.name', STR, name), ('general.license', STR, 'mit'),
            ('general.file_type', U32, file_type), ('general.quantization_version', U32, 2),
            (a + 'vocab_size', U32, n_vocab), (a + 'context_length', U32, 256),
            (a + 'embedding_length', U32, dim), (a + 'block_count', U32, layers), (a + 'feed_forward_length', U32, ffn),
            (a + 'attention.head_count', U32, heads), (a + 'attention.head_count_kv', U32, kv),
            (a + 'rope.freq_base', FLOAT, base), (a + 'attention.layer_norm_rms_epsilon', FLOAT, 1e-5 if spm else 1e-6)]
    if spm:
        meta.append((a + 'rope.dimension_count', U32, hd))
    if head:
        meta += [(a + 'attention.key_length', U32, hd), (a + 'attention.value_length', U32, hd)]
    if linear:
        meta += [(a + 'rope.scaling.type', STR, 'linear'), (a + 'rope.scaling.factor', FLOAT, linear)]
    meta += vocab.meta()

    def write():
        gguf.write(path, meta, [(n, x, kind) for n, (x, kind) in w.items()])

    write()
    with torch.no_grad():
        spread = float(Model.load(path).forward(vocab.encode(LONG)).std())
    x, kind = w['output_norm.weight']
    w['output_norm.weight'] = x * np.float32((SPREAD if t in (F32, F16, BF16) else SPREAD_8BIT) / spread), kind
    write()


def main(out, only=''):
    for name, shape in MODELS.items():
        if only not in name:
            continue
        path = os.path.join(out, name + '.gguf')
        build(path, name, **shape)
        one = '' if shape.get('arch', 'llama') == 'llama' else 'A'          # one token: BOS, or a letter
        r = reference(path, out, [SHORT, one, LONG], (0,), 32, NLL)
        print(name, os.path.getsize(path), r['tensor_types'], 'tokens', [len(c['tokens']) for c in r['cases']],
              'nll %.3f' % r['nll']['mean'], 'argmax', [c['argmax'] for c in r['cases']],
              'least margin %.3f' % r['cases'][0]['greedy_min_margin'], repr(r['cases'][0]['greedy_text']))


if __name__ == '__main__':
    main(*sys.argv[1:])
