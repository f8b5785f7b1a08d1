# SPDX-License-Identifier: MIT
"""The reference forward pass: llama, qwen2 and qwen3, written from their papers for one purpose, to be right.

No cache, no kernels: every call computes the whole sequence. mkref.py runs it in float64 on the dequantised
weights; train.py runs the same lines in float32, so what was trained is what is checked.
"""
import math

import torch
import torch.nn.functional as F

import refmoe
from gguf import BLOCK, Gguf
from ternary import I2_S


def rms_norm(x, w, eps):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps) * w


def round_blocks(x, n):
    """x as blocks of n 8-bit numbers with a scale each: what a runtime's integer products see of it."""
    b = x.unflatten(-1, (-1, n))
    d = b.abs().amax(-1, keepdim=True) / 127
    return torch.where(d > 0, torch.round(b / d) * d, b).flatten(-2)


class Model:
    """act8: {weight: block} of the matrices whose input is rounded to 8 bits first; {}: none is."""

    def __init__(s, meta, weights, dtype=torch.float64, act8={}):
        s.meta, s.w, s.dtype, s.act8 = meta, weights, dtype, act8
        s.arch = meta['general.architecture']
        assert s.arch in ('llama', 'qwen2', 'qwen3', 'qwen2moe', 'qwen3moe', 'deepseek2'), s.arch
        s.margins = []                                       # of choices of experts, to tell whether any was close

    @classmethod
    def load(cls, path, dtype=torch.float64, act8=False):
        g = Gguf(path)
        from refdense import ARCHS, Llama                    # they are built on this class
        from refhybrid import ARCHS as HYBRID
        from refrecur import ARCHS as RECURRENT
        arch = g.meta['general.architecture']
        if g.meta.get(arch + '.rope.scaling.type') == 'yarn' and arch == 'llama':
            cls = Llama
        cls = (ARCHS | RECURRENT | HYBRID).get(arch, cls)
        # the input's blocks are as long as the weights', but for I2_S, which has none
        block = {n: 256 if t == I2_S else BLOCK[t][0] for n, (_, t, _) in g.info.items() if act8 and BLOCK[t][0] > 1}
        return cls(g.meta, {n: torch.from_numpy(g.tensor(n)).to(dtype) for n in g.info}, dtype, block)

    def key(s, name, default=None):
        return s.meta.get(f'{s.arch}.{name}', default)

    def linear(s, x, name):
        name += '.weight'
        if name in s.act8:
            x = round_blocks(x, s.act8[name])
        return F.linear(x, s.w[name], s.w.get(name[:-6] + 'bias'))

    def angles(s, T):
        """cos and sin of the rotary angles, [T, n_rot/2]; always made in float64."""
        if s.key('rope.scaling.type') == 'yarn':
            from refdense import rotary
            return rotary(s, T, s.key('rope.freq_base', 10000.0))
        n = s.key('rope.dimension_count', s.head_dim())
        f = s.key('rope.freq_base', 10000.0) ** (-torch.arange(n // 2, dtype=torch.float64) * 2 / n)
        if 'rope_freqs.weight' in s.w:                       # llama 3: a divisor for each frequency
            f = f / s.w['rope_freqs.weight'].double()
        if s.key('rope.scaling.type') == 'linear':           # positions squeezed by the factor
            f = f / s.key('rope.scaling.factor')
        th = torch.arange(T, dtype=torch.float64)[:, None] * f
        return torch.cos(th).to(s.dtype), torch.sin(th).to(s.dtype)

    def head_dim(s):
        return s.key('attention.key_length', s.key('embedding_length') // s.key('attention.head_count'))

    def rope(s, x, cos, sin):
        """llama turns neighbouring pairs (2i, 2i+1), qwen turns halves (i, i + n/2). x: [B, H, T, D]"""
        n = 2 * cos.shape[-1]
        r, rest = x[..., :n], x[..., n:]
        if s.arch in ('llama', 'deepseek2'):
            p, q = r[..., 0::2], r[..., 1::2]
            y = torch.stack([p * cos - q * sin, p * sin + q * cos], -1).flatten(-2)
        else:
            p, q = r.chunk(2, -1)
            y = torch.cat([p * cos - q * sin, p * sin + q * cos], -1)
        return torch.cat([y, rest], -1) if rest.shape[-1] else y

    def attention(s, h, b, rot, mask):
        B, T, _ = h.shape
        H = s.key('attention.head_count')
        KV = s.key('attention.head_count_kv', H)
        q, k, v = (s.linear(h, f'{b}attn_{c}').view(B, T, n, -1) for c, n in (('q', H), ('k', KV), ('v', KV)))
        if s.arch in ('qwen3', 'qwen3moe'):
            q, k = (rms_norm(x, s.w[f'{b}attn_{c}_norm.weight'], s.eps) for x, c in ((q, 'q'), (k, 'k')))
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        q, k = s.rope(q, *rot), s.rope(k, *rot)
        # heads that share a KV head are stacked along the rows of one product
        g = q.reshape(B, KV, H // KV * T, -1)
        p = (g @ k.transpose(-1, -2)).view(B, KV, H // KV, T, T) / math.sqrt(q.shape[-1]) + mask
        o = torch.softmax(p, -1).view(B, KV, H // KV * T, T) @ v
        return s.linear(o.view(B, H, T, -1).transpose(1, 2).flatten(2), b + 'attn_output')

    def forward(s, tokens):
        tokens = torch.as_tensor(tokens)
        if tokens.dim() == 1:
            tokens = tokens[None]
        T = tokens.shape[1]
        s.eps = s.key('attention.layer_norm_rms_epsilon')
        rot = s.angles(T)
        mask = torch.full((T, T), float('-inf'), dtype=s.dtype).triu(1)
        x = s.w['token_embd.weight'][tokens]
        for i in range(s.key('block_count')):
            b = f'blk.{i}.'
            attention = refmoe.latent_attention if s.arch == 'deepseek2' else Model.attention
            x = x + attention(s, rms_norm(x, s.w[b + 'attn_norm.weight'], s.eps), b, rot, mask)
            h = rms_norm(x, s.w[b + 'ffn_norm.weight'], s.eps)
            if b + 'ffn_gate_inp.weight' in s.w:
                x = x + refmoe.ffn(s, h, b)
                continue
            x = x + s.linear(F.silu(s.linear(h, b + 'ffn_gate')) * s.linear(h, b + 'ffn_up'), b + 'ffn_down')
        x = rms_norm(x, s.w['output_norm.weight'], s.eps)
        return s.linear(x, 'output' if 'output.weight' in s.w else 'token_embd')

    def greedy(s, tokens, n, eos=None):
        """n greedy ids (fewer if eos is given and comes) and, for each, by how much it beat the second."""
        out, margin = list(tokens), []
        with torch.no_grad():
            while len(margin) < n:
                v, i = s.forward(out)[0, -1].topk(2)
                margin.append(float(v[0] - v[1]))
                out.append(int(i[0]))
                if out[-1] == eos:
                    break
        return out[len(tokens):], margin
