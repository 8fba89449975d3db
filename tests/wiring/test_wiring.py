"""Which neurons the rules connect; expected synapses are drawn here once more from the words of core/random.py."""

import math

import pytest
import torch

from tests.threads import on_threads
from torchdyn_neuro import wiring
from torchdyn_neuro.core.random import philox
from torchdyn_neuro.native.compiler import CompilerUnavailableError
from torchdyn_neuro.networks import packed
from torchdyn_neuro.wiring import draw as drawing
from torchdyn_neuro.wiring.draw import all_alike, draw

STREAM = 12345


def rows(rule: wiring.Wiring, pre: int, post: int, same: bool = False, **options):
    return draw(rule.rule(pre, post, same, STREAM), STREAM, options.pop("weights", all_alike(1.0)), **options)


def pairs(found) -> list[list[int]]:
    place = found.place.to(torch.int64).tolist()
    return [place[a:b] for a, b in zip(found.start[:-1].tolist(), found.start[1:].tolist(), strict=True)]


def words(row: int, count: int, kind: int = 2) -> list[list[int]]:
    drawn = philox((torch.arange(count), row, kind, 0), (STREAM, 0))
    return [word.tolist() for word in drawn]


def test_out_degree_draws_as_said():
    found = pairs(rows(wiring.FixedOutDegree(5), 3, 100))
    assert found == [[word * 100 >> 32 for word in words(row, 5)[0]] for row in range(3)]


def test_probability_draws_geometric_gaps():
    p, post = 0.2, 200
    for row, found in enumerate(pairs(rows(wiring.FixedProbability(p), 4, post))):
        place, expected = -1, []
        for word in words(row, post)[0]:
            place += 1 + math.floor(math.log((word + 0.5) / 2**32) / math.log1p(-p))
            if place >= post:
                break
            expected.append(place)
        assert found == expected


def test_in_degree_by_hand():
    """The sources of each target are drawn, and then the targets of each source listed."""
    expected = [[] for _ in range(6)]
    for target in range(40):
        for word in words(target, 3, kind=4)[0]:
            expected[word * 6 >> 32].append(target)
    assert pairs(rows(wiring.FixedInDegree(3), 6, 40)) == expected


def test_weights_and_delays_are_quantiles_of_the_words():
    table = wiring.Normal(2.0, 0.5).table()
    found = rows(wiring.FixedOutDegree(4), 2, 10, weights=table, delays=all_alike(1.0) * 1.4, dtype=torch.float64)
    expected = []
    for row in range(2):
        for word in words(row, 4)[1]:
            low, high = table[word >> 20].item(), table[(word >> 20) + 1].item()
            expected.append(low + (word & 0xFFFFF) / 2**20 * (high - low))
    assert found.weight.tolist() == pytest.approx(expected, rel=1e-14)
    assert found.delay.tolist() == [1] * 8


@pytest.mark.parametrize(
    ("rule", "mean"),
    [
        (wiring.FixedProbability(0.1), 40_000),
        (wiring.FixedTotal(30_000), 30_000),
        (wiring.FixedInDegree(50, multapses=False), 40_000),
        (wiring.FixedOutDegree(60, self_connections=False), 30_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_counts_are_even(rule, mean):
    """Degrees on the side that is random are binomial: their variance is close to their mean."""
    pre, post = (500, 800) if not isinstance(rule, wiring.FixedOutDegree) else (500, 500)
    found = rows(rule, pre, post, same=pre == post)
    place = found.place.to(torch.int64)
    total = len(place)
    assert abs(total - rule.expected(pre, post, pre == post)) <= 4 * math.sqrt(mean) * isinstance(
        rule, wiring.FixedProbability
    )
    incoming, outgoing = torch.bincount(place, minlength=post).double(), found.start.diff().double()
    for degrees, fixed in ((incoming, wiring.FixedInDegree), (outgoing, wiring.FixedOutDegree)):
        if isinstance(rule, fixed):
            assert degrees.unique().numel() == 1
        else:
            assert degrees.var() / degrees.mean() == pytest.approx(0.95, abs=0.2)


def test_no_neuron_reaches_itself_and_none_another_twice():
    for rule in (
        wiring.FixedOutDegree(19, multapses=False, self_connections=False),
        wiring.FixedInDegree(19, multapses=False, self_connections=False),
        wiring.FixedProbability(1.0, self_connections=False),
    ):
        found = pairs(rows(rule, 20, 20, same=True))
        assert [sorted(row) for row in found] == [[k for k in range(20) if k != row] for row in range(20)]


def test_one_to_one_and_given():
    assert pairs(rows(wiring.OneToOne(), 4, 4)) == [[0], [1], [2], [3]]
    given = wiring.Given(torch.tensor([2, 0, 2]), torch.tensor([1, 5, 0]), weight=torch.tensor([1.0, 2.0, 3.0]))
    found = rows(given, 3, 6)
    assert pairs(found) == [[5], [], [1, 0]]
    assert found.weight.tolist() == [2.0, 1.0, 3.0]


def test_distance_by_its_own_formula():
    """Of all pairs at about a distance, the share of the formula is connected."""
    generator = torch.Generator().manual_seed(0)
    places = torch.rand(400, 2, generator=generator, dtype=torch.float64)
    for profile, kernel in {
        "gaussian": lambda d: torch.exp(-d.square() / 0.08),
        "exponential": lambda d: torch.exp(-d / 0.2),
        "disc": lambda d: (d <= 0.2).double(),
    }.items():
        rule = wiring.DistanceDependent(0.6, 0.2, places, places, profile=profile, period=1.0)
        found = torch.zeros(400, 400)
        for row, targets in enumerate(pairs(rows(rule, 400, 400))):
            found[row, targets] = 1
        gap = (places[:, None] - places).abs()
        distance = torch.minimum(gap, 1 - gap).norm(dim=-1)
        for low in (0.0, 0.1, 0.25, 0.4):
            within = (distance >= low) & (distance < low + 0.05)
            chance = 0.6 * kernel(distance[within])
            spread = (chance * (1 - chance)).sum().sqrt() + 1e-9
            assert abs(found[within].sum() - chance.sum()) < 4 * spread


def test_threads_change_nothing():
    for rule in (wiring.FixedInDegree(9), wiring.FixedTotal(5000), wiring.FixedProbability(0.1)):
        one, *others = on_threads(lambda rule=rule: rows(rule, 150, 220, weights=wiring.Uniform(0.0, 1.0).table()))
        for other in others:
            assert torch.equal(one.place.int(), other.place.int())
            assert torch.equal(one.weight, other.weight)


def test_values_have_their_moments():
    share = torch.linspace(0.5e-5, 1 - 0.5e-5, 100_000, dtype=torch.float64)
    for values, mean, sd in (
        (wiring.Normal(1.5, 0.3), 1.5, 0.3),
        (wiring.Uniform(1.0, 3.0), 2.0, 3**-0.5),
        (wiring.LogNormal(0.5, 0.4), 0.5 * math.exp(0.08), 0.5 * math.exp(0.08) * math.sqrt(math.exp(0.16) - 1)),
    ):
        table = values.table()
        at = share * 4096
        drawn = table[at.long()] + (at - at.floor()) * (table[at.long() + 1] - table[at.long()])
        assert drawn.mean().item() == pytest.approx(mean, rel=1e-3)
        assert drawn.std().item() == pytest.approx(sd, rel=3e-3)
    assert wiring.Normal(0.0, 1.0, low_bound=0.0).low == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: wiring.FixedProbability(1.5), "FixedProbability: expected a probability from 0 to 1, got 1.5; pass"),
        (lambda: wiring.FixedOutDegree(-1), "FixedOutDegree: expected degree to be at least 0, got -1"),
        (lambda: wiring.FixedTotal(1.5), "FixedTotal: expected synapses to be an integer, got 1.5"),
        (
            lambda: rows(wiring.FixedInDegree(5, multapses=False), 4, 9),
            "FixedInDegree: expected at most 4 sources for each neuron, got 5; take fewer, or allow multapses",
        ),
        (
            lambda: rows(wiring.FixedTotal(3, self_connections=False), 1, 1, same=True),
            "FixedTotal: expected at most 0 synapses between 1 and 1 neurons, got 3; take fewer",
        ),
        (lambda: rows(wiring.OneToOne(), 4, 5), "OneToOne: expected two populations of one size, got 4 and 5 neurons"),
        (
            lambda: rows(wiring.Given(torch.tensor([4]), torch.tensor([0])), 4, 5),
            "Given: expected neurons below 4 and 5, got 4 and 0; use larger populations",
        ),
        (
            lambda: wiring.Given(torch.tensor([4]), torch.tensor([0, 1])),
            "Given: expected one entry of each for every synapse",
        ),
        (lambda: wiring.Normal(0.0, 1.0, low_bound=9.0), "Normal: expected bounds around the mean 0"),
        (
            lambda: rows(wiring.DistanceDependent(0.1, 1.0, torch.rand(3, 2), torch.rand(3, 2)), 3, 4),
            "DistanceDependent: expected positions of 3 and 4 neurons",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_a_compiler_that_fails_says_why(monkeypatch, tmp_path):
    spoilt = tmp_path / "spoilt"
    spoilt.write_text("#!/bin/sh\necho no room for a thought >&2\nexit 1\n")
    spoilt.chmod(0o755)
    monkeypatch.setenv("CXX", str(spoilt))
    packed.library.cache_clear(), drawing._library.cache_clear()
    try:
        with pytest.raises(CompilerUnavailableError, match=r"wiring: the C\+\+ .*spoilt failed: no room"):
            drawing._library(torch.float32)
        with pytest.raises(CompilerUnavailableError, match=r"SpikingNetwork: the C\+\+ .*spoilt failed: no room"):
            packed.library(torch.float32)
    finally:
        packed.library.cache_clear(), drawing._library.cache_clear()
