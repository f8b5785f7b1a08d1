#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make zen5-tiny.gguf: vocabulary, training, quantisation. Not part of any build.

usage: train.py train WORKDIR MINUTES     from nothing: writes WORKDIR/{vocab.json,weights.npz}, again every half minute
       train.py more  WORKDIR MINUTES     goes on from there with half the learning rate and more stories; names weigh
                                          more, because who is who is what a story loses last
       train.py names WORKDIR MINUTES     the same after the names were given new, distant vectors: as all names are
                                          used alike, theirs had become alike, and nothing could copy the right one
       train.py check MODEL.gguf          does the quantised file still know its facts, and who is who in a story?
       train.py pack  WORKDIR OUT.gguf    quantises the last weights by the plan below
"""
import json
import math
import random
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

import grammar
import gguf
from refmodel import Model
from tok import Spm

VOCAB, DIM, LAYERS, HEADS, KV_HEADS, FFN, CONTEXT = 1024, 256, 4, 8, 4, 512, 512
HEAD = DIM // HEADS
EPS, BASE = 1e-5, 10000.0
LR, TOKENS_A_STEP, SHORT = 4e-3, 3072, 192

# Each block type of the first slice occurs, and each K-quant as a matrix of queries, of keys and of the FFN.
# The wide types sit where rounding hurts most: values, and the last projections.
PLAN = {
    'attn_q':      ['Q4_K', 'Q6_K', 'Q8_0', 'Q4_K'],
    'attn_k':      ['Q6_K', 'Q4_K', 'Q8_0', 'Q6_K'],
    'attn_v':      ['Q8_0', 'Q6_K', 'Q6_K', 'F16'],
    'attn_output': ['Q8_0', 'Q4_K', 'Q6_K', 'BF16'],
    'ffn_gate':    ['Q6_K', 'Q4_0', 'Q4_K', 'Q8_0'],
    'ffn_up':      ['Q6_K', 'Q4_0', 'Q4_K', 'Q8_0'],
    'ffn_down':    ['F16', 'Q8_0', 'Q6_K', 'BF16'],
}
TYPES = {v: k for k, v in gguf.NAMES.items()}


def meta():
    a = 'llama'
    return [
        ('general.architecture', gguf.STR, a), ('general.name', gguf.STR, 'zen5-tiny'),
        ('general.license', gguf.STR, 'mit'), ('general.file_type', gguf.U32, 7),
        ('general.quantization_version', gguf.U32, 2),
        (a + '.vocab_size', gguf.U32, VOCAB), (a + '.context_length', gguf.U32, CONTEXT),
        (a + '.embedding_length', gguf.U32, DIM), (a + '.block_count', gguf.U32, LAYERS),
        (a + '.feed_forward_length', gguf.U32, FFN), (a + '.attention.head_count', gguf.U32, HEADS),
        (a + '.attention.head_count_kv', gguf.U32, KV_HEADS), (a + '.rope.dimension_count', gguf.U32, HEAD),
        (a + '.rope.freq_base', gguf.FLOAT, BASE), (a + '.attention.layer_norm_rms_epsilon', gguf.FLOAT, EPS),
    ]


def fresh_weights():
    g = torch.Generator().manual_seed(5)

    def normal(rows, columns, gain=1.0):
        return torch.randn(rows, columns, generator=g) * gain / math.sqrt(columns)

    w = {'token_embd.weight': normal(VOCAB, DIM), 'output_norm.weight': torch.ones(DIM)}
    small = 1 / math.sqrt(2 * LAYERS)                        # what adds to the residual starts small
    for i in range(LAYERS):
        b = f'blk.{i}.'
        w[b + 'attn_norm.weight'] = torch.ones(DIM)
        w[b + 'attn_q.weight'] = normal(HEADS * HEAD, DIM)
        w[b + 'attn_k.weight'] = normal(KV_HEADS * HEAD, DIM)
        w[b + 'attn_v.weight'] = normal(KV_HEADS * HEAD, DIM)
        w[b + 'attn_output.weight'] = normal(DIM, HEADS * HEAD, small)
        w[b + 'ffn_norm.weight'] = torch.ones(DIM)
        w[b + 'ffn_gate.weight'] = normal(FFN, DIM)
        w[b + 'ffn_up.weight'] = normal(FFN, DIM)
        w[b + 'ffn_down.weight'] = normal(DIM, FFN, small)
    return w


class Stream:
    """Documents without end, packed into rows that each begin a document."""

    def __init__(s, vocab, seed, **mix):
        s.vocab, s.rng, s.mix = vocab, random.Random(seed), mix

    def batch(s, rows, T):
        out = []
        for _ in range(rows):
            r = []
            while len(r) <= T:
                r += s.vocab.encode_fast(grammar.document(s.rng, **s.mix)) + [s.vocab.EOS]
            out.append(r[:T + 1])
        return torch.tensor(out)


def make_vocabulary(work):
    rng = random.Random(1)
    vocab = Spm.train('\n'.join(' ' + grammar.document(rng) for _ in range(30000)), VOCAB)
    assert len(vocab.tokens) == VOCAB
    for _ in range(20):
        t = grammar.document(rng)
        assert vocab.encode(t) == vocab.encode_fast(t) and vocab.decode(vocab.encode(t)) == ' ' + t
    with open(work + '/vocab.json', 'w') as f:
        json.dump([vocab.tokens, vocab.scores], f)


def load_vocabulary(work):
    with open(work + '/vocab.json') as f:
        return Spm(*json.load(f))


def name_ids(vocab):
    space = ' ' * (not isinstance(vocab, Spm))               # which puts one in front itself
    return [i for n in grammar.GIRLS + grammar.BOYS + grammar.PET_NAMES for i in vocab.encode(space + n, bos=False)]


def train(work, minutes, more):
    if more:
        with np.load(work + '/weights.npz') as f:
            w = {k: torch.from_numpy(f[k]) for k in f.files}
    else:
        make_vocabulary(work)
        w = fresh_weights()
    vocab, peak = load_vocabulary(work), LR / 2 if more else LR
    for p in w.values():
        p.requires_grad_()
    model = Model({k: v for k, _, v in meta()}, w, torch.float32)
    data = Stream(vocab, int(time.time()), stories=.25) if more else Stream(vocab, 2)
    held_out = Stream(vocab, 3).batch(64, SHORT)
    weight = torch.ones(VOCAB)
    if more:
        names = name_ids(vocab)
        weight[names] = 4
        if more == 'names':
            e = w['token_embd.weight'].data
            e[names] = e[names].mean(0) + torch.randn(len(names), DIM) * e[Spm.FIRST:].std()
    opt = torch.optim.AdamW([{'params': [p for p in w.values() if p.dim() > 1], 'weight_decay': 0.03},
                             {'params': [p for p in w.values() if p.dim() == 1], 'weight_decay': 0.0}],
                            lr=peak, betas=(0.9, 0.95))

    def loss(x, weight=None):
        with torch.autocast('cpu', torch.bfloat16):
            y = model.forward(x[:, :-1])
        return F.cross_entropy(y.float().flatten(0, 1), x[:, 1:].flatten(), weight)

    begin, step, seen, recent, shown = time.time(), 0, 0, [], 0
    while (u := (time.time() - begin) / (60 * minutes)) < 1:
        # the last part sees whole contexts, so that far positions are known too
        T = SHORT if u < .85 else CONTEXT
        x = data.batch(TOKENS_A_STEP // T, T)
        for g in opt.param_groups:
            g['lr'] = peak * min(1, (step + 1) / 60) * (.02 + .98 * .5 * (1 + math.cos(math.pi * u)))
        l = loss(x, weight)
        opt.zero_grad(set_to_none=True)
        l.backward()
        torch.nn.utils.clip_grad_norm_(list(w.values()), 1.0)
        opt.step()
        step, seen = step + 1, seen + x.numel()
        recent = (recent + [l.item()])[-50:]
        if time.time() - shown > 30:
            shown = time.time()
            print(f'{shown - begin:5.0f} s  step {step}  {seen / 1e6:.2f} M tokens  loss {np.mean(recent):.3f}',
                  flush=True)
            np.savez(work + '/weights.npz', **{k: v.detach().numpy() for k, v in w.items()})
    with torch.no_grad():
        print(f'done: {step} steps, {seen / 1e6:.2f} M tokens, loss {np.mean(recent):.4f}, '
              f'held out {loss(held_out):.4f}')
    np.savez(work + '/weights.npz', **{k: v.detach().numpy() for k, v in w.items()})


def pack(work, out):
    vocab, w = load_vocabulary(work), np.load(work + '/weights.npz')
    tensors = []
    for name in w.files:
        part = name.split('.')
        t = 'F32' if w[name].ndim == 1 else 'Q8_0' if part[0] != 'blk' else PLAN[part[2]][int(part[1])]
        tensors.append((name, w[name], TYPES[t]))
    gguf.write(out, meta() + vocab.meta(), tensors)


@torch.no_grad()
def check(path, model=None, vocab=None):
    model = model or Model.load(path, torch.float32)
    vocab = vocab or Spm(model.meta['tokenizer.ggml.tokens'], model.meta['tokenizer.ggml.scores'])
    # Greedy decoding gives the answer exactly if every one of its tokens is the likeliest after those before it.
    asked = [(vocab.encode_fast(f'Question: {q} Answer:'),
              vocab.encode_fast(f'Question: {q} Answer: {a}') + [vocab.EOS]) for qs, a in grammar.FACTS for q in qs]
    right = 0
    for i in range(0, len(asked), 32):
        part = asked[i:i + 32]
        T = max(len(y) for _, y in part)
        best = model.forward([y + [0] * (T - len(y)) for _, y in part]).argmax(-1)
        right += sum(best[j, len(x) - 1:len(y) - 1].tolist() == y[len(x):] for j, (x, y) in enumerate(part))
    print(f'{right} of {len(asked)} questions')

    names = set(name_ids(vocab))
    rng, right, total = random.Random(77), 0, 0
    for _ in range(50):
        y = vocab.encode_fast(grammar.story(rng))
        best, seen = model.forward(y[:-1])[0].argmax(-1).tolist(), set()
        for guess, t in zip(best, y[1:]):
            if t in seen:
                right, total = right + (guess == t), total + 1
            seen |= {t} & names
    print(f'{right} of {total} names that came before, in 50 stories')


if __name__ == '__main__':
    if sys.argv[1] == 'pack':
        pack(sys.argv[2], sys.argv[3])
    elif sys.argv[1] == 'check':
        check(sys.argv[2])
    else:
        train(sys.argv[2], float(sys.argv[3]), sys.argv[1] if sys.argv[1] != 'train' else None)
