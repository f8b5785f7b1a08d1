# SPDX-License-Identifier: MIT
"""The reference forward passes of gemma 1 to 3, phi 3, olmo 2, granite, stablelm 2, starcoder 2, command-r and BitNet; gpt-oss,
olmoe and granite MoE with the experts of refmoe.py.

Each class says what its paper or its authors' published code says, and nothing is shared with the C side but the
names of tensors. GGUF's norm weights of gemma have the published "1 +" in them already.
"""
import math

import torch
import torch.nn.functional as F

import refmoe
from refmodel import Model, rms_norm


def rotary(s, T, base, stretch=True):
    """cos and sin, [T, n_rot / 2]. YaRN: arXiv 2309.00071, section 3.4; LongRoPE: 2402.13753 and Phi-3's code."""
    n = s.key('rope.dimension_count', s.head_dim())
    f = base ** (-torch.arange(0, n, 2, dtype=torch.float64) / n)
    kind, factor, magnitude = s.key('rope.scaling.type', 'none'), s.key('rope.scaling.factor', 1.0), 1.0
    if 'rope_factors_long.weight' in s.w:                    # converters do not name the type
        kind = 'longrope'
    if stretch and kind == 'linear':
        f = f / factor
    elif stretch and kind == 'yarn':
        context = s.key('rope.scaling.original_context_length')
        def at(turns):                                       # the dimension that turns so often in the context
            return n * math.log(context / (2 * math.pi * turns)) / (2 * math.log(base))
        low, high = max(math.floor(at(32)), 0), min(math.ceil(at(1)), n - 1)
        slow = ((torch.arange(n // 2, dtype=torch.float64) - low) / max(high - low, .001)).clamp(0, 1)
        f = f / factor * slow + f * (1 - slow)
        # DeepSeek has two such factors, one below the other; GGUF has that of the scores, and the two are equal
        magnitude = 1 if s.key('rope.scaling.yarn_log_multiplier') else .1 * math.log(factor) + 1
    elif stretch and kind == 'longrope':
        context, original = s.key('context_length'), s.key('rope.scaling.original_context_length')
        size = 'long' if context > original else 'short'
        f = f / s.w[f'rope_factors_{size}.weight'].double()
        magnitude = math.sqrt(1 + math.log(max(context / original, 1)) / math.log(original))
    th = torch.arange(T, dtype=torch.float64)[:, None] * f
    return (torch.cos(th) * magnitude).to(s.dtype), (torch.sin(th) * magnitude).to(s.dtype)


def turn_halves(x, cos, sin):
    n = cos.shape[-1]
    a, b, rest = x[..., :n], x[..., n:2 * n], x[..., 2 * n:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)


def turn_pairs(x, cos, sin):
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)


class Dense(Model):
    turn = staticmethod(turn_halves)

    def __init__(s, meta, weights, dtype=torch.float64, act8={}):
        s.meta, s.w, s.dtype, s.act8 = meta, weights, dtype, act8
        s.arch, s.margins = meta['general.architecture'], []
        s.H = s.key('attention.head_count')
        s.KV = s.key('attention.head_count_kv')
        s.eps = s.key('attention.layer_norm_rms_epsilon') or s.key('attention.layer_norm_epsilon')
        s.scale = 1 / math.sqrt(s.head_dim())

    def norm(s, x, name):
        return rms_norm(x, s.w[name + '.weight'], s.eps)

    def layer_norm(s, x, name):
        d = x - x.mean(-1, keepdim=True)
        y = d / torch.sqrt((d * d).mean(-1, keepdim=True) + s.eps) * s.w[name + '.weight']
        return y + s.w[name + '.bias'] if name + '.bias' in s.w else y

    def split(s, x, b):
        return [s.linear(x, f'{b}attn_{c}') for c in 'qkv']

    def heads_norm(s, q, k, b):
        return q, k

    def attend(s, x, b, cos, sin, window=0, cap=0, sinks=None):
        """x: [T, dim]; a plain loop over heads."""
        T = len(x)
        q, k, v = s.split(x, b)
        q, k = s.heads_norm(q.view(T, s.H, -1), k.view(T, s.KV, -1), b)
        v = v.view(T, s.KV, -1)
        i, j = torch.arange(T)[:, None], torch.arange(T)
        seen = (j <= i) & ((i - j < window) if window else True)
        out = []
        for h in range(s.H):
            g = h * s.KV // s.H
            p = s.turn(q[:, h], cos, sin) @ s.turn(k[:, g], cos, sin).T * s.scale
            if cap:
                p = torch.tanh(p / cap) * cap
            p = p.masked_fill(~seen, -math.inf)
            if sinks is not None:                            # a score that takes part and leads nowhere
                p = torch.cat([p, sinks[h].expand(T, 1)], -1)
            out.append(torch.softmax(p, -1)[:, :T] @ v[:, g])
        return s.linear(torch.cat(out, -1), b + 'attn_output')

    def gated(s, x, b, act):
        return s.linear(act(s.linear(x, b + 'ffn_gate')) * s.linear(x, b + 'ffn_up'), b + 'ffn_down')

    def forward(s, tokens):
        x = s.w['token_embd.weight'][torch.as_tensor(tokens).flatten()]
        T = len(x)
        for i in range(s.key('block_count')):
            x = s.layer(x, i, f'blk.{i}.', T)
        return s.head(x)[None]

    def head(s, x):
        return s.linear(s.norm(x, 'output_norm'), 'output' if 'output.weight' in s.w else 'token_embd')

    def plain_rotary(s, T):
        return rotary(s, T, s.key('rope.freq_base', 10000.0))


def gelu(x):
    return F.gelu(x, approximate='tanh')


class Llama(Dense):
    """For YaRN alone; Model has the rest."""
    turn = staticmethod(turn_pairs)

    def layer(s, x, i, b, T):
        x = x + s.attend(s.norm(x, b + 'attn_norm'), b, *s.plain_rotary(T))
        return x + s.gated(s.norm(x, b + 'ffn_norm'), b, F.silu)


class Gemma(Dense):
    def forward(s, tokens):
        s.emb = s.w['token_embd.weight'] * math.sqrt(s.key('embedding_length'))
        x = s.emb[torch.as_tensor(tokens).flatten()]
        for i in range(s.key('block_count')):
            x = s.layer(x, i, f'blk.{i}.', len(x))
        return s.head(x)[None]

    def layer(s, x, i, b, T):
        x = x + s.attend(s.norm(x, b + 'attn_norm'), b, *s.plain_rotary(T))
        return x + s.gated(s.norm(x, b + 'ffn_norm'), b, gelu)


class Gemma2(Gemma):
    def layer(s, x, i, b, T):
        a = s.attend(s.norm(x, b + 'attn_norm'), b, *s.plain_rotary(T),
                     window=s.key('attention.sliding_window', 4096) if i % 2 == 0 else 0,
                     cap=s.key('attn_logit_softcapping', 50.0))
        x = x + s.norm(a, b + 'post_attention_norm')
        return x + s.norm(s.gated(s.norm(x, b + 'ffn_norm'), b, gelu), b + 'post_ffw_norm')

    def head(s, x):
        cap = s.key('final_logit_softcapping', 30.0)
        return torch.tanh(super().head(x) / cap) * cap


class Gemma3(Gemma):
    def heads_norm(s, q, k, b):
        return s.norm(q, b + 'attn_q_norm'), s.norm(k, b + 'attn_k_norm')

    def layer(s, x, i, b, T):
        everything = i % 6 == 5
        rot = s.plain_rotary(T) if everything else rotary(s, T, 10000.0, stretch=False)
        a = s.attend(s.norm(x, b + 'attn_norm'), b, *rot, window=0 if everything else s.key('attention.sliding_window'))
        x = x + s.norm(a, b + 'post_attention_norm')
        return x + s.norm(s.gated(s.norm(x, b + 'ffn_norm'), b, gelu), b + 'post_ffw_norm')


class Phi3(Dense):
    def split(s, x, b):
        d = s.head_dim()
        return s.linear(x, b + 'attn_qkv').split([s.H * d, s.KV * d, s.KV * d], -1)

    def layer(s, x, i, b, T):
        x = x + s.attend(s.norm(x, b + 'attn_norm'), b, *s.plain_rotary(T), window=s.key('attention.sliding_window', 0))
        gate, up = s.linear(s.norm(x, b + 'ffn_norm'), b + 'ffn_up').chunk(2, -1)
        return x + s.linear(up * F.silu(gate), b + 'ffn_down')


class Olmo2(Dense):
    def split(s, x, b):
        q, k, v = super().split(x, b)
        return s.norm(q, b + 'attn_q_norm'), s.norm(k, b + 'attn_k_norm'), v

    def layer(s, x, i, b, T):
        x = x + s.norm(s.attend(x, b, *s.plain_rotary(T)), b + 'post_attention_norm')
        return x + s.norm(s.gated(x, b, F.silu), b + 'post_ffw_norm')


class Granite(Dense):
    turn = staticmethod(turn_pairs)

    def forward(s, tokens):
        s.scale = s.key('attention.scale')
        x = s.w['token_embd.weight'][torch.as_tensor(tokens).flatten()] * s.key('embedding_scale')
        for i in range(s.key('block_count')):
            x = s.layer(x, i, f'blk.{i}.', len(x))
        return s.head(x)[None] / s.key('logit_scale')

    def layer(s, x, i, b, T):
        by = s.key('residual_scale')
        x = x + by * s.attend(s.norm(x, b + 'attn_norm'), b, *s.plain_rotary(T))
        return x + by * s.gated(s.norm(x, b + 'ffn_norm'), b, F.silu)


class StableLm(Dense):
    def heads_norm(s, q, k, b):
        if b + 'attn_q_norm.weight' in s.w:                  # a norm for each head
            q, k = s.layer_norm(q, b + 'attn_q_norm'), s.layer_norm(k, b + 'attn_k_norm')
        return q, k

    def layer(s, x, i, b, T):
        h = s.layer_norm(x, b + 'attn_norm')
        a = s.attend(h, b, *s.plain_rotary(T))
        if b + 'ffn_norm.weight' not in s.w:                 # 12B: parallel
            return x + a + s.gated(h, b, F.silu)
        x = x + a
        return x + s.gated(s.layer_norm(x, b + 'ffn_norm'), b, F.silu)

    def head(s, x):
        return s.linear(s.layer_norm(x, 'output_norm'), 'output')


class StarCoder2(Dense):
    def layer(s, x, i, b, T):
        x = x + s.attend(s.layer_norm(x, b + 'attn_norm'), b, *s.plain_rotary(T),
                         window=s.key('attention.sliding_window', 0))
        h = s.linear(gelu(s.linear(s.layer_norm(x, b + 'ffn_norm'), b + 'ffn_up')), b + 'ffn_down')
        return x + h

    def head(s, x):
        return s.linear(s.layer_norm(x, 'output_norm'), 'token_embd')


class CommandR(Dense):
    turn = staticmethod(turn_pairs)
    heads_norm = StableLm.heads_norm

    def layer(s, x, i, b, T):
        h = s.layer_norm(x, b + 'attn_norm')
        return x + s.attend(h, b, *s.plain_rotary(T)) + s.gated(h, b, F.silu)

    def head(s, x):
        return s.linear(s.layer_norm(x, 'output_norm'), 'token_embd') * s.key('logit_scale')


class GptOss(Dense):
    def layer(s, x, i, b, T):
        x = x + s.attend(s.norm(x, b + 'attn_norm'), b, *s.plain_rotary(T), sinks=s.w[b + 'attn_sinks.weight'],
                         window=s.key('attention.sliding_window') if i % 2 == 0 else 0)
        return x + refmoe.ffn(s, s.norm(x, b + 'post_attention_norm'), b)


class OlmoE(Olmo2):
    """arXiv 2409.02060; norms before the blocks, unlike Olmo 2."""
    def layer(s, x, i, b, T):
        x = x + s.attend(s.norm(x, b + 'attn_norm'), b, *s.plain_rotary(T))
        return x + refmoe.ffn(s, s.norm(x, b + 'ffn_norm'), b)


class GraniteMoe(Granite):
    def gated(s, x, b, act):
        return refmoe.ffn(s, x, b)


class BitNet(Dense):
    """arXiv 2402.17764: the inputs of two matrices are normalised; scales are those of matrices."""
    act = staticmethod(F.silu)

    def linear(s, x, name):
        for matrix, norm in (('attn_output', 'attn_sub_norm'), ('ffn_down', 'ffn_sub_norm')):
            if name.endswith(matrix):
                x = s.norm(x, name.replace(matrix, norm))
        y = super().linear(x, name)
        return y * s.w[name + '.scale'] if name + '.scale' in s.w else y

    def layer(s, x, i, b, T):
        x = x + s.attend(s.norm(x, b + 'attn_norm'), b, *s.plain_rotary(T))
        return x + s.gated(s.norm(x, b + 'ffn_norm'), b, s.act)


class BitNet2B(BitNet):
    """2504.12285"""
    act = staticmethod(lambda x: F.relu(x) ** 2)


ARCHS = {'bitnet': BitNet, 'bitnet-25': BitNet2B, 'bitnet-b1.58': BitNet2B, 'gpt-oss': GptOss, 'olmoe': OlmoE, 'granitemoe': GraniteMoe,
         'gemma': Gemma, 'gemma2': Gemma2, 'gemma3': Gemma3, 'phi3': Phi3, 'olmo2': Olmo2, 'granite': Granite,
         'stablelm': StableLm, 'starcoder2': StarCoder2, 'command-r': CommandR}
