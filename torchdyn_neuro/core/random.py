r"""Randomness as state: a stochastic step reads an integer key from its state and returns the key of the next step.

A key is an int64 leaf [B, \*], one number for each element. Its 64 bits are the counter of Philox 4x32-10, a bijection
that turns consecutive counters into independent random words; the key of the next step is ``key + 1``. So a replay, two
halves of a sequence and every backend draw the same numbers, whatever the batch, the layout in memory or the device.

.. math:: (w_0, w_1, w_2, w_3) = \mathrm{philox}\big((k_{low}, k_{high}, 0, 0), (stream, 0)\big)

:func:`normal` wastes none of these words: four keys in a row share one counter, so a loop computes every fourth.

Source: Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3, SC'11; Box & Muller (1958), Ann. Math. Stat.
29:610.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .context import drawing
from .state import State, first_leaf

Word = Tensor | int
"""32 bits in an int64 tensor or an integer."""

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)  # what the key grows by from round to round
ROUNDS = 10
WORD = 0xFFFFFFFF
_BELOW_ONE = {torch.float32: 1 - 2.0**-24, torch.float64: 1 - 2.0**-33}


def philox(counter: Sequence[Word], key: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Philox 4x32-10: four random words for each counter.

    Args:
        counter: four words, of which one at least is a tensor.
        key: two words that choose the bijection.

    Shape: what the words of the counter broadcast to.

    Example:
        >>> zero = torch.tensor(0)
        >>> [hex(word.item()) for word in philox((zero, 0, 0, 0), (0, 0))]
        ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    tensors = [word for word in counter if isinstance(word, Tensor)]
    like = tensors[0] if len(tensors) == 1 else torch.broadcast_tensors(*tensors)[0]
    # Words 0 and 2 are multiplied, one operation for both. Of words 1 and 3 the upper half may hold anything.
    even, odd, high, product = (like.new_empty((2, *like.shape)) for _ in range(4))
    multipliers = like.new_empty((2, *[1] * like.ndim))
    for pair, words in ((even, counter[::2]), (odd, counter[:0:-2]), (multipliers, MULTIPLIERS)):
        for place, word in zip(pair, words, strict=True):
            place.copy_(word) if isinstance(word, Tensor) else place.fill_(word)
    (first, third), (upper, lower) = even.unbind(0), high.unbind(0)
    for keys in _keys_of_rounds(key, multipliers):
        # The product of two words may wrap around as a signed number: its bits are right.
        torch.mul(even, multipliers, out=product)
        torch.bitwise_right_shift(product, 32, out=high)
        odd ^= keys
        torch.bitwise_xor(lower, odd[1], out=first)
        torch.bitwise_xor(upper, odd[0], out=third)
        even &= WORD
        odd, product = product, odd
    odd &= WORD
    # Each of its own memory, laid out as the counter is.
    return tuple(torch.empty_like(like).copy_(result) for result in (first, odd[1], third, odd[0]))


def _keys_of_rounds(key: tuple[int, int], like: Tensor) -> Tensor:
    """For each round, what words 3 and 1 meet; computed on the device, for a CUDA graph records no copy to it."""
    rounds = torch.arange(ROUNDS, device=like.device)
    keys = torch.stack([(rounds * WEYL[k] + key[k]) & WORD for k in (1, 0)], dim=1)
    return keys.reshape(ROUNDS, *like.shape)


_library = torch.library.Library("torchdyn_neuro", "FRAGMENT")
_library.define("random_bits(Tensor key, int stream) -> (Tensor, Tensor, Tensor, Tensor)")


def _random_bits(key: Tensor, stream: int) -> tuple[Tensor, ...]:
    return philox((key & WORD, key >> 32 & WORD, 0, 0), (stream, 0))


def _fake_random_bits(key: Tensor, stream: int) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(key) for _ in range(4))


def _batched_random_bits(info: object, axes: tuple, key: Tensor, stream: int) -> tuple[tuple[Tensor, ...], tuple]:
    return torch.ops.torchdyn_neuro.random_bits(key, stream), (axes[0],) * 4


_library.impl("random_bits", _random_bits, "CompositeExplicitAutograd")
torch.library.register_fake("torchdyn_neuro::random_bits", _fake_random_bits, lib=_library)
torch.library.register_vmap("torchdyn_neuro::random_bits", _batched_random_bits, lib=_library)


def random_bits(key: Tensor, stream: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four random words of 32 bits for each element of ``key``, as int64.

    Args:
        key: of the step, int64 [B, \\*].
        stream: tells apart several draws of one step, from 0 to 2^32 - 1.
    """
    return torch.ops.torchdyn_neuro.random_bits(key, stream)


_library.define("normal(Tensor key, int stream, ScalarType dtype) -> Tensor")


def _normal(key: Tensor, stream: int, dtype: torch.dtype) -> Tensor:
    counter = key >> 2
    return normal_of(philox((counter & WORD, counter >> 32 & WORD, 1, 0), (stream, 0)), key, dtype)


def normal_of(words: Sequence[Tensor], key: Tensor, dtype: torch.dtype) -> Tensor:
    """The normal number of a key, from the words of the counter that it shares with three others."""
    later = (key & 2).bool()
    radius, angle = (torch.where(later, words[2 + k], words[k]) for k in (0, 1))
    angle = _angle(angle, dtype)
    return _radius(radius, dtype) * torch.where((key & 1).bool(), torch.sin(angle), torch.cos(angle))


def _fake_normal(key: Tensor, stream: int, dtype: torch.dtype) -> Tensor:
    return torch.empty_like(key, dtype=dtype)


def _batched_normal(info: object, axes: tuple, key: Tensor, stream: int, dtype: torch.dtype) -> tuple[Tensor, int]:
    return torch.ops.torchdyn_neuro.normal(key, stream, dtype), axes[0]


_library.impl("normal", _normal, "CompositeExplicitAutograd")
torch.library.register_fake("torchdyn_neuro::normal", _fake_normal, lib=_library)
torch.library.register_vmap("torchdyn_neuro::normal", _batched_normal, lib=_library)


def uniform(key: Tensor, stream: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """One number between 0 and 1 for each element of ``key``, never one of the two.

    It is :math:`(w_0 + 1/2) / 2^{32}` rounded to ``dtype``; in float32 the 128 largest of the 2^32 words, which would
    round to 1, give the largest number below it.

    Args:
        key: of the step, int64 [B, \\*].
        stream: tells apart several draws of one step.
        dtype: float32 or float64; both get the same number to rounding.
    """
    return torch.clamp(_fraction(random_bits(key, stream)[0], dtype), max=_BELOW_ONE[dtype])


def normal(key: Tensor, stream: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    r"""One standard normal number for each element of ``key``, at most 6.8 in size.

    With :math:`n = 4 m + l` for the key, :math:`0 \le l < 4`, and the words :math:`w` of the counter (m, 1):

    .. math:: \sqrt{-2 \ln u_0}\, \cos 2 \pi u_1,\; \sqrt{-2 \ln u_0}\, \sin 2 \pi u_1,\;
        \sqrt{-2 \ln u_2}\, \cos 2 \pi u_3,\; \sqrt{-2 \ln u_2}\, \sin 2 \pi u_3
        \quad \text{for } l = 0, 1, 2, 3, \qquad u_k = (w_k + 1/2) / 2^{32}

    Args:
        key: of the step, int64 [B, \*].
        stream: tells apart several draws of one step.
        dtype: float32 or float64; both get the same number to rounding.
    """
    return torch.ops.torchdyn_neuro.normal(key, stream, dtype)


def normals(key: Tensor, stream: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    r"""Two independent standard normal numbers for each element of ``key``, at most 6.8 in size.

    .. math:: \sqrt{-2 \ln u_0}\, (\cos 2 \pi u_1, \sin 2 \pi u_1), \qquad u_k = (w_k + 1/2) / 2^{32}

    Args:
        key: of the step, int64 [B, \*].
        stream: tells apart several draws of one step.
        dtype: float32 or float64; both get the same numbers to rounding.
    """
    first, second, *_ = random_bits(key, stream)
    radius, angle = _radius(first, dtype), _angle(second, dtype)
    return radius * torch.cos(angle), radius * torch.sin(angle)


def _fraction(bits: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype not in _BELOW_ONE:
        raise TypeError(f"random numbers: expected float32 or float64, got {dtype}; take the dtype of the state")
    return (bits.to(dtype) + 0.5) * 2.0**-32


def _radius(bits: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.sqrt(-2 * torch.log(_fraction(bits, dtype)))


def _angle(bits: Tensor, dtype: torch.dtype) -> Tensor:
    return _fraction(bits, dtype) * (2 * math.pi)


def start_key(x_t: State) -> Tensor:
    """The key before the first step, int64 in the shape of the frame ``x_t``.

    Every row of the batch takes a seed of 64 bits from torch's generator of the frame's device, which
    ``torch.manual_seed`` sets; element ``i`` of the row starts ``i`` times 2^32 after it. So the elements of a row stay
    apart for 2^32 steps, and two rows of N elements meet within T steps with a probability of :math:`4 N T / 2^{64}`.

    Args:
        x_t: one frame [B, \\*].
    """
    frame = first_leaf(x_t)
    key = torch.empty_like(frame, dtype=torch.int64)
    if not drawing():
        return key.zero_()
    rows, axes = frame.shape[0], frame.shape[1:]
    seeds = torch.randint(-(2**63), 2**63 - 1, (rows, *[1] * len(axes)), dtype=torch.int64, device=frame.device)
    # A step moves the key on before it draws: all elements begin to draw at the first of four keys that share words.
    seeds = seeds | 3
    index = torch.arange(math.prod(axes), device=frame.device).reshape(1, *axes)
    return key.copy_(seeds + (index << 32))
