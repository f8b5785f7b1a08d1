# SPDX-License-Identifier: MIT
"""Mixtures of experts and latent attention for the reference forward pass, from their published definitions:
Mixtral (arXiv 2401.04088), Qwen1.5-MoE and Qwen3 (2505.09388), gpt-oss (OpenAI's model card and reference code),
DeepSeek-V2 (2405.04434) and -V3 (2412.19437). Tensors have GGUF's names.
"""
import math

import torch
import torch.nn.functional as F

SOFTMAX, SIGMOID, SOFTMAX_CHOSEN = 1, 2, 3


def rounded(m, x, name):
    """x as a runtime with 8-bit activations would see it in a product with that weight."""
    from refmodel import round_blocks
    return round_blocks(x, m.act8[name]) if name in m.act8 else x


def expert(m, b, which, e):
    """Weight and bias of one expert's matrix, and the name of the tensor it is in."""
    name = f'{b}ffn_{which}.{e}.weight'                      # files of 2023 and 2024: a tensor an expert
    if name in m.w:
        return m.w[name], 0, name
    name = f'{b}ffn_{which}_exps'
    return m.w[name + '.weight'][e], m.w[name + '.bias'][e] if name + '.bias' in m.w else 0, name + '.weight'


def gates(m, h, b):
    """Weight of each expert for each token, 0 for those not chosen; keeps the margin of the choice in m.margins."""
    E, K = m.key('expert_count'), m.key('expert_used_count')
    logits = m.linear(h, b + 'ffn_gate_inp')
    kind = m.key('expert_gating_func', SOFTMAX_CHOSEN if m.arch == 'gpt-oss' else SOFTMAX)
    p = {SOFTMAX: lambda: torch.softmax(logits, -1), SIGMOID: lambda: torch.sigmoid(logits),
         SOFTMAX_CHOSEN: lambda: logits}[kind]()
    score = p + m.w[b + 'exp_probs_b.bias'] if b + 'exp_probs_b.bias' in m.w else p
    G, used = m.key('expert_group_count', 1), m.key('expert_group_used_count', 1)
    if G > used:
        # V2 ranks groups by their best expert, V3 by the sum of their two best
        g = score.unflatten(-1, (G, E // G)).topk(2 if kind == SIGMOID else 1, -1).values.sum(-1)
        rank = g.sort(-1, descending=True).values
        m.margins.append(float((rank[..., used - 1] - rank[..., used]).min()))
        keep = torch.zeros_like(g).scatter(-1, g.topk(used, -1).indices, 1)
        score = score.masked_fill(keep.repeat_interleave(E // G, -1) == 0, -math.inf)
    rank = score.sort(-1, descending=True).values
    if K < E:
        m.margins.append(float((rank[..., K - 1] - rank[..., K]).min()))
    chosen = score.topk(K, -1).indices
    w = p.gather(-1, chosen)
    if kind == SOFTMAX_CHOSEN:
        w = torch.softmax(w, -1)
    elif m.key('expert_weights_norm', m.arch in ('llama', 'qwen3moe', 'granitemoe', 'granitehybrid')):
        w = w / w.sum(-1, keepdim=True)
    w = w * m.key('expert_weights_scale', 1.0)
    return torch.zeros_like(p).scatter(-1, chosen, w)


def activation(m, g, u):
    if m.arch != 'gpt-oss':
        return F.silu(g) * u
    g, u = g.clamp(max=7), u.clamp(-7, 7)
    return g * torch.sigmoid(1.702 * g) * (u + 1)


def ffn(m, h, b):
    w = gates(m, h, b)
    y = torch.zeros_like(h)
    for e in range(m.key('expert_count')):
        x = h
        parts = []
        for which in ('gate', 'up'):
            weight, bias, name = expert(m, b, which, e)
            parts.append(rounded(m, x, name) @ weight.T + bias)
        weight, bias, name = expert(m, b, 'down', e)
        y = y + w[..., e:e + 1] * (rounded(m, activation(m, *parts), name) @ weight.T + bias)
    if b + 'ffn_gate_shexp.weight' in m.w:
        s = m.linear(F.silu(m.linear(h, b + 'ffn_gate_shexp')) * m.linear(h, b + 'ffn_up_shexp'), b + 'ffn_down_shexp')
        if b + 'ffn_gate_inp_shexp.weight' in m.w:
            s = s * torch.sigmoid(h @ m.w[b + 'ffn_gate_inp_shexp.weight'])[..., None]
        y = y + s
    return y


def latent_attention(m, h, b, rot, mask):
    """Each head's keys and values are made from the latent vector, as published, unless activations are rounded:
    then in the absorbed form, since that decides which vectors meet the rounded matrices."""
    from refmodel import rms_norm
    B, T, _ = h.shape
    H, rank = m.key('attention.head_count'), m.key('attention.kv_lora_rank')
    turned = m.key('rope.dimension_count')
    width = m.key('attention.key_length_mla', m.key('attention.key_length'))
    vw = m.key('attention.value_length_mla', m.key('attention.value_length'))
    nope = width - turned
    if b + 'attn_q_a.weight' in m.w:
        q = m.linear(rms_norm(m.linear(h, b + 'attn_q_a'), m.w[b + 'attn_q_a_norm.weight'], m.eps), b + 'attn_q_b')
    else:
        q = m.linear(h, b + 'attn_q')
    q = q.view(B, T, H, width).transpose(1, 2)
    c, k_rot = m.linear(h, b + 'attn_kv_a_mqa').split([rank, turned], -1)
    c = rms_norm(c, m.w[b + 'attn_kv_a_norm.weight'], m.eps)
    q_rot, k_rot = m.rope(q[..., nope:], *rot), m.rope(k_rot[:, None], *rot)
    q = q[..., :nope]
    if b + 'attn_kv_b.weight' in m.w:
        k_b, v_b = m.w[b + 'attn_kv_b.weight'].view(H, nope + vw, rank).split([nope, vw], 1)
        v_name = b + 'attn_kv_b.weight'
    else:
        k_b, v_b = m.w[b + 'attn_k_b.weight'].transpose(1, 2), m.w[b + 'attn_v_b.weight']
        v_name = b + 'attn_v_b.weight'
        q = rounded(m, q, b + 'attn_k_b.weight')
    scale = 1 / math.sqrt(width)
    if m.key('rope.scaling.type') == 'yarn':
        scale *= (1 + m.key('rope.scaling.yarn_log_multiplier', 0.0) * math.log(m.key('rope.scaling.factor'))) ** 2
    turn = q_rot @ k_rot.transpose(-1, -2)
    if m.act8:
        s = (q @ k_b) @ c[:, None].transpose(-1, -2)
        o = torch.softmax((s + turn) * scale + mask, -1) @ c[:, None]
        o = rounded(m, o, v_name) @ v_b.transpose(1, 2)
    else:
        k = torch.einsum('btr,hnr->bhtn', c, k_b)
        v = torch.einsum('btr,hvr->bhtv', c, v_b)
        o = torch.softmax((q @ k.transpose(-1, -2) + turn) * scale + mask, -1) @ v
    return m.linear(o.transpose(1, 2).flatten(2), b + 'attn_output')
