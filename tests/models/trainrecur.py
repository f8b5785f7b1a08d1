#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make zen5-mamba.gguf and zen5-rwkv7.gguf: a Mamba (arXiv 2312.00752) and an RWKV 7 (2503.14456) of zen5-tiny's text.

usage: trainrecur.py train WORKDIR mamba|rwkv7 SECONDS [TOTAL]   goes on from WORKDIR/state.pt if it is there; the
                                            learning rate falls over TOTAL seconds of one CPU of all runs together
       trainrecur.py names WORKDIR          from here on names weigh more, and have new, distant vectors: see train.py
       trainrecur.py pack  WORKDIR OUT.gguf
       trainrecur.py check MODEL.gguf       as train.py does
       trainrecur.py prove                  how far the forward passes here are from the definitions

refrecur.py goes from token to token and is what the file is checked against. What is here computes the same for many
sequences at once, in the order (time, sequence, channel): Mamba in one pass over time with its gradient written out,
RWKV 7 in chunks of 16 tokens, inside which all is products of matrices. Large tensors come and go with each step: with
MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000 in the environment their memory stays, and Mamba learns
half as fast again.
"""
import math
import os
import random
import re
import sys
import time
from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F

import gguf
import grammar
import refrecur
import train
from gguf import F16, F32, FLOAT, Q8_0, STR, U32
from mkref import vocabulary
from tok import SPACE, World
from trainbit import vocabulary as tiny_vocabulary

DIM, EPS, CONTEXT, SHORT = 192, 1e-5, 512, 192
INNER, STATE, CONV, RANK = 2 * DIM, 16, 4, DIM // 16
SIZE, FFN, LOW, GATE = 64, 352, 8, 16
LAYERS = {'mamba': 4, 'rwkv7': 3}
LR, TOKENS_A_STEP = {'mamba': 5e-3, 'rwkv7': 4e-3}, 1536
CHUNK = 16                                                   # the least decay to the power of this is far from denormal


class Scan(torch.autograd.Function):
    """h = exp(dt A) h + dt u B and y = h C, of dt and u [T, B, inner], A [inner, state], B and C [T, B, state]."""

    @staticmethod
    def forward(ctx, dt, u, A, B, C):
        decay = (dt[..., None, :] * A.T).exp_()              # [T, B, state, inner]: long rows
        h = (dt * u)[..., None, :] * B[..., None]
        for t in range(1, len(h)):
            h[t].addcmul_(decay[t], h[t - 1])
        ctx.save_for_backward(dt, u, A, B, C, decay, h)
        return (C[..., None, :] @ h)[..., 0, :]

    @staticmethod
    def backward(ctx, y):
        dt, u, A, B, C, decay, h = ctx.saved_tensors
        g = y[..., None, :] * C[..., None]
        for t in range(len(g) - 2, -1, -1):
            g[t].addcmul_(decay[t + 1], g[t + 1])
        toC, toB = (h @ y[..., None])[..., 0], (g @ (dt * u)[..., None])[..., 0]
        fed = (B[..., None, :] @ g)[..., 0, :]
        g[0].zero_()                                         # no decay of what there is before the first token
        g[1:].mul_(decay[1:]).mul_(h[:-1])
        toA = torch.stack([(g[:, :, n] * dt).sum((0, 1)) for n in range(A.shape[1])], 1)
        return g.mul_(A.T).sum(-2) + fed * u, fed * dt, toA, toB, toC


class Batch:
    def forward(s, tokens):
        tokens = torch.as_tensor(tokens)
        x = s.embed(s.w['token_embd.weight'][(tokens if tokens.dim() == 2 else tokens[None]).T])
        for i in range(s.key('block_count')):
            x = s.layer(x, f'blk.{i}.', i)
        x = s.linear(s.norm(x, 'output_norm'), 'output' if 'output.weight' in s.w else 'token_embd')
        return x.transpose(0, 1)


class Mamba(Batch, refrecur.Mamba):
    def conv(s, x, b):
        w, n = s.w[b + 'ssm_conv1d.weight'], s.key('ssm.conv_kernel')
        padded = F.pad(x, (0, 0, 0, 0, n - 1, 0))
        return F.silu(sum(padded[j:j + len(x)] * w[:, j] for j in range(n)) + s.w[b + 'ssm_conv1d.bias'])

    def layer(s, x, b, i):
        n, rank = s.key('ssm.state_size'), s.key('ssm.time_step_rank')
        u, z = s.linear(s.norm(x, b + 'attn_norm'), b + 'ssm_in').chunk(2, -1)
        u = s.conv(u, b)
        low, B, C = s.linear(u, b + 'ssm_x').split([rank, n, n], -1)
        dt = F.softplus(s.linear(low, b + 'ssm_dt'))
        y = Scan.apply(dt, u, s.w[b + 'ssm_a'], B, C) + s.w[b + 'ssm_d'] * u
        return x + s.linear(y * F.silu(z), b + 'ssm_out')


class Rwkv7(Batch, refrecur.Rwkv7):
    def chunks(s, x):
        """[T, B, channels] as [B heads, chunks, CHUNK, size]; zeros after the end change nothing."""
        x = F.pad(x, (0, 0, 0, 0, 0, -len(x) % CHUNK))
        return x.view(len(x) // CHUNK, CHUNK, -1, s.key('wkv.head_size')).permute(2, 0, 1, 3)

    def wkv(s, r, w, k, v, z, b):
        """S = S (diag(exp(w)) + z b') + v k', y = S r. Inside a chunk, with D the decay since its beginning, S is
        (S0 + sum(u b'/D + v k'/D)) D for the rows u = S z, and u depends on those before it: a triangular system."""
        T, B, _ = r.shape
        r, w, k, v, z, b = (s.chunks(x) for x in (r, w, k, v, z, b))
        past = w.cumsum(2)
        D, last = past.exp(), past[:, :, -1:].exp()
        z, r, k, b = z * (past - w).exp(), r * D, k / D, b / D
        strict = torch.ones(CHUNK, CHUNK, dtype=r.dtype).tril(-1)
        whole = strict + torch.eye(CHUNK, dtype=r.dtype)
        L = z @ b.transpose(-1, -2) * strict
        M, n = torch.eye(CHUNK, dtype=r.dtype) + L, 2        # 1/(1 - L) = (1 + L)(1 + L^2)(1 + L^4)...
        while n < CHUNK:
            L, n = L @ L, 2 * n
            M = M + M @ L
        z, u = M @ z, M @ ((z @ k.transpose(-1, -2) * strict) @ v)
        rb, rk = r @ b.transpose(-1, -2) * whole, r @ k.transpose(-1, -2) * whole
        step = (torch.eye(r.shape[-1], dtype=r.dtype) + z.transpose(-1, -2) @ b) * last
        more = (u.transpose(-1, -2) @ b + v.transpose(-1, -2) @ k) * last
        S, states = torch.zeros_like(more[:, 0]), []
        for P, Q in zip(step.unbind(1), more.unbind(1)):
            states.append(S)
            S = torch.baddbmm(Q, S, P)
        y = (r + rb @ z) @ torch.stack(states, 1).transpose(-1, -2) + rb @ u + rk @ v
        return y.permute(1, 2, 0, 3).reshape(-1, B, r.shape[0] // B, r.shape[-1])[:T]

    def time(s, x, b, i):
        w, d, p = lambda n: s.w[f'{b}time_mix_{n}.weight'].reshape(-1), s.before(x) - x, b + 'time_mix_'
        ir, iw, ik, iv, ia, ig = (x + d * m for m in s.w[p + 'lerp_fused.weight'].reshape(6, -1))
        r, k, v = s.linear(ir, p + 'receptance'), s.linear(ik, p + 'key'), s.linear(iv, p + 'value')
        decay = -0.606531 * torch.sigmoid(w('w0') + s.low(iw, p + 'w1', p + 'w2', torch.tanh))
        a = torch.sigmoid(w('a0') + s.low(ia, p + 'a1', p + 'a2'))
        gate = s.low(ig, p + 'g1', p + 'g2', torch.sigmoid)
        if i:
            v = v + (s.first - v) * torch.sigmoid(w('v0') + s.low(iv, p + 'v1', p + 'v2'))
        else:
            s.first = v
        split = (-1, s.key('wkv.head_size'))
        removal = F.normalize((k * w('k_k')).unflatten(-1, split), dim=-1, eps=1e-12).flatten(-2)
        k = k * (1 + (a - 1) * w('k_a'))
        y = refrecur.layer_norm(s.wkv(r, decay, k, v, -removal, removal * a), 1, 0, 64e-5).flatten(-2)
        bonus = (r * k * w('r_k')).unflatten(-1, split).sum(-1, keepdim=True) * v.unflatten(-1, split)
        return s.linear((y * w('ln') + s.w[p + 'ln.bias'] + bonus.flatten(-2)) * gate, p + 'output')


NETS = {'mamba': Mamba, 'rwkv7': Rwkv7}


def words():
    """For RWKV: the pieces of zen5-tiny, and what begins texts and what is quoted, which has no space in front."""
    rng, count = random.Random(1), Counter()
    for _ in range(4000):
        count.update(re.findall(r'(?<! )\b[A-Z][a-z]+', grammar.document(rng)))
    v = tiny_vocabulary()
    return [p.replace(SPACE, ' ') for p in v.tokens[v.FIRST:]] + [w for w, _ in count.most_common(50)]


def the_vocabulary(arch):
    return tiny_vocabulary() if arch == 'mamba' else World.of(words())


def meta(arch, n_vocab):
    m = {'context_length': CONTEXT, 'embedding_length': DIM, 'block_count': LAYERS[arch], 'attention.head_count': 0,
         'vocab_size': n_vocab}
    if arch == 'mamba':
        m |= {'feed_forward_length': 0, 'attention.layer_norm_rms_epsilon': EPS, 'ssm.conv_kernel': CONV,
              'ssm.inner_size': INNER, 'ssm.state_size': STATE, 'ssm.time_step_rank': RANK}
    else:
        m |= {'feed_forward_length': FFN, 'attention.layer_norm_epsilon': EPS, 'wkv.head_size': SIZE,
              'attention.decay_lora_rank': LOW, 'attention.iclr_lora_rank': LOW,
              'attention.value_residual_mix_lora_rank': LOW, 'attention.gate_lora_rank': GATE}
    return [('general.architecture', STR, arch), ('general.name', STR, 'zen5-' + arch), ('general.license', STR, 'mit'),
            ('general.file_type', U32, 7), ('general.quantization_version', U32, 2)] + [
            (f'{arch}.{k}', FLOAT if isinstance(v, float) else U32, v) for k, v in m.items()]


def fresh_mamba(n_vocab, normal, uniform):
    w, n = {'token_embd.weight': normal(n_vocab, DIM), 'output_norm.weight': torch.ones(DIM)}, LAYERS['mamba']
    for i in range(n):
        b, dt = f'blk.{i}.', torch.exp(uniform(math.log(1e-3), math.log(1e-1), INNER))
        w |= {b + 'attn_norm.weight': torch.ones(DIM), b + 'ssm_in.weight': normal(2 * INNER, DIM),
              b + 'ssm_conv1d.weight': uniform(-.5, .5, INNER, CONV), b + 'ssm_conv1d.bias': torch.zeros(INNER),
              b + 'ssm_x.weight': normal(RANK + 2 * STATE, INNER), b + 'ssm_dt.weight': normal(INNER, RANK),
              b + 'ssm_dt.bias': dt + torch.log(-torch.expm1(-dt)), b + 'ssm_d': torch.ones(INNER),
              b + 'ssm_a': torch.log(torch.arange(1., STATE + 1)).repeat(INNER, 1),
              b + 'ssm_out.weight': normal(DIM, INNER) / math.sqrt(n)}
    return w


def fresh_rwkv7(n_vocab, normal, uniform):
    """As the authors' own training code has it: decays and shares of the token before spread over the channels, and
    nothing comes out of a block at first."""
    w, n, at = {}, LAYERS['rwkv7'], torch.arange(DIM) / DIM

    def norm(name, gain=1.0):
        w[name + '.weight'], w[name + '.bias'] = torch.full((DIM,), gain), torch.zeros(DIM)

    w['token_embd.weight'] = .02 * math.sqrt(DIM) * normal(n_vocab, DIM)
    norm('token_embd_norm')
    norm('output_norm')
    w['output.weight'] = .5 * normal(n_vocab, DIM)
    for i in range(n):
        b, rest, p = f'blk.{i}.', 1 - i / n, f'blk.{i}.time_mix_'
        norm(b + 'attn_norm')
        norm(b + 'attn_norm_2')
        norm(p + 'ln', ((1 + i) / n) ** .7)
        half = .5 / math.sqrt(DIM)
        for c, size in ('receptance', half), ('key', .1 * half), ('value', half), ('output', 0):
            w[f'{p}{c}.weight'] = uniform(-size, size, DIM, DIM)
        # of receptance, decay, key, value, rate and gate
        mix = [1 - at ** (e * rest) for e in (.2, .9, .7, .7, .9, .2)]
        w[p + 'lerp_fused.weight'] = torch.stack(mix).view(6, 1, 1, DIM)
        w[b + 'channel_mix_lerp_k.weight'] = (1 - at ** rest ** 4).view(1, 1, DIM)
        w[b + 'channel_mix_key.weight'] = uniform(-half, half, FFN, DIM)
        w[b + 'channel_mix_value.weight'] = torch.zeros(DIM, FFN)
        w[p + 'w0.weight'] = -6.5 + 5 * (torch.arange(DIM) / (DIM - 1)) ** (.85 + math.sqrt(i / (n - 1)))
        w[p + 'a0.weight'] = torch.zeros(DIM)
        if i:
            w[p + 'v0.weight'] = torch.ones(DIM)
        for c, r in ('w', LOW), ('a', LOW), ('v', LOW), ('g', GATE):
            if c != 'v' or i:
                w[f'{p}{c}1.weight'] = torch.zeros(r, DIM)
                w[f'{p}{c}2.weight'] = .1 * torch.linalg.qr(normal(DIM, r))[0] * math.sqrt(DIM / r)
        w |= {p + 'k_k.weight': torch.full((DIM,), .85), p + 'k_a.weight': torch.ones(DIM),
              p + 'r_k.weight': torch.zeros(DIM)}
    return w


def fresh_weights(arch, n_vocab):
    g = torch.Generator().manual_seed(5)
    return {'mamba': fresh_mamba, 'rwkv7': fresh_rwkv7}[arch](
        n_vocab, lambda r, c: torch.randn(r, c, generator=g) / math.sqrt(c),
        lambda least, most, *shape: least + (most - least) * torch.rand(*shape, generator=g))


def as_stored(w):
    """What is learned is the logarithm of how fast a state fades."""
    return {k: -torch.exp(v) if k.endswith('ssm_a') else v for k, v in w.items()}


@torch.no_grad()
def prove(arch):
    m, g = {k: v for k, _, v in meta(arch, 300)}, torch.Generator().manual_seed(7)
    w = {k: v.double() for k, v in fresh_weights(arch, 300).items()}
    w = as_stored({k: v + .1 * torch.randn(v.shape, generator=g, dtype=v.dtype) for k, v in w.items()})
    x = torch.randint(300, (3, 2 * CHUNK + 5), generator=g)
    y, ref = NETS[arch](m, w).forward(x), refrecur.ARCHS[arch](m, w)
    return max(float((ref.forward(a)[0] - b).abs().max()) for a, b in zip(x, y)), float(y.abs().max())


def learn(work, arch, seconds, total):
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    assert prove(arch)[0] < 1e-9
    path, vocab = work + '/state.pt', the_vocabulary(arch)
    state = torch.load(path) if os.path.exists(path) else None
    w = state['w'] if state else fresh_weights(arch, len(vocab.tokens))
    for p in w.values():
        p.requires_grad_()
    big = [p for p in w.values() if p.dim() == 2 and min(p.shape) > 16]
    rest = [p for p in w.values() if p.dim() != 2 or min(p.shape) <= 16]
    opt = torch.optim.AdamW([{'params': big, 'weight_decay': 0.03}, {'params': rest, 'weight_decay': 0.0}],
                            lr=LR[arch], betas=(0.9, 0.95))
    if state:
        opt.load_state_dict(state['opt'])
    spent, step, seen, more = (state[k] for k in ('spent', 'step', 'seen', 'names')) if state else (0.0, 0, 0, 1)
    weight = torch.ones(len(vocab.tokens))
    weight[train.name_ids(vocab)] = more
    net = NETS[arch]({k: v for k, _, v in meta(arch, len(vocab.tokens))}, w, torch.float32)
    data, recent, cpu, begin = train.Stream(vocab, 100 + step), [], time.process_time() - spent, time.time()
    saved = begin

    def save():
        print(f'{spent:5.0f} s  step {step}  {seen / 1e6:.2f} M tokens  loss {np.mean(recent):.3f}', flush=True)
        torch.save({'arch': arch, 'w': {k: v.detach() for k, v in w.items()}, 'opt': opt.state_dict(), 'spent': spent,
                    'step': step, 'seen': seen, 'names': more}, path)

    while time.time() - begin < seconds and (u := spent / total) < 1:
        T = SHORT if u < .85 else CONTEXT
        x = data.batch(TOKENS_A_STEP // T, T)
        for g in opt.param_groups:
            g['lr'] = LR[arch] * min(1, (step + 1) / 60) * (.02 + .98 * .5 * (1 + math.cos(math.pi * u)))
        net.w = as_stored(w)
        loss = F.cross_entropy(net.forward(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten(), weight)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(w.values()), 1.0)
        opt.step()
        step, seen, spent = step + 1, seen + x.numel(), time.process_time() - cpu
        recent = (recent + [loss.item()])[-50:]
        if time.time() - saved > 30:
            saved = time.time()
            save()
    save()


def names(work):
    state = torch.load(work + '/state.pt')
    vocab, e = the_vocabulary(state['arch']), state['w']['token_embd.weight']
    ids = train.name_ids(vocab)
    e[ids] = e[ids].mean(0) + torch.randn(len(ids), DIM, generator=torch.Generator().manual_seed(5)) * e.std()
    torch.save(state | {'names': 4}, work + '/state.pt')


def kind(name, x):
    """What llama.cpp's converter leaves F32 or F16, its quantizer does not touch."""
    if x.dim() != 2 or re.search(r'ssm_(a|conv1d)|_w[12]\.', name):
        return F32
    return F16 if re.search(r'ssm_dt\.|time_mix_[avg][12]\.', name) else Q8_0


def pack(work, out):
    state = torch.load(work + '/state.pt')
    vocab = the_vocabulary(state['arch'])
    w = as_stored(state['w'])
    if state['arch'] == 'rwkv7':                             # nothing reads these, but llama.cpp wants them
        w |= {f'blk.0.time_mix_{c}.weight': torch.zeros_like(w[f'blk.1.time_mix_{c}.weight']) for c in ('v0', 'v1', 'v2')}
    gguf.write(out, meta(state['arch'], len(vocab.tokens)) + vocab.meta(),
               [(n, x.numpy(), kind(n, x)) for n, x in w.items()])


def check(path):
    g = gguf.Gguf(path)
    vocab, w = vocabulary(g.meta), {n: torch.from_numpy(g.tensor(n)) for n in g.info}
    net = NETS[g.meta['general.architecture']](g.meta, w, torch.float32)
    train.check(path, net, vocab)
    x = train.Stream(vocab, 3).batch(64, SHORT)
    with torch.no_grad():
        loss = F.cross_entropy(net.forward(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
    print(f'held out {loss:.4f} a token')


if __name__ == '__main__':
    if sys.argv[1] == 'names':
        names(sys.argv[2])
    elif sys.argv[1] == 'pack':
        pack(*sys.argv[2:4])
    elif sys.argv[1] == 'check':
        check(sys.argv[2])
    elif sys.argv[1] == 'prove':
        for a in NETS:
            print('%s: differs by %.1e of logits up to %.1f' % (a, *prove(a)))
    else:
        learn(*sys.argv[2:4], float(sys.argv[4]), float((sys.argv[5:] or [1500])[0]))
