#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The small models with experts and with latent attention; random weights, fixed seeds, as mksmall.py makes its own.

usage: mkmoe.py OUTDIR [NAME...]     writes the models and their references
       mkmoe.py seeds NAME...        looks for seeds

A router's choice is a step: where two experts are nearly equal, another order of sums decides, and the logits differ
by whole units. So a seed is taken only if no choice, in any of the cases and in the greedy continuation, is closer than 1e-4,
and if rounding activations to 8 bits moves no log-probability after a case's last token by 0.2 (quantised models; theirs
is one layer, where a token's choice changes nothing for those behind it), and float32, in the absorbed form of latent
attention, none by 3e-5 (float models: a third of the limit is left for another order of sums).
"""
import math
import os
import sys
import tempfile

import numpy as np
import torch

import gguf
from gguf import BOOL, FLOAT, STR, U32, F32, F16, BF16, Q4_0, Q8_0, Q4_K
from mkref import reference
from mksmall import MERGES, PIECES, SHORT, SPREAD, SPREAD_8BIT
from refmodel import Model
from tok import Bpe, Spm

LONG = 'Then the other hen ate the tan nut there, and the ant in the tent then heard the thin note: tea at ten'
NLL = 'The hen and the ant ate the nut in the tent.'

MIXTRAL = dict(arch='llama', heads=4, kv=2, experts=4, used=2)
QWEN = dict(heads=4, kv=2, base=1e6)
MLA = dict(arch='deepseek2', heads=2, kv=1, experts=8, used=3, shared=1, dense=1, kv_lora=32, nope=16, rot=8, v=24)

YARN = {'rope.scaling.type': (STR, 'yarn'), 'rope.scaling.factor': (FLOAT, 4.0),
        'rope.scaling.original_context_length': (U32, 64)}
GRANITE = {x: (FLOAT, v) for x, v in (('embedding_scale', 1.5), ('residual_scale', .8), ('attention.scale', .4),
                                      ('logit_scale', 1.3))}

MODELS = {
    'small-mixtral-F16':    dict(MIXTRAL, seed=36, dim=32, layers=2, ffn=24, t=F16),
    'small-mixtral-Q8_0':   dict(MIXTRAL, seed=24, dim=64, layers=1, ffn=32, t=Q8_0, parts=True),
    'small-qwen2moe-F16':   dict(QWEN, seed=4, arch='qwen2moe', dim=32, layers=1, ffn=72, ffn_exp=24, ffn_shared=40,
                                 experts=6, used=3, t=F16),
    'small-qwen3moe-BF16':  dict(QWEN, seed=10, arch='qwen3moe', dim=32, layers=1, ffn=36, ffn_exp=12,
                                 implied=True, head=24, experts=6, used=3, t=BF16),
    'small-qwen3moe-Q4_K':  dict(QWEN, seed=38, arch='qwen3moe', dim=256, layers=1, ffn=64, ffn_exp=32, head=16,
                                 experts=3, used=2, t=Q4_K, small=Q8_0),
    'small-gptoss-F16':     dict(QWEN, seed=33, arch='gpt-oss', dim=32, layers=2, ffn=24, ffn_exp=24, experts=4, used=2,
                                 head=16, t=F16, keys={**YARN, 'attention.sliding_window': (U32, 8)}),
    'small-olmoe-F16':      dict(seed=38, arch='olmoe', dim=32, layers=1, heads=2, kv=2, ffn=16, experts=4, used=2, t=F16),
    'small-granitemoe-F16': dict(seed=38, arch='granitemoe', dim=32, layers=1, heads=2, kv=1, ffn=16, ffn_shared=20,
                                 experts=4, used=2, t=F16, keys=GRANITE),
    'small-deepseek2-lite': dict(MLA, seed=39, dim=32, layers=2, ffn=40, ffn_exp=20, t=F16, scale=1.5, groups=4,
                                 groups_used=2),
    'small-deepseek2-v3':   dict(MLA, seed=36, dim=32, layers=2, ffn=40, ffn_exp=20, t=F16, q_lora=24, groups=4,
                                 groups_used=2, scale=2.5, norm=True, sigmoid=True, split=True,
                                 keys={**YARN, 'rope.scaling.yarn_log_multiplier': (FLOAT, .1)}),
    'small-deepseek2-Q8_0': dict(MLA, seed=8, dim=64, layers=1, dense=0, ffn=64, ffn_exp=32, t=Q8_0, small=F16, nope=24,
                                 experts=4, used=2, q_lora=32),
    'small-deepseek2-Q4_0': dict(MLA, seed=9, dim=64, layers=1, dense=0, ffn=64, ffn_exp=32, t=Q4_0, small=F16, v=32,
                                 nope=32, experts=4, used=2, sigmoid=True, norm=True, split=True),
}


class Builder:
    def __init__(s, seed, t, small):
        s.rng, s.t, s.small, s.w = np.random.default_rng(seed), t, small or t, {}

    def matrix(s, n, *shape, gain=1.0, t=None):
        """[rows, columns] or [matrices, rows, columns]"""
        cols = shape[-1]
        x = s.rng.standard_normal(shape) * np.exp(.3 * s.rng.standard_normal(shape[:-1] + (1,)))
        x *= np.exp(.3 * s.rng.standard_normal(cols)) * gain / math.sqrt(cols)
        if t is None:
            t = s.t if cols % gguf.BLOCK[s.t][0] == 0 else s.small
        s.w[n] = x.astype(np.float32), t

    def vector(s, n, *shape, mean=0.0, spread=.1):
        s.w[n] = (mean + spread * s.rng.standard_normal(shape)).astype(np.float32), F32

    def experts(s, b, c, dim):
        E, n, shared = c['experts'], c.get('ffn_exp', c['ffn']), c.get('ffn_shared', 0)
        # logits of a spread that makes weights differ
        s.matrix(b + 'ffn_gate_inp.weight', E, dim, gain=1.5, t=F32)
        for which, shape, gain in (('gate', (n, dim), 1.5), ('up', (n, dim), 1.5), ('down', (dim, n), 1.5)):
            if c.get('parts'):
                for e in range(E):
                    s.matrix(f'{b}ffn_{which}.{e}.weight', *shape, gain=gain)
            else:
                s.matrix(f'{b}ffn_{which}_exps.weight', E, *shape, gain=gain)
        if c['arch'] == 'gpt-oss':
            s.vector(b + 'ffn_gate_inp.bias', E, spread=.3)
            # so large that both bounds of the activation are met
            s.vector(b + 'ffn_gate_exps.bias', E, n, spread=3)
            s.vector(b + 'ffn_up_exps.bias', E, n, spread=3)
            s.vector(b + 'ffn_down_exps.bias', E, dim, spread=.3)
        if c.get('sigmoid'):
            s.vector(b + 'exp_probs_b.bias', E, spread=.2)
        if c.get('shared'):
            shared = n * c['shared']
        if shared:
            s.matrix(b + 'ffn_gate_shexp.weight', shared, dim, gain=1.5)
            s.matrix(b + 'ffn_up_shexp.weight', shared, dim, gain=1.5)
            s.matrix(b + 'ffn_down_shexp.weight', dim, shared)
        if c['arch'] == 'qwen2moe':
            s.vector(b + 'ffn_gate_inp_shexp.weight', dim, spread=1.5 / math.sqrt(dim))

    def heads(s, b, c, dim, hd):
        for x, n, gain in (('q', c['heads'], 1.3), ('k', c['kv'], 1.3), ('v', c['kv'], 1.5)):
            s.matrix(f'{b}attn_{x}.weight', n * hd, dim, gain=gain)
            if c['arch'] in ('qwen2moe', 'gpt-oss'):
                s.vector(f'{b}attn_{x}.bias', n * hd, spread=.5)
            if c['arch'] == 'olmoe' and x != 'v':
                s.vector(f'{b}attn_{x}_norm.weight', n * hd, mean=1.3, spread=.2)
        if c['arch'] == 'qwen3moe':
            s.vector(b + 'attn_q_norm.weight', hd, mean=1.3, spread=.2)
            s.vector(b + 'attn_k_norm.weight', hd, mean=1.3, spread=.2)
        s.matrix(b + 'attn_output.weight', dim, c['heads'] * hd)
        if c['arch'] == 'gpt-oss':
            s.vector(b + 'attn_output.bias', dim, spread=.3)
            s.vector(b + 'attn_sinks.weight', c['heads'], mean=1, spread=1)

    def latent(s, b, c, dim):
        H, rank, nope, rot, v, q_lora = (c[x] for x in ('heads', 'kv_lora', 'nope', 'rot', 'v', 'q_lora'))
        if q_lora:
            s.matrix(b + 'attn_q_a.weight', q_lora, dim)
            s.vector(b + 'attn_q_a_norm.weight', q_lora, mean=1)
            s.matrix(b + 'attn_q_b.weight', H * (nope + rot), q_lora, gain=1.5)
        else:
            s.matrix(b + 'attn_q.weight', H * (nope + rot), dim, gain=1.5)
        s.matrix(b + 'attn_kv_a_mqa.weight', rank + rot, dim, gain=1.2)
        s.vector(b + 'attn_kv_a_norm.weight', rank, mean=1.2)
        if c.get('split'):
            s.matrix(b + 'attn_k_b.weight', H, rank, nope)
            s.matrix(b + 'attn_v_b.weight', H, v, rank, gain=1.5)
        else:
            s.matrix(b + 'attn_kv_b.weight', H * (nope + v), rank, gain=1.3)
        s.matrix(b + 'attn_output.weight', dim, H * v)


def metadata(name, c, n_vocab, hd):
    a, mla = c['arch'] + '.', c['arch'] == 'deepseek2'
    kinds = {F32: 0, F16: 1, Q4_0: 2, Q8_0: 7, Q4_K: 14, BF16: 32}
    meta = [('general.architecture', STR, c['arch']), ('general.name', STR, name), ('general.license', STR, 'mit'),
            ('general.file_type', U32, kinds[c['t']]), ('general.quantization_version', U32, 2),
            (a + 'vocab_size', U32, n_vocab), (a + 'context_length', U32, 256),
            (a + 'embedding_length', U32, c['dim']), (a + 'block_count', U32, c['layers']),
            (a + 'feed_forward_length', U32, c['ffn']), (a + 'attention.head_count', U32, c['heads']),
            (a + 'rope.freq_base', FLOAT, c.get('base', 10000.0)),
            (a + 'attention.layer_norm_rms_epsilon', FLOAT, 1e-5),
            (a + 'rope.dimension_count', U32, c['rot'] if mla else hd),
            (a + 'expert_count', U32, c['experts']), (a + 'expert_used_count', U32, c['used'])]
    if 'ffn_exp' in c and not c.get('implied'):
        meta.append((a + 'expert_feed_forward_length', U32, c['ffn_exp']))
    meta += [(a + x, *v) for x, v in c.get('keys', {}).items()]
    if 'ffn_shared' in c:
        meta.append((a + 'expert_shared_feed_forward_length', U32, c['ffn_shared']))
    if not mla:
        meta.append((a + 'attention.head_count_kv', U32, c['kv']))
        if 'head' in c:
            meta += [(a + 'attention.key_length', U32, hd), (a + 'attention.value_length', U32, hd)]
        return meta
    key, rank = c['nope'] + c['rot'], c['kv_lora']
    if c.get('split'):
        meta += [(a + 'attention.head_count_kv', U32, 1), (a + 'attention.key_length', U32, rank + c['rot']),
                 (a + 'attention.value_length', U32, rank), (a + 'attention.key_length_mla', U32, key),
                 (a + 'attention.value_length_mla', U32, c['v'])]
    else:
        meta += [(a + 'attention.head_count_kv', U32, c['heads']), (a + 'attention.key_length', U32, key),
                 (a + 'attention.value_length', U32, c['v'])]
    if c['q_lora']:
        meta.append((a + 'attention.q_lora_rank', U32, c['q_lora']))
    if 'groups' in c:
        meta += [(a + 'expert_group_count', U32, c['groups']), (a + 'expert_group_used_count', U32, c['groups_used'])]
    return meta + [(a + 'attention.kv_lora_rank', U32, rank), (a + 'leading_dense_block_count', U32, c['dense']),
                   (a + 'expert_shared_count', U32, c['shared']), (a + 'expert_weights_norm', BOOL, c.get('norm', False)),
                   (a + 'expert_weights_scale', FLOAT, c.get('scale', 1.0)),
                   (a + 'expert_gating_func', U32, 2 if c.get('sigmoid') else 1)]


def build(path, name, c):
    c = {'q_lora': 0, 'dense': 0, **c}
    vocab = Bpe(MERGES, ['<|endoftext|>']) if 'base' in c else Spm.minimal(PIECES)
    dim, hd = c['dim'], c.get('head', c['dim'] // c['heads'])
    s = Builder(c['seed'], c['t'], c.get('small'))
    s.matrix('token_embd.weight', len(vocab.tokens), dim, gain=.1 * math.sqrt(dim))
    s.vector('output_norm.weight', dim, mean=1)
    for i in range(c['layers']):
        b = f'blk.{i}.'
        s.vector(b + 'attn_norm.weight', dim, mean=1)
        if c['arch'] == 'deepseek2':
            s.latent(b, c, dim)
        else:
            s.heads(b, c, dim, hd)
        s.vector(b + ('post_attention_norm.weight' if c['arch'] == 'gpt-oss' else 'ffn_norm.weight'), dim, mean=1)
        if i < c['dense']:
            s.matrix(b + 'ffn_gate.weight', c['ffn'], dim, gain=1.5)
            s.matrix(b + 'ffn_up.weight', c['ffn'], dim, gain=1.5)
            s.matrix(b + 'ffn_down.weight', dim, c['ffn'])
        else:
            s.experts(b, c, dim)
    meta = metadata(name, c, len(vocab.tokens), hd) + vocab.meta()

    def write():
        gguf.write(path, meta, [(n, x, t) for n, (x, t) in s.w.items()])

    write()
    with torch.no_grad():
        spread = float(Model.load(path).forward(vocab.encode(LONG)).std())
    x, t = s.w['output_norm.weight']
    s.w['output_norm.weight'] = x * np.float32((SPREAD if exact(c) else SPREAD_8BIT) / spread), t
    write()
    return vocab


def exact(c):
    return c['t'] in (F32, F16, BF16)


def cases(c):
    return [SHORT, 'A' if 'base' in c else '', LONG]


def steps(c):
    return 32 if exact(c) else 8


def steady(path, vocab, c):
    """The least margin of all choices, and how far rounded activations move the log-probabilities."""
    torch.set_grad_enabled(False)
    m, m8 = Model.load(path), Model.load(path, act8=True) if not exact(c) else Model.load(path, torch.float32)
    m8.act8 = m8.act8 or {'': 1}                             # absorbed, nothing rounded
    greedy = vocab.encode(SHORT)
    greedy += m.greedy(greedy, steps(c))[0]
    worst = 0.0
    m.forward(greedy)
    for ids in [vocab.encode(x) for x in cases(c)]:
        y, y8 = (torch.log_softmax(x.forward(ids)[0, -1], -1) for x in (m, m8))
        worst = max(worst, float((y - y8).abs().max()))
    return min(m.margins), worst, min(m.margins) > 1e-4 and worst < (3e-5 if exact(c) else .2)


def find_seeds(names):
    for name in names:
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, name + '.gguf')
            found = []
            for seed in range(1, 41):
                c = dict(MODELS[name], seed=seed)
                vocab = build(path, name, c)
                margin, worst, good = steady(path, vocab, c)
                ids = vocab.encode(SHORT)
                varied = len(set(Model.load(path).greedy(ids, steps(c))[0]))
                found.append((good, varied, margin, worst, seed))
        found.sort(reverse=True)
        print(name, *('seed %d: %s, %d different ids, choices %.4f apart, rounding %.1e' %
                      (x[4], x[0], x[1], x[2], x[3]) for x in found[:4]), sep='\n  ', flush=True)


def main(out, names):
    for name in names or MODELS:
        path, c = os.path.join(out, name + '.gguf'), MODELS[name]
        vocab = build(path, name, c)
        margin, worst, good = steady(path, vocab, c)
        assert good, (name, margin, worst)
        r = reference(path, out, cases(c), (0,), steps(c), NLL)
        print(name, os.path.getsize(path), r['tensor_types'], 'tokens', [len(x['tokens']) for x in r['cases']],
              'choices %.4f apart' % margin, 'rounding %.1e' % worst, repr(r['cases'][0]['greedy_text']), flush=True)


if __name__ == '__main__':
    if sys.argv[1] == 'seeds':
        find_seeds(sys.argv[2:] or MODELS)
    else:
        main(sys.argv[1], sys.argv[2:])
