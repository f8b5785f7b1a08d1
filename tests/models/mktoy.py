#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Toy vocabularies of the kinds that no other file here has, and texts for them: toy-ugm (unigram with a charsmap),
toy-wpm (WordPiece), toy-rwkv (longest match over bytes), toy-raw (BPE over raw UTF-8, as Gemma 4).

usage: mktoy.py OUTDIR    writes OUTDIR/toy-*.gguf and OUTDIR/tokcases/toy-*.inp

The .out beside each .inp was made by llama-tokenize of llama.cpp 0.7.0: one line of ids a text, no BOS or EOS,
special tokens not parsed. Everything is a function of TEXTS; scores are minus the logarithm of a piece's rank.
"""
import math
import os
import struct
import sys
from collections import Counter

from gguf import ARR, BOOL, FLOAT, I32, STR, U32, write
from mktok import CASES, SEPARATOR
from tok import BYTE, BYTES, CONTROL, NORMAL, SPACE, UNKNOWN, World

U8 = 0
T = 'tokenizer.ggml.'
MORE = [
    'It\'s "done", isn\'t it? (Yes!) e.g. [1], {2}; a-b_c/d.',
    'CAF\u00c9 caf\u00e9 cafe\u0301 \u00c5ngstr\u00f6m \u0130stanbul \u00df',
    '\uff21\uff22\uff23 \uff11\uff12\uff13 \u2460\u2461 \u00bd \ufb01ne \u2026', '\u6c49\u5b57 \u6f22\u5b57 \u304b\u306a',
    '\u043f\u0440\u0438\u0432\u0435\u0442 \u041c\u0438\u0440', 'one\ttwo\nthree\r\nfour \u200b five',
    'q qq \u2603\u2603 q \u2603', '     five     spaces     ', '1234567 12.5% $9.99',
]
TEXTS = [c for c in CASES if '\0' not in c] + MORE
UNKNOWNS = 'qQ\u2603~'                 # characters that no vocabulary has


def pieces(texts, size, split=''):
    """The commonest substrings of up to six characters, in the order of their weight; none crosses one of split."""
    count = Counter()
    for t in texts:
        for i in range(len(t)):
            for j in range(i + 2, min(len(t), i + 6) + 1):
                p = t[i:j]
                if not any(c in p[1:] for c in SPACE + split) and not any(c in p for c in UNKNOWNS + '\n\r\t' + split):
                    count[p] += 1
    top = sorted(count, key=lambda p: (-count[p] * len(p), p))[:size]
    chars = sorted({c for t in texts for c in t} - set(UNKNOWNS))
    return top + [c for c in chars if c not in '\n\r\t ' and c not in top]


def darts(rules):
    """A double array over the rules' left sides: see lib/vocab/charsmap.h."""
    text, where = b'', {}
    for r in sorted(set(rules.values())):
        where[r] = len(text)
        text += r.encode() + b'\0'
    tree = {}
    for left, right in rules.items():
        node = tree
        for b in left.encode():
            node = node.setdefault(b, {})
        node[0] = where[right]
    unit, bases, queue = {0: 0}, set(), [(0, tree)]
    while queue:
        at, node = queue.pop(0)
        base = next(b for b in range(1, 1 << 20) if b not in bases and all(b ^ c not in unit for c in node))
        bases.add(base)
        unit[at] |= (at ^ base) << 10 | (256 if 0 in node else 0)
        for c in node:
            unit[base ^ c] = 1 << 31 | node[0] if c == 0 else c
        queue += [(base ^ c, child) for c, child in node.items() if c]
    size = (max(unit) | 255) + 1                # as darts-clone does: no step from a unit leads out of the array
    array = struct.pack('<%dI' % size, *(unit.get(i, 0) for i in range(size)))
    return struct.pack('<I', len(array)) + array + text


RULES = {'\t': ' ', '\n': ' ', '\r': ' ', '\u00a0': ' ', '\u3000': ' ', '\u200b': '', '\ufb01': 'fi', '\u2026': '...',
         '\u00bd': '1\u20442', 'e\u0301': '\u00e9', '\u2460': '1', '\u2461': '2', '\u1e9b\u0323': '\u1e69'}
RULES.update({chr(0xff01 + i): chr(0x21 + i) for i in range(94)})


def scores(n, special):
    return [0.0] * special + [-math.log(i + 2.0) for i in range(n - special)]


def ugm():
    def normal(t):
        for a, b in RULES.items():
            t = t.replace(a, b)
        return SPACE + t.replace(' ', SPACE)
    tokens = ['<pad>', '</s>', '<unk>', SPACE] + [p for p in pieces([normal(t) for t in TEXTS], 300) if p != SPACE]
    return [(T + 'model', STR, 't5'), (T + 'tokens', ARR, (STR, tokens)),
            (T + 'scores', ARR, (FLOAT, scores(len(tokens), 3))),
            (T + 'token_type', ARR, (I32, [CONTROL, CONTROL, UNKNOWN] + [NORMAL] * (len(tokens) - 3))),
            (T + 'precompiled_charsmap', ARR, (U8, list(darts(RULES)))),
            (T + 'add_space_prefix', BOOL, True), (T + 'remove_extra_whitespaces', BOOL, True),
            (T + 'eos_token_id', U32, 1), (T + 'unknown_token_id', U32, 2), (T + 'padding_token_id', U32, 0)]


def wpm():
    words = ' '.join(TEXTS).lower().split()
    first = pieces([SPACE + w for w in words], 200)
    tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + list(dict.fromkeys(
        first + [SPACE + p for p in first if SPACE not in p and len(p) == 1] + [p[1:] for p in first if len(p) > 2]))
    tokens = [t for t in tokens if t != SPACE]
    return [(T + 'model', STR, 'bert'), (T + 'tokens', ARR, (STR, tokens)),
            (T + 'token_type', ARR, (I32, [CONTROL, UNKNOWN] + [CONTROL] * 3 + [NORMAL] * (len(tokens) - 5))),
            (T + 'unknown_token_id', U32, 1), (T + 'bos_token_id', U32, 2), (T + 'seperator_token_id', U32, 3),
            (T + 'padding_token_id', U32, 0), (T + 'mask_token_id', U32, 4)]


def rwkv():
    data = [t.encode() for t in TEXTS]
    count = Counter(t[i:j] for t in data for i in range(len(t)) for j in range(i + 2, min(len(t), i + 7) + 1))
    top = sorted(count, key=lambda p: (-count[p] * len(p), p))[:300]
    return World([*World.of([]).tokens, *map(World.escaped, top)]).meta()


def raw():
    count, merges = Counter(), []
    lines = [list(x.replace(' ', SPACE)) for t in TEXTS for x in t.split('\n')]
    for _ in range(250):
        count = Counter(q for x in lines for q in zip(x, x[1:]) if not set(''.join(q)) & set(UNKNOWNS))
        best = max(count, key=lambda q: (count[q], q))
        merges.append(best)
        for x in lines:
            i = 0
            while i < len(x) - 1:
                if (x[i], x[i + 1]) == best:
                    x[i:i + 2] = [x[i] + x[i + 1]]
                i += 1
    chars = sorted({c for t in TEXTS for c in t.replace(' ', SPACE) if c not in UNKNOWNS and c not in '\n\u6c49\u00df'})
    tokens = ['<pad>', '<eos>', '<bos>', '<unk>'] + BYTES + ['\n', '\n\n'] + [a + b for a, b in merges]
    tokens += [c for c in chars if c not in tokens]
    special = [CONTROL] * 3 + [UNKNOWN] + [BYTE] * 256
    return [(T + 'model', STR, 'gemma4'), (T + 'tokens', ARR, (STR, tokens)),
            (T + 'scores', ARR, (FLOAT, [0.0] * len(tokens))),
            (T + 'token_type', ARR, (I32, special + [NORMAL] * (len(tokens) - len(special)))),
            (T + 'merges', ARR, (STR, [a + ' ' + b for a, b in merges])),
            (T + 'bos_token_id', U32, 2), (T + 'eos_token_id', U32, 1), (T + 'unknown_token_id', U32, 3)]


def main(out):
    for make in ugm, wpm, rwkv, raw:
        name = 'toy-' + make.__name__
        write(os.path.join(out, name + '.gguf'),
              [('general.architecture', STR, 'llama'), ('general.name', STR, name)] + make(), [])
        with open(os.path.join(out, 'tokcases', name + '.inp'), 'w', newline='') as f:
            f.write(SEPARATOR.join(TEXTS))


if __name__ == '__main__':
    main(sys.argv[1])
