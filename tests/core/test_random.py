"""Random words against the published ones and an own computation; the laws of the numbers; keys as part of a state."""

import functools
import math

import pytest
import torch
from scipy import stats

from torchdyn_neuro.core import random
from torchdyn_neuro.core.context import without_drawing
from torchdyn_neuro.core.random import (
    normal,
    normals,
    philox,
    random_bits,
    start_key,
    uniform,
)

# Random123, kat_vectors: philox4x32 10, counter, key, result.
PUBLISHED = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
COUNT = 2_000_000


@pytest.fixture(autouse=True)
def _one_thread():
    # Many small operations: threads that wait for each other would cost more than they bring.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def words(text):
    return [int(word, 16) for word in text.split()]


def philox_in_integers(counter, key):
    """The definition of Salmon et al. (2011) in whole numbers without a bound."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & 0xFFFFFFFF, (p0 >> 32) ^ c3 ^ k1, p0 & 0xFFFFFFFF
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def words_of(key, stream, kind=0):
    return philox_in_integers((key & 0xFFFFFFFF, (key >> 32) & 0xFFFFFFFF, kind, 0), (stream, 0))


KEYS = [0, 1, -1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, -(2**63), 1234567890123456789, -987654321987654321]


@pytest.mark.parametrize(("counter", "key", "expected"), PUBLISHED)
def test_known_answers(counter, key, expected):
    found = philox([torch.tensor(word) for word in words(counter)], tuple(words(key)))
    assert [word.item() for word in found] == words(expected)
    assert list(philox_in_integers(words(counter), words(key))) == words(expected)


@pytest.mark.parametrize("stream", [0, 1, 2, 2**32 - 1])
def test_the_words_of_keys_of_either_sign(stream):
    found = random_bits(torch.tensor(KEYS).reshape(2, 5), stream)
    assert torch.stack(found, -1).reshape(-1, 4).tolist() == [list(words_of(key, stream)) for key in KEYS]


def test_numbers_are_those_of_their_formulas():
    key = torch.tensor(KEYS)
    fractions = torch.tensor([[(w + 0.5) / 2**32 for w in words_of(k, 3)[:2]] for k in KEYS], dtype=torch.float64)
    expected = [
        [math.sqrt(-2 * math.log(a)) * f(2 * math.pi * b) for a, b in fractions.tolist()] for f in (math.cos, math.sin)
    ]
    for dtype, tolerance in ((torch.float64, 1e-14), (torch.float32, 1e-6)):
        found = torch.stack(normals(key, 3, dtype))
        assert found.dtype == dtype
        assert (found.double() - torch.tensor(expected, dtype=torch.float64)).abs().max() < tolerance
        assert (uniform(key, 3, dtype).double() - fractions[:, 0]).abs().max() < tolerance


def test_four_keys_share_the_words_of_a_normal_number():
    keys = [16, 17, 18, 19, *KEYS]
    expected = []
    for key in keys:
        a, b = [(w + 0.5) / 2**32 for w in words_of(key >> 2, 3, kind=1)][key & 2 : (key & 2) + 2]
        expected.append(math.sqrt(-2 * math.log(a)) * (math.sin if key & 1 else math.cos)(2 * math.pi * b))
    for dtype, tolerance in ((torch.float64, 1e-14), (torch.float32, 1e-6)):
        found = normal(torch.tensor(keys), 3, dtype)
        assert found.dtype == dtype
        assert (found.double() - torch.tensor(expected, dtype=torch.float64)).abs().max() < tolerance


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_smallest_and_the_largest_word(dtype, monkeypatch):
    extremes = torch.tensor([0, 2**32 - 1, 2**32 - 128, 2**32 - 129])
    monkeypatch.setattr(random, "random_bits", lambda key, stream: (extremes,) * 4)
    found = uniform(extremes, 0, dtype)
    assert found.min() == 2.0**-33
    assert found.max() < 1
    assert torch.log1p(-found).isfinite().all()
    assert torch.stack(normals(extremes, 0, dtype)).isfinite().all()
    assert normals(extremes, 0, dtype)[0].max().item() == pytest.approx(math.sqrt(66 * math.log(2)), rel=1e-6)


def test_types_in_which_nothing_is_drawn():
    for dtype in (torch.bfloat16, torch.float16):
        with pytest.raises(TypeError, match="float32 or float64"):
            uniform(torch.tensor([1]), 0, dtype)


def drawn(*laws):
    """COUNT numbers of each law: [steps, rows, elements], as a module would draw them."""
    torch.manual_seed(0)
    key = start_key(torch.empty(50, 2000))
    with pytest.MonkeyPatch.context() as patch:
        # The words of a key, which take most of the time, are the same for all laws.
        patch.setattr(random, "random_bits", functools.lru_cache(maxsize=1)(random.random_bits))
        rows = [[law(words) for law in laws] for words in (key + step for step in range(COUNT // key.numel()))]
    return [torch.stack(numbers) for numbers in zip(*rows, strict=True)]


def assert_uncorrelated(x, mean, variance):
    x = (x.double() - mean) / math.sqrt(variance)
    neighbours = {
        "steps": (x[1:], x[:-1]),
        "rows": (x[:, 1:], x[:, :-1]),
        "elements": (x[..., 1:], x[..., :-1]),
    }
    for name, (one, other) in neighbours.items():
        # Five standard errors, of the numbers and of their squares, whose variance is at most 2.
        assert abs((one * other).mean()) < 5 / math.sqrt(one.numel()), name
        assert abs(((one**2 - 1) * (other**2 - 1)).mean()) < 10 / math.sqrt(one.numel()), name


def test_normal_and_uniform_numbers_follow_their_laws():
    x, y = drawn(normal, uniform)
    assert_uncorrelated(x, 0, 1)
    assert_uncorrelated(y, 0.5, 1 / 12)
    bound = 5 / math.sqrt(COUNT)
    z = x.flatten().double()
    assert abs(z.mean()) < bound
    assert abs((z**2).mean() - 1) < math.sqrt(2) * bound
    assert abs((z**3).mean()) < math.sqrt(15) * bound
    assert abs((z**4).mean() - 3) < math.sqrt(96) * bound
    assert stats.kstest(z.numpy(), "norm", method="asymp").pvalue > 1e-3
    u = y.flatten().double()
    for power in (1, 2, 3, 4):
        deviation = math.sqrt(1 / (2 * power + 1) - 1 / (power + 1) ** 2)
        assert abs((u**power).mean() - 1 / (power + 1)) < deviation * bound
    assert 0 < u.min() < u.max() < 1
    assert stats.kstest(u.numpy(), "uniform", method="asymp").pvalue > 1e-3


def test_the_two_numbers_of_a_key_and_those_of_two_streams_are_independent():
    torch.manual_seed(0)
    key = start_key(torch.empty(10, 100_000))
    first, second, other = *normals(key), normal(key, 1)
    for one, two in ((first, second), (first, other), (second, other)):
        one, two = one.double(), two.double()
        assert abs((one * two).mean()) < 5 / math.sqrt(key.numel())
        assert abs(((one**2 - 1) * (two**2 - 1)).mean()) < 10 / math.sqrt(key.numel())


def test_a_start_is_set_by_the_seed_and_a_row_by_itself():
    torch.manual_seed(3)
    whole = start_key(torch.empty(5, 2, 3))
    torch.manual_seed(3)
    assert torch.equal(start_key(torch.empty(2, 2, 3)), whole[:2])
    assert not torch.equal(start_key(torch.empty(5, 2, 3)), whole)
    assert whole.unique().numel() == whole.numel()
    assert (whole < 0).any()
    assert (whole > 0).any()
    # The first step draws from the first of four keys that share their words.
    assert (whole % 4 == 3).all()
    # The elements of a row are 2^32 steps apart.
    assert ((whole[0].flatten()[1:] - whole[0].flatten()[:-1]) == 2**32).all()


def test_layouts_and_sizes_of_a_start():
    frame = torch.empty(2, 3, 4, 5)
    torch.manual_seed(0)
    plain = start_key(frame)
    torch.manual_seed(0)
    last = start_key(frame.to(memory_format=torch.channels_last))
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(plain, last)
    words = random_bits(last)
    assert all(word.stride() == last.stride() for word in words)
    assert all(torch.equal(one, two) for one, two in zip(words, random_bits(plain), strict=True))
    assert start_key(torch.empty(0, 3)).shape == (0, 3)
    assert start_key(torch.empty(2, 0)).shape == (2, 0)
    assert random_bits(torch.empty(2, 0, dtype=torch.int64))[0].shape == (2, 0)
    assert start_key(torch.empty(2, 3, device="meta")).device.type == "meta"
    assert start_key((torch.empty(2, 3, dtype=torch.float64), torch.empty(2))).dtype == torch.int64


def test_without_drawing_the_generator_is_left_alone():
    before = torch.get_rng_state()
    with without_drawing():
        assert not start_key(torch.empty(2, 3)).any()
        with without_drawing():
            pass
        assert not start_key(torch.empty(2, 3)).any()
    assert torch.equal(torch.get_rng_state(), before)
    assert start_key(torch.empty(2, 3)).any()


def step(v, key):
    return 0.9 * v + torch.tanh(v) * normal(key, 2, v.dtype), key + 1


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:FutureWarning")
def test_transforms_of_torch_func():
    torch.manual_seed(0)
    v = torch.randn(3, 4, dtype=torch.float64)
    key = start_key(v)
    y, after = step(v, key)
    for axis in (0, 1):
        mapped = torch.func.vmap(step, in_dims=axis, out_dims=axis)(v, key)
        assert torch.equal(mapped[0], y)
        assert torch.equal(mapped[1], after)
    slope = 0.9 + normal(key, 2, v.dtype) / torch.cosh(v) ** 2
    for differentiate in (torch.func.jacrev, torch.func.jacfwd):
        jacobian = differentiate(lambda v: step(v, key)[0])(v)
        torch.testing.assert_close(jacobian.reshape(12, 12), torch.diag(slope.flatten()))
        each = torch.func.vmap(differentiate(lambda v, key: step(v, key)[0]))(v, key)
        torch.testing.assert_close(each, torch.diag_embed(slope))
    _, tangent = torch.func.jvp(lambda v: step(v, key)[0], (v,), (torch.ones_like(v),))
    torch.testing.assert_close(tangent, slope)


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:FutureWarning")
def test_compiled_as_one_graph():
    v = torch.randn(3, 4)

    def run(v):
        key = start_key(v)
        for _ in range(3):
            v, key = step(v, key)
        return v, key

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        torch.manual_seed(0)
        expected = run(v)
        torch.manual_seed(0)
        found = compiled(v)
        assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))
    with without_drawing():
        assert torch.equal(compiled(v)[1], torch.full((3, 4), 3))


def test_the_operator_passes_the_checks_of_torch():
    key = torch.tensor(KEYS).reshape(5, 2)
    for sample in (key, key.t(), key[::2], torch.empty(0, 3, dtype=torch.int64)):
        torch.library.opcheck(
            torch.ops.torchdyn_neuro.random_bits.default, (sample, 1), test_utils=("test_schema", "test_faketensor")
        )
        torch.library.opcheck(
            torch.ops.torchdyn_neuro.normal.default,
            (sample, 1, torch.float32),
            test_utils=("test_schema", "test_faketensor"),
        )
