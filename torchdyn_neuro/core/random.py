"""TEMPORARY eager stand-in until the philox branch is merged."""

import math
from contextlib import contextmanager

import torch

from .state import zeros_state

_off = [False]


@contextmanager
def without_drawing():
    _off.append(True)
    try:
        yield
    finally:
        _off.pop()


M = 0xFFFFFFFF


def _round(c, k):
    p0 = c[0] * 0xD2511F53
    p1 = c[2] * 0xCD9E8D57
    return [((p1 >> 32) & M) ^ c[1] ^ k[0], p1 & M, ((p0 >> 32) & M) ^ c[3] ^ k[1], p0 & M]


def philox(c, k):
    k = list(k)
    for i in range(10):
        c = _round(c, k)
        k = [(k[0] + 0x9E3779B9) & M, (k[1] + 0xBB67AE85) & M]
    return c


def random_bits(key, stream, lane):
    z = torch.zeros_like(key)
    return philox([key & M, (key >> 32) & M, z, z], [stream, 0])[lane]


def uniform(key, stream=0, dtype=torch.float32):
    return (random_bits(key, stream, 0).to(dtype) + 0.5) * 2.0**-32


def normals(key, stream=0, dtype=torch.float32):
    u = (random_bits(key, stream, 0).to(dtype) + 0.5) * 2.0**-32
    w = random_bits(key, stream, 1).to(dtype) * 2.0**-32
    r = torch.sqrt(-2 * torch.log(u))
    a = 2 * math.pi * w
    return r * torch.cos(a), r * torch.sin(a)


def start_key(x_t):
    like = zeros_state(x_t)
    if _off[-1]:
        return torch.zeros(like.shape, dtype=torch.int64, device=like.device)
    seed = torch.randint(2**63 - 1, (like.shape[0],)).reshape(-1, *[1] * (like.ndim - 1)).to(like.device)
    n = like[0].numel()
    el = torch.arange(n, device=like.device).reshape(like.shape[1:])
    el, seed = torch.broadcast_tensors(el, seed)
    z = torch.zeros_like(el)
    a = philox([el, z, z, z], [seed & M, (seed >> 32) & M])
    return (a[0] << 32) | a[1]
