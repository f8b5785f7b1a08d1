# SPDX-License-Identifier: MIT
"""The ternary types of GGUF in numpy, both ways: TQ1_0, TQ2_0, and I2_S as microsoft/BitNet writes it on x86.

I2_S has one scale for a whole tensor, in the first four of 32 bytes behind its weights.
"""
import numpy as np

TQ1_0, TQ2_0, I2_S = 34, 35, 36
NAMES = {TQ1_0: 'TQ1_0', TQ2_0: 'TQ2_0', I2_S: 'I2_S'}
BLOCK = {TQ1_0: (256, 54), TQ2_0: (256, 66), I2_S: (128, 32)}
TAIL = {I2_S: 32}
# columns that the runs of a TQ1_0 block share a byte among: first, bytes, digits a byte
RUNS = (0, 32, 5), (160, 16, 5), (240, 4, 4)


def dequantise(raw, t):
    if t == I2_S:
        n = len(raw) - TAIL[t]
        q = np.stack([raw[:n].reshape(-1, 32) >> s & 3 for s in (6, 4, 2, 0)], 1)
        return (q.reshape(-1).astype(np.float32) - 1) * raw[n:n + 4].view(np.float32)
    b = raw.reshape(-1, BLOCK[t][1])
    n = len(b)
    if t == TQ2_0:
        q = b[:, :64].reshape(n, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8)[:, None] & 3
    else:
        q, at = [], 0
        for _, size, digits in RUNS:
            # the fraction's next digit is what a multiplication by 3 carries out
            for j in range(digits):
                q.append((b[:, at:at + size].astype(np.uint16) * 3 ** j % 256) * 3 >> 8)
            at += size
        q = np.concatenate(q, 1)
    d = np.ascontiguousarray(b[:, -2:]).view(np.float16).astype(np.float32)
    return (d * (q.reshape(n, 256).astype(np.float32) - 1)).reshape(-1)


def quantise(x, t):
    """x: [blocks, columns] or, for I2_S, all of a tensor."""
    top = np.abs(x).max(-1 if t != I2_S else None, keepdims=True).astype(np.float32)
    q = np.rint(np.divide(x, top, out=np.zeros_like(x), where=top > 0)).astype(np.int32) + 1
    if t == I2_S:
        q = q.reshape(-1, 4, 32)
        two = (q[:, 0] << 6 | q[:, 1] << 4 | q[:, 2] << 2 | q[:, 3]).astype(np.uint8)
        return np.concatenate([two.reshape(-1), np.repeat(top.reshape(-1), 8).astype(np.float32).view(np.uint8)])
    d = top.astype(np.float16).view(np.uint8)
    if t == TQ2_0:
        q = q.reshape(-1, 2, 4, 32)
        two = (q[:, :, 0] | q[:, :, 1] << 2 | q[:, :, 2] << 4 | q[:, :, 3] << 6).astype(np.uint8)
        return np.concatenate([two.reshape(-1, 64), d], 1)
    out = []
    for at, size, digits in RUNS:
        v = q[:, at:at + size * digits].reshape(len(q), digits, size)
        v = sum(v[:, j] * 3 ** (4 - j) for j in range(digits))
        out.append(((v * 256 + 242) // 243).astype(np.uint8))
    return np.concatenate([*out, d], 1)
