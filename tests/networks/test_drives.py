"""The numbers of a Poisson drive are those of its counters, one by one."""

import math

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.networks import Current, Poisson, Population, SpikingNetwork
from torchdyn_neuro.wiring.draw import stream_of

NEURONS, STEPS, KIND, DRIVES = 200, 3, 5, 2


def philox(counter, key, rounds):
    """Salmon et al. (2011) in whole numbers without a bound."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(rounds):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & 0xFFFFFFFF, (p0 >> 32) ^ c3 ^ k1, p0 & 0xFFFFFFFF
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def test_philox_is_that_of_random123():
    """Its kat_vectors: counter and key of zeros, seven and ten rounds."""
    zeros = (0, 0, 0, 0), (0, 0)
    assert philox(*zeros, 7) == (0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48)
    assert philox(*zeros, 10) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_numbers_come_from_their_counters(dtype):
    """Of neuron j in step t: word j / 16 mod 4 of counter (16 (j / 64) + j mod 16, t), by the alias method."""
    drive = Poisson(30_000.0, 1.0)  # 3 in a step: two draws of 1.5
    cell = tdn.IF(v_th=1e9, dt=0.1).to(dtype)
    net = SpikingNetwork({"N": Population(NEURONS, cell, drives=[drive])}, dtype=dtype, seed=4)
    run = net.run(STEPS * 0.1, watch={"N": {"v": list(range(NEURONS))}})
    v = run.traces["N"]["v"]
    found = torch.round(torch.diff(v, dim=0, prepend=torch.zeros(1, NEURONS, dtype=dtype)) / 0.1).int()
    threshold, below, above = drive.table(0.1, dtype)
    stream, expected = stream_of(4, DRIVES, 0, 0), torch.zeros_like(found)
    for t in range(STEPS):
        for j in range(NEURONS):
            for repeat in range(2):
                word = philox((16 * (j // 64) + j % 16, t, KIND + repeat, 0), (stream, 0), 7)[j // 16 % 4]
                low = word & 15
                expected[t, j] += int(below[low] if word < int(threshold[low]) % 2**32 else above[low])
    assert expected.float().mean() == pytest.approx(3.0, abs=0.25)
    assert torch.equal(found, expected)


def test_poisson_drive_has_its_law():
    """Counts of single steps, from what arrives at cells that only sum it up."""
    for rate, mean in ((8000.0, 0.8), (65_000.0, 6.5)):
        cell = tdn.IF(v_th=1e9, dt=0.1).double()
        net = SpikingNetwork({"N": Population(20_000, cell, drives=[Poisson(rate, 2.0)])}, dtype=torch.float64)
        state, before, counts = None, torch.zeros(20_000, dtype=torch.float64), []
        for _ in range(3):
            state = net.run(0.1, state).state
            now = state.cells[0].v.flatten()
            counts.append(torch.round((now - before) / (2.0 * 0.1)))
            before = now
        counts = torch.cat(counts)
        assert counts.mean().item() == pytest.approx(mean, abs=4 * math.sqrt(mean / 60_000))
        assert counts.var().item() == pytest.approx(mean, rel=0.04)
        share = torch.bincount(counts.long(), minlength=30)[:30] / 60_000
        law = torch.tensor([math.exp(-mean) * mean**k / math.factorial(k) for k in range(30)])
        assert (share - law).abs().max() < 0.008
        early, late = counts[:20_000], counts[-20_000:]
        assert torch.corrcoef(torch.stack([early, late]))[0, 1].abs() < 0.03
        assert torch.corrcoef(torch.stack([early[1:], early[:-1]]))[0, 1].abs() < 0.03


def test_noise_follows_the_seed():
    def potential(seed: int, other: int) -> torch.Tensor:
        torch.manual_seed(other)
        cell = tdn.LIF(dt=0.1, noise=tdn.WhiteNoise(1.0))
        found = SpikingNetwork({"A": Population(3, cell)}, seed=seed).run(0.5).state.cells[0].v
        assert torch.initial_seed() == other
        return found

    assert torch.equal(potential(1, 2), potential(1, 3))
    assert not torch.equal(potential(1, 2), potential(2, 2))


@pytest.mark.parametrize("way", ["assign", "set"])
def test_a_parameter_that_takes_the_place_of_another_drives(way):
    def made(value: float, rate: float) -> SpikingNetwork:
        drives = [Current(nn.Parameter(torch.tensor(value))), Poisson(nn.Parameter(torch.tensor(rate)), 1.0)]
        return SpikingNetwork({"N": Population(3, tdn.LIF(20.0, dt=0.5), drives=drives)})

    wanted, net = made(1.5, 2000.0), made(0.0, 0.0)
    if way == "assign":
        net.load_state_dict(wanted.state_dict(), assign=True)
    else:
        net.populations["N"].drive0_value = nn.Parameter(torch.tensor(1.5))
        net.populations["N"].drive1_rate = nn.Parameter(torch.tensor(2000.0))
    found = net.simulate(50.0, tau=20.0)
    assert len(found.spikes) > 3
    assert torch.equal(found.spikes.step, wanted.run(50.0).spikes.step)
    found.filtered["N"].sum().backward()
    assert all(each.grad.abs().sum() > 0 for each in net.parameters())
