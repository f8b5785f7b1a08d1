#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reference logits of a model file: float64, on the dequantised weights of that very file.

usage: mkref.py trained MODEL.gguf OUTDIR       OUTDIR/<model>.json and OUTDIR/<model>.logits.f32 of zen5-*.gguf
       mkref.py verify REF.json MODEL.gguf      compares this reference with another one of the same format

The format is described in README.md.
"""
import hashlib
import json
import os
import sys

import numpy as np
import torch

from gguf import NAMES, F32, F16, BF16, Gguf
from refmodel import Model
from tok import CONTROL, Bpe, Spm, World

TINY_TEXTS = [
    'Once upon a time',
    'Question: What does a bee make? Answer:',
    'Once upon a time, there was a kind little girl named Mia. She lived in a stone house near the river. '
    'Mia had a red kite. She loved her kite very much. One day, Mia took the red kite to',
    '',
    'Question: What is a cache?\nAnswer:',
    'Long ago, there was a brave little boy named Tom. He lived in an old house in the village. One '
    'morning, Tom had apples in his bag and went to the forest. There he saw a girl named Anna. Anna was '
    'hungry and had nothing to eat. "Please take some of my apples," said Tom. Anna smiled and ate the '
    'apples. The next day, it rained and Tom was cold. Anna came with a blue coat. "You gave me apples, so '
    'I give you my coat," said Anna. Tom smiled and was not cold any more. He learned that it is good to',
    'Unseen w0rds: \u00fcber, \u65e5\u672c \U0001f999 = 3.14!',
]
TINY_NLL = (
    'Once there was a clever little fox named Dot. She lived in a little hut on a hill. In spring, Dot put '
    'a seed in the ground. She gave it water every day. "Nothing will grow there," said Paul, a boy who '
    'lived near her. But Dot did not stop. After many days, a purple flower opened. It was the most '
    'beautiful flower of all. Paul came to see it. "I was wrong," he said. "Can you teach me?"')


def vocabulary(meta):
    """The tokenizer that is inside the file."""
    t = 'tokenizer.ggml.'
    if meta[t + 'model'] == 'llama':
        return Spm(meta[t + 'tokens'], meta[t + 'scores'])
    if meta[t + 'model'] == 'rwkv':
        return World(meta[t + 'tokens'])
    special = [x for x, k in zip(meta[t + 'tokens'], meta[t + 'token_type']) if k == CONTROL]
    return Bpe([tuple(m.split(' ')) for m in meta[t + 'merges']], special)


def reference(path, out, texts, greedy, steps, nll_text):
    torch.set_grad_enabled(False)
    g, name = Gguf(path), os.path.basename(path)[:-5]
    v, m, m32, m8 = vocabulary(g.meta), Model.load(path), Model.load(path, torch.float32), Model.load(path, act8=True)
    types = {t for _, t, _ in g.info.values()}
    cases, logits, logits8, drift = [], [], [], 0.0
    for i, text in enumerate(texts):
        ids = v.encode(text) or [v.EOS]                      # without BOS, texts begin behind the end of another
        y = m.forward(ids)[0, -1]
        drift = max(drift, float((y - m32.forward(ids)[0, -1]).abs().max()))
        logits.append(y.numpy())
        logits8.append(m8.forward(ids)[0, -1].numpy())
        c = {'text': text, 'tokens': ids, 'argmax': int(y.argmax()), 'logit_max': float(y.max()),
             'logsumexp': float(torch.logsumexp(y, 0))}
        if i in greedy:
            out_ids, margin = m.greedy(ids, steps)
            c |= {'greedy': out_ids, 'greedy_margin': [round(x, 5) for x in margin],
                  'greedy_min_margin': min(margin), 'greedy_text': v.decode(out_ids)}
        cases.append(c)
    ids = v.encode(nll_text)
    p = torch.log_softmax(m.forward(ids[:-1])[0], -1)
    nll = -p[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    exact = types <= {F32, F16, BF16}                        # no 8-bit activations on the way
    ref = {'model': name + '.gguf', 'sha256': hashlib.sha256(g.bytes).hexdigest(), 'arch': m.arch,
           'n_vocab': len(logits[0]), 'tensor_types': sorted(NAMES[t] for t in types),
           'logits_file': name + '.logits.f32',
           'layout': 'float32 little endian [n_cases][n_vocab], logits after the last token of each case',
           'limit': 1e-4 if exact else 0.3, 'rms_limit': 1e-4 if exact else 0.1, 'cases': cases,
           'nll': {'tokens': ids, 'mean': float(nll.mean()), 'per_token': [round(float(x), 6) for x in nll]},
           'float32_vs_float64_max_abs': drift}
    np.stack(logits).astype('<f4').tofile(os.path.join(out, ref['logits_file']))
    if not exact:
        # The same with inputs rounded to 8 bits, as a runtime does: a much sharper test of everything else. limit8 is
        # for the median case, since in some a value next to the middle of two steps is rounded the other way.
        ref |= {'logits8_file': name + '.logits8.f32', 'limit8': 1e-4}
        np.stack(logits8).astype('<f4').tofile(os.path.join(out, ref['logits8_file']))
    with open(os.path.join(out, name + '.json'), 'w') as f:
        json.dump(ref, f, separators=(',', ':'))
        f.write('\n')
    return ref


def verify(ref_path, model):
    """Largest differences to a reference made by other code."""
    with open(ref_path) as f:
        ref = json.load(f)
    there = np.fromfile(os.path.join(os.path.dirname(ref_path), ref['logits_file']), '<f4').reshape(-1, ref['n_vocab'])
    torch.set_grad_enabled(False)
    m, d64, d32, equal = Model.load(model), 0.0, 0.0, True
    for c, row in zip(ref['cases'], there):
        y = m.forward(c['tokens'])[0, -1]
        d64 = max(d64, abs(float(y.max()) - c['logit_max']), abs(float(torch.logsumexp(y, 0)) - c['logsumexp']))
        d32 = max(d32, float(np.abs(y.numpy().astype('<f4') - row).max()))
        if 'greedy' in c:
            equal &= m.greedy(c['tokens'], len(c['greedy']))[0] == c['greedy']
    print(f'{ref["model"]}: float64 figures differ by {d64:.1e}, float32 logits by {d32:.1e}, '
          f'greedy {"equal" if equal else "DIFFERS"}')


if __name__ == '__main__':
    if sys.argv[1] == 'verify':
        verify(*sys.argv[2:4])
    else:
        r = reference(sys.argv[2], sys.argv[3], TINY_TEXTS, (0, 1, 2, 4), 64, TINY_NLL)
        for c in r['cases']:
            print(repr(c['text'][-40:]), repr(c.get('greedy_text')))
        print('nll', r['nll']['mean'])
