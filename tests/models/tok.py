# SPDX-License-Identifier: MIT
"""Tokenizers, written to be the definition rather than fast: SPM (llama), byte-level BPE (gpt2), and RWKV's.

SPM: escape spaces as U+2581, put one in front, split into characters, then merge the adjacent pair whose
merged piece has the highest score (leftmost among equals) until no pair is a piece; what is left and is no
piece becomes its UTF-8 bytes. No search, no regular expression.
"""
import re
from collections import Counter

from gguf import ARR, BOOL, FLOAT, I32, STR, U32

SPACE = '\u2581'
BYTES = ['<0x%02X>' % i for i in range(256)]
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6


class Spm:
    BOS, EOS, FIRST = 1, 2, 259             # <unk> <s> </s>, 256 bytes, then the pieces

    def __init__(s, pieces, scores):
        s.tokens, s.scores = list(pieces), list(scores)
        s.ids = {t: i for i, t in enumerate(s.tokens) if i >= s.FIRST}
        s.cache = {}

    @classmethod
    def train(cls, text, size):
        """Characters of the text, then the most frequent pair again and again. Score = -rank of the merge, so
        that the encoder's "highest score first" repeats the order in which the pieces were learned."""
        words = Counter(re.findall(SPACE + r'?[A-Za-z0-9-]+|' + SPACE + r'?[^\s\w' + SPACE + ']+|' + SPACE,
                                   text.replace(' ', SPACE)))
        chars = sorted(set(''.join(words)))
        split, pieces = {w: list(w) for w in words}, []
        while cls.FIRST + len(pieces) + len(chars) < size:
            pairs = Counter()
            for w, p in split.items():
                for q in zip(p, p[1:]):
                    pairs[q] += words[w]
            if not pairs:
                break
            best = max(pairs, key=lambda q: (pairs[q], q))
            pieces.append(''.join(best))
            for p in split.values():
                i = 0
                while i < len(p) - 1:
                    if (p[i], p[i + 1]) == best:
                        p[i:i + 2] = [pieces[-1]]
                    i += 1
        n = len(pieces)
        return cls(['<unk>', '<s>', '</s>'] + BYTES + pieces + chars,
                   [0.0] * cls.FIRST + [-float(i) for i in range(n)] + [-float(n + i) for i in range(len(chars))])

    @classmethod
    def minimal(cls, pieces):
        return cls(['<unk>', '<s>', '</s>'] + BYTES + list(pieces),
                   [0.0] * cls.FIRST + [-float(i) for i in range(len(pieces))])

    def types(s):
        return [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * (len(s.tokens) - s.FIRST)

    def meta(s):
        t = 'tokenizer.ggml.'
        return [(t + 'model', STR, 'llama'), (t + 'pre', STR, 'default'), (t + 'tokens', ARR, (STR, s.tokens)),
                (t + 'scores', ARR, (FLOAT, s.scores)), (t + 'token_type', ARR, (I32, s.types())),
                (t + 'bos_token_id', U32, s.BOS), (t + 'eos_token_id', U32, s.EOS), (t + 'unknown_token_id', U32, 0),
                (t + 'add_bos_token', BOOL, True), (t + 'add_eos_token', BOOL, False),
                (t + 'add_space_prefix', BOOL, True)]

    def merge(s, w):
        while True:
            best = None
            for i in range(len(w) - 1):
                j = s.ids.get(w[i] + w[i + 1])
                if j is not None and (best is None or s.scores[j] > best[0]):
                    best = s.scores[j], i
            if best is None:
                break
            i = best[1]
            w[i:i + 2] = [w[i] + w[i + 1]]
        return [i for x in w for i in ([s.ids[x]] if x in s.ids else [3 + c for c in x.encode()])]

    def encode(s, text, bos=True):
        return [s.BOS] * bos + (s.merge(list((' ' + text).replace(' ', SPACE))) if text else [])

    def encode_fast(s, text, bos=True):
        """Same ids, word by word with a memory: right only because no piece holds a space except in front."""
        out = [s.BOS] * bos
        for w in re.findall(SPACE + '[^' + SPACE + ']*', (' ' + text).replace(' ', SPACE) if text else ''):
            if w not in s.cache:
                s.cache[w] = s.merge(list(w))
            out += s.cache[w]
        return out

    def decode(s, ids):
        b = b''.join(bytes([i - 3]) if i < s.FIRST else s.tokens[i].replace(SPACE, ' ').encode()
                     for i in ids if i > 2)
        return b.decode('utf-8', 'replace')


def byte_alphabet():
    """GPT-2's printable stand-in for each byte."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in keep]
    return {**{b: chr(b) for b in keep}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


class Bpe:
    """Byte-level BPE: split the text, then merge by rank inside each word.
    The split is the part of the qwen2 rule that ASCII text can reach."""
    SPLIT = re.compile(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]| ?[^\sA-Za-z0-9]+[\r\n]*"
                       r"|\s*[\r\n]+|\s+(?!\S)|\s+")

    def __init__(s, merges, specials):
        s.alphabet = byte_alphabet()
        s.bytes = {c: b for b, c in s.alphabet.items()}
        s.merges, s.specials = list(merges), list(specials)
        s.rank = {m: i for i, m in enumerate(s.merges)}
        s.tokens = [s.alphabet[b] for b in range(256)] + [x + y for x, y in s.merges] + s.specials
        s.ids = {t: i for i, t in enumerate(s.tokens)}

    def types(s):
        n = len(s.specials)
        return [NORMAL] * (len(s.tokens) - n) + [CONTROL] * n

    def meta(s):
        t, n = 'tokenizer.ggml.', len(s.tokens)
        return [(t + 'model', STR, 'gpt2'), (t + 'pre', STR, 'qwen2'), (t + 'tokens', ARR, (STR, s.tokens)),
                (t + 'token_type', ARR, (I32, s.types())), (t + 'merges', ARR, (STR, [' '.join(m) for m in s.merges])),
                (t + 'bos_token_id', U32, n - len(s.specials)), (t + 'eos_token_id', U32, n - 1),
                (t + 'padding_token_id', U32, n - len(s.specials)), (t + 'add_bos_token', BOOL, False)]

    def encode(s, text):
        out = []
        for word in s.SPLIT.findall(text):
            w = [s.alphabet[b] for b in word.encode()]
            while len(w) > 1:
                r, i = min((s.rank.get(p, 1 << 30), i) for i, p in enumerate(zip(w, w[1:])))
                if r == 1 << 30:
                    break
                w[i:i + 2] = [w[i] + w[i + 1]]
            out += [s.ids[t] for t in w]
        return out

    def decode(s, ids):
        n = len(s.tokens) - len(s.specials)
        return bytes(s.bytes[c] for i in ids if i < n for c in s.tokens[i]).decode('utf-8', 'replace')


class World:
    """RWKV's: the longest token that the rest of the text begins with, again and again. Tokens are bytes, which the
    file writes with the escapes of a Python string; the first is the end of a text."""
    EOS = 0
    NAMED = {b'\\': '\\\\', b'\n': '\\n', b'\t': '\\t', b'\r': '\\r'}

    def __init__(s, strings):
        s.tokens, s.bytes = list(strings), [s.plain(x) for x in strings]
        s.ids = {b: i for i, b in enumerate(s.bytes) if i}
        s.longest, s.cache = max(map(len, s.ids)), {}

    @classmethod
    def of(cls, words):
        """All bytes, and words."""
        all = [bytes([b]) for b in range(256)]
        return cls(['<|end of text|>'] + ['\\x%02x' % b[0] if b < b' ' or b > b'~' else cls.escaped(b) for b in all] +
                   [cls.escaped(b) for b in dict.fromkeys(w.encode() for w in words) if len(b) > 1])

    @classmethod
    def escaped(cls, b):
        try:
            return ''.join(cls.NAMED.get(c.encode(), c) for c in b.decode())
        except UnicodeDecodeError:
            return ''.join('\\x%02x' % c for c in b)

    @classmethod
    def plain(cls, x):
        back = {v.encode(): k for k, v in cls.NAMED.items()}
        return re.sub(rb'\\(?:x([0-9a-f]{2})|.)', lambda m: bytes([int(m[1], 16)]) if m[1] else back[m[0]], x.encode())

    def types(s):
        return [CONTROL] + [NORMAL] * (len(s.tokens) - 1)

    def meta(s):
        t = 'tokenizer.ggml.'
        return [(t + 'model', STR, 'rwkv'), (t + 'tokens', ARR, (STR, s.tokens)),
                (t + 'token_type', ARR, (I32, s.types())), (t + 'eos_token_id', U32, s.EOS)]

    def encode(s, text, bos=False):
        b, out, i = text.encode(), [], 0
        while i < len(b):
            n = next(n for n in range(s.longest, 0, -1) if b[i:i + n] in s.ids)
            out.append(s.ids[b[i:i + n]])
            i += n
        return out

    def encode_fast(s, text, bos=False):
        """Same ids, word by word with a memory: right only because no token holds a space except in front."""
        out = []
        for w in re.findall(' ?[^ ]+| ', text):
            if w not in s.cache:
                s.cache[w] = s.encode(w)
            out += s.cache[w]
        return out

    def decode(s, ids):
        return b''.join(s.bytes[i] for i in ids if i).decode('utf-8', 'replace')
