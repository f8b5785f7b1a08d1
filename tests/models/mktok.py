#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tokenizer cases for the shipped vocabulary, in llama.cpp's format: OUT.inp holds the texts, OUT.out a line of
ids each (no BOS, special tokens not parsed).

usage: mktok.py MODEL.gguf OUT
"""
import sys

from gguf import Gguf
from mkref import vocabulary

SEPARATOR = '\n__ggml_vocab_test__\n'
CASES = [
    '', ' ', '  ', '   ', '\t', '\n', '\n\n', '\t\n ',
    'Once upon a time', ' Once upon a time', '  Once upon a time', 'Once upon a time ', 'Once  upon   a    time',
    'Question: What does a bee make?\nAnswer: A bee makes honey.',
    '"Thank you, Mia," she said. "I won a friend," said Tom.',
    'zen5-run zen5mem zen5-tiny Zen 5 GGUF Linux',
    '<s> </s> <unk> <0x0A> <|endoftext|>',                       # spelled out, so plain text
    'ONCE UPON A TIME', 'hee-haw, twenty-four!', '!!!!!! ... ,,, ???',
    'a\u2581b \u2581 c',                                             # the escape itself
    'F\u00fchrer na\u00efve \u0444\u0438\u0448 \u65e5\u672c\u8a9e',
    '\U0001f999 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2705',
    'e\u0301 \u00e9 \u1e9b\u0323', '3.14159 1000000 [x^2] {y} ~ @ # $ % & * \\ / |',
    'Donaudampfschifffahrtsgesellschaftskapitaensmuetze', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
    'thethethe the the  the', '\u00a0no-break\u3000wide\u200bzero', 'tab\tin the\tmiddle', 'line\r\nends\r\n',
    '\x00\x01\x7f',
]


def main(model, out):
    v = vocabulary(Gguf(model).meta)
    with open(out + '.inp', 'w', newline='') as f:
        f.write(SEPARATOR.join(CASES))
    with open(out + '.out', 'w') as f:
        for c in CASES:
            f.write(''.join(f' {i}' for i in v.encode(c, bos=False)) + '\n')


if __name__ == '__main__':
    main(*sys.argv[1:3])
