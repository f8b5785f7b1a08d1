# SPDX-License-Identifier: MIT
"""The reference forward passes of Mamba 1 and 2, RWKV 6 and 7, and RWKV on the blocks of qwen2: the recurrences of their
papers, a token at a time.

Nothing is shared with the C side but the names of tensors. A class keeps nothing between calls: each computes the
whole sequence from an empty state, position after position, with the state as the papers write it (rows and columns
of RWKV's as in its section on the time mix).
"""
import torch
import torch.nn.functional as F

from refmodel import Model, rms_norm


def layer_norm(x, w, b, eps):
    d = x - x.mean(-1, keepdim=True)
    return d / torch.sqrt((d * d).mean(-1, keepdim=True) + eps) * w + b


class Recurrent(Model):
    def __init__(s, meta, weights, dtype=torch.float64, act8={}):
        s.meta, s.w, s.dtype, s.act8 = meta, weights, dtype, act8
        s.arch, s.margins = meta['general.architecture'], []

    def forward(s, tokens):
        tokens = torch.as_tensor(tokens)
        assert tokens.dim() == 1 or len(tokens) == 1
        x = s.embed(s.w['token_embd.weight'][tokens.reshape(-1)])
        for i in range(s.key('block_count')):
            x = s.layer(x, f'blk.{i}.', i)
        return s.linear(s.norm(x, 'output_norm'), 'output' if 'output.weight' in s.w else 'token_embd')[None]

    def embed(s, x):
        return x


class Mamba(Recurrent):
    """arXiv 2312.00752, algorithm 2 and figure 3."""

    def norm(s, x, name):
        return rms_norm(x, s.w[name + '.weight'], s.key('attention.layer_norm_rms_epsilon'))

    def conv(s, x, b):
        w, width = s.w[b + 'ssm_conv1d.weight'], s.key('ssm.conv_kernel')
        padded = torch.cat([x.new_zeros(width - 1, x.shape[1]), x])
        y = sum(padded[j:j + len(x)] * w[:, j] for j in range(width))
        return F.silu(y + s.w[b + 'ssm_conv1d.bias'])

    def layer(s, x, b, i):
        return x + s.mixer(s.norm(x, b + 'attn_norm'), b)

    def mixer(s, x, b):
        n, rank = s.key('ssm.state_size'), s.key('ssm.time_step_rank')
        u, z = s.linear(x, b + 'ssm_in').chunk(2, -1)
        u = s.conv(u, b)
        low, B, C = s.linear(u, b + 'ssm_x').split([rank, n, n], -1)
        if b + 'ssm_dt_norm.weight' in s.w or s.key('ssm.dt_b_c_rms'):       # Jamba (2403.19887), FalconMamba (2410.05355)
            low, B, C = (rms_norm(y, s.w.get(f'{b}ssm_{n}_norm.weight', 1), s.key('attention.layer_norm_rms_epsilon'))
                         for y, n in ((low, 'dt'), (B, 'b'), (C, 'c')))
        dt = F.softplus(s.linear(low, b + 'ssm_dt'))
        A, D = s.w[b + 'ssm_a'], s.w[b + 'ssm_d']
        h, out = torch.zeros_like(A), []
        for t in range(len(x)):
            h = torch.exp(dt[t, :, None] * A) * h + (dt[t] * u[t])[:, None] * B[t]
            out.append(h @ C[t] + D * u[t])
        return s.linear(torch.stack(out) * F.silu(z), b + 'ssm_out')


class Mamba2(Mamba):
    """arXiv 2405.21060, section 7."""

    def mixer(s, x, b):
        n, heads, inner, groups = (s.key('ssm.' + k) for k in ('state_size', 'time_step_rank', 'inner_size', 'group_count'))
        width, each = inner // heads, heads // groups
        z, u, dt = s.linear(x, b + 'ssm_in').split([inner, inner + 2 * groups * n, heads], -1)
        u, B, C = s.conv(u, b).split([inner, groups * n, groups * n], -1)
        dt = F.softplus(dt + s.w[b + 'ssm_dt.bias'])
        A, D = s.w[b + 'ssm_a'].reshape(-1), s.w[b + 'ssm_d'].reshape(-1)
        h, out = [x.new_zeros(width, n) for _ in range(heads)], []
        for t in range(len(x)):
            y = []
            for k in range(heads):
                g, v = k // each * n, u[t, k * width:(k + 1) * width]
                h[k] = torch.exp(dt[t, k] * A[k]) * h[k] + torch.outer(dt[t, k] * v, B[t, g:g + n])
                y.append(h[k] @ C[t, g:g + n] + D[k] * v)
            out.append(torch.cat(y))
        y = (torch.stack(out) * F.silu(z)).view(len(x), groups, -1)
        if b + 'ssm_norm.weight' in s.w:                     # some of Falcon-H1's blocks have none
            y = rms_norm(y, s.w[b + 'ssm_norm.weight'].view(groups, -1), s.key('attention.layer_norm_rms_epsilon'))
        return s.linear(y.reshape(len(x), inner), b + 'ssm_out')


class Rwkv(Recurrent):
    def norm(s, x, name):
        return layer_norm(x, s.w[name + '.weight'], s.w[name + '.bias'], s.key('attention.layer_norm_epsilon'))

    def embed(s, x):
        return s.norm(x, 'token_embd_norm')

    def low(s, x, a, b, bend=lambda x: x):
        return s.linear(bend(s.linear(x, a)), b)

    @staticmethod
    def before(x):
        return torch.cat([torch.zeros_like(x[:1]), x[:-1]])

    def heads(s, x):
        return x.view(len(x), -1, s.key('wkv.head_size'))

    def out(s, y, b):
        """The norm of each head, by which GroupNorm is meant; its epsilon is 1e-5 for each 1 of 64 (8 squared)."""
        if b + 'time_mix_ln.weight' not in s.w:
            return y.flatten(1)
        y = layer_norm(y, 1, 0, 64e-5).flatten(1)
        return y * s.w[b + 'time_mix_ln.weight'] + s.w[b + 'time_mix_ln.bias']

    def layer(s, x, b, i):
        x = x + s.time(s.norm(x, b + 'attn_norm'), b, i)
        x = x + s.channel(s.norm(x, b + 'attn_norm_2'), b)
        every = s.key('rescale_every_n_layers', 0)
        return x / 2 if every and (i + 1) % every == 0 else x


class Rwkv6(Rwkv):
    """arXiv 2404.05892, section 4."""

    def inputs(s, x, b):
        """Of the decay, in its final form, of key, value and receptance as their products give them, and of the gate."""
        w, d = lambda n: s.w[f'{b}time_mix_{n}.weight'], s.before(x) - x
        low = torch.tanh(s.linear(x + d * w('lerp_x').view(-1), b + 'time_mix_w1')).chunk(5, -1)
        mix = w('lerp_fused').reshape(5, -1)
        iw, ik, iv, ir, ig = (x + d * (mix[j] + low[j] @ w('w2')[j].T) for j in range(5))
        r, k, v = (s.heads(s.linear(a, f'{b}time_mix_{n}')) for a, n in
                   ((ir, 'receptance'), (ik, 'key'), (iv, 'value')))
        decay = w('decay').view(-1) + s.low(iw, b + 'time_mix_decay_w1', b + 'time_mix_decay_w2', torch.tanh)
        return s.heads(torch.exp(-torch.exp(decay))), k, v, r, s.linear(ig, b + 'time_mix_gate')

    def time(s, x, b, i):
        (decay, k, v, r, gate), u = s.inputs(x, b), s.w[b + 'time_mix_first.weight']
        S, out = x.new_zeros(r.shape[1], r.shape[2], r.shape[2]), []
        for t in range(len(x)):
            kv = k[t, :, :, None] * v[t, :, None, :]
            out.append((r[t, :, None, :] @ (u[:, :, None] * kv + S))[:, 0])
            S = decay[t, :, :, None] * S + kv
        return s.linear(s.out(torch.stack(out), b) * F.silu(gate), b + 'time_mix_output')

    def channel(s, x, b):
        d = s.before(x) - x
        ik, ir = (x + d * s.w[f'{b}channel_mix_lerp_{n}.weight'].view(-1) for n in 'kr')
        k = torch.relu(s.linear(ik, b + 'channel_mix_key')) ** 2
        return torch.sigmoid(s.linear(ir, b + 'channel_mix_receptance')) * s.linear(k, b + 'channel_mix_value')


class Rwkv7(Rwkv):
    """arXiv 2503.14456, section 4."""

    def time(s, x, b, i):
        w, d = lambda n: s.w[f'{b}time_mix_{n}.weight'].reshape(-1), s.before(x) - x
        mix, p = s.w[b + 'time_mix_lerp_fused.weight'].flatten(0, -2), b + 'time_mix_'
        ir, iw, ik, iv, ia, *ig = (x + d * m for m in mix)
        r, k, v = s.linear(ir, p + 'receptance'), s.linear(ik, p + 'key'), s.linear(iv, p + 'value')
        decay = torch.exp(-0.606531 * torch.sigmoid(w('w0') + s.low(iw, p + 'w1', p + 'w2', torch.tanh)))
        a = torch.sigmoid(w('a0') + s.low(ia, p + 'a1', p + 'a2'))
        gate = s.low(ig[0], p + 'g1', p + 'g2', torch.sigmoid) if ig else 1
        if i:
            v = v + (s.first - v) * torch.sigmoid(w('v0') + s.low(iv, p + 'v1', p + 'v2'))
        else:
            s.first = v
        removal = F.normalize(s.heads(k * w('k_k')), dim=-1, eps=1e-12)
        k = k * (1 + (a - 1) * w('k_a'))
        r, decay, k, v, a, r_k = (s.heads(y) for y in (r, decay, k, v, a, w('r_k')[None]))
        S, out = x.new_zeros(r.shape[1], r.shape[2], r.shape[2]), []      # rows: of the value, columns: of the key
        for t in range(len(x)):
            kk = removal[t]
            change = torch.diag_embed(decay[t]) - kk[:, :, None] @ (a[t] * kk)[:, None, :]
            S = S @ change + v[t, :, :, None] * k[t, :, None, :]
            out.append((S @ r[t, :, :, None])[..., 0])
        y = s.out(torch.stack(out), b) + ((r * k * r_k).sum(-1, keepdim=True) * v).flatten(1)
        return s.linear(y * gate, p + 'output')

    def channel(s, x, b):
        k = x + (s.before(x) - x) * s.w[b + 'channel_mix_lerp_k.weight'].view(-1)
        return s.linear(torch.relu(s.linear(k, b + 'channel_mix_key')) ** 2, b + 'channel_mix_value')


class Blocks:
    """Of qwen2, around a time mix: RMS norms and a feed-forward that sees one token."""

    def norm(s, x, name):
        return rms_norm(x, s.w[name + '.weight'], s.key('attention.layer_norm_rms_epsilon'))

    def embed(s, x):
        return x

    def layer(s, x, b, i):
        x = x + s.time(s.norm(x, b + 'attn_norm'), b, i)
        h = s.norm(x, b + 'ffn_norm')
        return x + s.linear(F.silu(s.linear(h, b + 'ffn_gate')) * s.linear(h, b + 'ffn_up'), b + 'ffn_down')


class Rwkv6Qwen2(Blocks, Rwkv6):
    """arXiv 2505.03005, RADFinch: gated linear attention (2312.06635) whose heads share keys and values in groups."""

    def time(s, x, b, i):
        decay, k, v, r, gate = s.inputs(x, b)
        each, size = r.shape[1] // k.shape[1], r.shape[2]
        k, v = (y.repeat_interleave(each, 1) for y in (k, v))
        S, out = x.new_zeros(r.shape[1], size, size), []
        for t in range(len(x)):
            S = decay[t, :, :, None] * S + ((1 - decay[t]) * k[t])[:, :, None] * v[t, :, None, :]
            out.append((r[t, :, None, :] / size ** .5 @ S)[:, 0])
        return s.linear(torch.stack(out).flatten(1) * torch.sigmoid(gate), b + 'time_mix_output')


class Arwkv7(Blocks, Rwkv7):
    """arXiv 2501.15570, section 3; with and without a gate and a norm of heads."""


ARCHS = {'mamba': Mamba, 'mamba2': Mamba2, 'rwkv6': Rwkv6, 'rwkv7': Rwkv7, 'rwkv6qwen2': Rwkv6Qwen2, 'arwkv7': Arwkv7}
