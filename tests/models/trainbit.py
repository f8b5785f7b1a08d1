#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make zen5-bitnet.gguf: a BitNet b1.58 (arXiv 2402.17764, 2504.12285) of the text and the vocabulary of zen5-tiny.

usage: trainbit.py train WORKDIR SECONDS [TOTAL]   goes on from WORKDIR/state.pt if it is there; the learning rate falls
                                                   over TOTAL seconds of one CPU of all runs together
       trainbit.py pack  WORKDIR OUT.gguf
       trainbit.py check MODEL.gguf                as train.py does

Weights are kept as floats and used as ternary ones with the mean of their sizes, activations as 8-bit numbers in blocks of
256; gradients pass both as if they were not there (the straight-through estimator of the paper).
"""
import math
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

import gguf
import grammar
import train
from refmodel import Model, rms_norm, round_blocks
from ternary import I2_S
from tok import Spm

ARCH, DIM, LAYERS, HEADS, KV_HEADS, FFN, CONTEXT = 'bitnet-b1.58', 256, 4, 8, 4, 768, 512
HEAD, EPS, BASE = DIM // HEADS, 1e-5, 10000.0
LR, TOKENS_A_STEP, SHORT = 4e-3, 2304, 192
HERE = os.path.dirname(os.path.abspath(__file__))
SUB = {'attn_output': 'attn_sub_norm', 'ffn_down': 'ffn_sub_norm'}


def meta():
    m = {'vocab_size': train.VOCAB, 'context_length': CONTEXT, 'embedding_length': DIM, 'block_count': LAYERS,
         'feed_forward_length': FFN, 'attention.head_count': HEADS, 'attention.head_count_kv': KV_HEADS,
         'rope.dimension_count': HEAD, 'rope.freq_base': BASE, 'attention.layer_norm_rms_epsilon': EPS}
    return [('general.architecture', gguf.STR, ARCH), ('general.name', gguf.STR, 'zen5-bitnet'),
            ('general.license', gguf.STR, 'mit'), ('general.file_type', gguf.U32, 40)] + [
            (f'{ARCH}.{k}', gguf.FLOAT if isinstance(v, float) else gguf.U32, v) for k, v in m.items()]


def vocabulary():
    g = gguf.Gguf(os.path.join(HERE, 'zen5-tiny.gguf'))
    return Spm(g.meta['tokenizer.ggml.tokens'], g.meta['tokenizer.ggml.scores'])


def ternary(w):
    """Nearest of -1, 0 and 1 times the mean size."""
    size = w.abs().mean().clamp(min=1e-5)
    return (w / size).round().clamp(-1, 1) * size


def straight(x, y):
    return x + (y - x).detach()


class Net(Model):
    """Batches of sequences; refdense.BitNet2B is the definition, and what the file is checked against."""

    def __init__(s, weights, ready=False):
        """ready: matrices are ternary already"""
        s.ready = ready
        s.w, s.dtype, s.arch, s.act8 = weights, torch.float32, ARCH, {}
        s.meta, s.eps = {k: v for k, _, v in meta()}, EPS

    def linear(s, x, name):
        part = name.split('.')[-1]
        if part in SUB:
            x = rms_norm(x, s.w[name.replace(part, SUB[part]) + '.weight'], EPS)
        w = s.w[name + '.weight']
        if name.startswith('blk'):
            x, w = straight(x, round_blocks(x, 256)), w if s.ready else straight(w, ternary(w))
        return F.linear(x, w)

    def forward(s, tokens):
        tokens = torch.as_tensor(tokens)
        tokens = tokens if tokens.dim() == 2 else tokens[None]
        T = tokens.shape[1]
        rot, mask = s.angles(T), torch.full((T, T), float('-inf')).triu(1)
        x = s.w['token_embd.weight'][tokens]
        for i in range(LAYERS):
            b = f'blk.{i}.'
            x = x + Model.attention(s, rms_norm(x, s.w[b + 'attn_norm.weight'], EPS), b, rot, mask)
            h = rms_norm(x, s.w[b + 'ffn_norm.weight'], EPS)
            x = x + s.linear(F.relu(s.linear(h, b + 'ffn_gate')) ** 2 * s.linear(h, b + 'ffn_up'), b + 'ffn_down')
        return s.linear(rms_norm(x, s.w['output_norm.weight'], EPS), 'token_embd')


def fresh_weights():
    g = torch.Generator().manual_seed(5)

    def normal(rows, columns):
        return torch.randn(rows, columns, generator=g) / math.sqrt(columns)

    w = {'token_embd.weight': normal(train.VOCAB, DIM), 'output_norm.weight': torch.ones(DIM)}
    for i in range(LAYERS):
        b = f'blk.{i}.'
        for n, rows, columns in (('attn_q', HEADS * HEAD, DIM), ('attn_k', KV_HEADS * HEAD, DIM),
                                 ('attn_v', KV_HEADS * HEAD, DIM), ('attn_output', DIM, DIM), ('ffn_gate', FFN, DIM),
                                 ('ffn_up', FFN, DIM), ('ffn_down', DIM, FFN)):
            w[f'{b}{n}.weight'] = normal(rows, columns)
        for n, size in (('attn_norm', DIM), ('ffn_norm', DIM)):
            w[f'{b}{n}.weight'] = torch.ones(size)
        # what adds to the residual starts small
        for n, size in (('attn_sub_norm', DIM), ('ffn_sub_norm', FFN)):
            w[f'{b}{n}.weight'] = torch.full((size,), 1 / math.sqrt(2 * LAYERS))
    return w


def learn(work, seconds, total):
    path, state = work + '/state.pt', None
    if os.path.exists(path):
        state = torch.load(path)
    w = state['w'] if state else fresh_weights()
    for p in w.values():
        p.requires_grad_()
    opt = torch.optim.AdamW([{'params': [p for p in w.values() if p.dim() > 1], 'weight_decay': 0.03},
                             {'params': [p for p in w.values() if p.dim() == 1], 'weight_decay': 0.0}],
                            lr=LR, betas=(0.9, 0.95))
    if state:
        opt.load_state_dict(state['opt'])
    spent, step, seen = (state[k] for k in ('spent', 'step', 'seen')) if state else (0.0, 0, 0)
    vocab, net, recent, begin, cpu = vocabulary(), Net(w), [], time.time(), time.process_time()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    data = train.Stream(vocab, 100 + step)
    while time.time() - begin < seconds and (u := (spent + time.process_time() - cpu) / total) < 1:
        T = SHORT if u < .85 else CONTEXT
        x = data.batch(TOKENS_A_STEP // T, T)
        for g in opt.param_groups:
            g['lr'] = LR * min(1, (step + 1) / 60) * (.02 + .98 * .5 * (1 + math.cos(math.pi * u)))
        loss = F.cross_entropy(net.forward(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(w.values()), 1.0)
        opt.step()
        step, seen = step + 1, seen + x.numel()
        recent = (recent + [loss.item()])[-50:]
    spent += time.process_time() - cpu
    print(f'{spent:5.0f} s  step {step}  {seen / 1e6:.2f} M tokens  loss {np.mean(recent):.3f}', flush=True)
    torch.save({'w': {k: v.detach() for k, v in w.items()}, 'opt': opt.state_dict(), 'spent': spent, 'step': step,
                'seen': seen}, path)


def pack(work, out):
    w, tensors = torch.load(work + '/state.pt')['w'], []
    for name, x in w.items():
        if x.dim() == 2 and name.startswith('blk'):
            tensors.append((name, ternary(x).numpy(), I2_S))
        else:
            tensors.append((name, x.numpy(), gguf.F32 if x.dim() == 1 else gguf.Q8_0))
    gguf.write(out, meta() + vocabulary().meta(), tensors)


if __name__ == '__main__':
    if sys.argv[1] == 'pack':
        pack(*sys.argv[2:4])
    elif sys.argv[1] == 'check':
        g = gguf.Gguf(sys.argv[2])
        train.check(sys.argv[2], Net({n: torch.from_numpy(g.tensor(n)) for n in g.info}, ready=True), vocabulary())
    else:
        learn(sys.argv[2], float(sys.argv[3]), float((sys.argv[4:] or [1500])[0]))
