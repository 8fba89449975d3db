"""Spike statistics, spectra and synchrony of trains whose values are known."""

import math

import numpy as np
import pytest
import torch
from scipy import signal

from torchdyn_neuro import rates
from torchdyn_neuro.analysis import avalanche_sizes, cv, fano, isi, power_spectrum, synchrony


def poisson(steps, *shape, probability=0.02):
    return (torch.rand(steps, *shape, generator=torch.Generator().manual_seed(1)) < probability).float()


def test_intervals():
    spikes = torch.zeros(10, 2, 2)
    spikes[[1, 4, 9], 0, 0] = 1
    spikes[[2, 3], 0, 1] = 2.5
    spikes[5, 1, 0] = 1
    found = isi(spikes, dt=0.5)
    expected = torch.full((2, 2, 2), torch.nan).double()
    expected[:, 0, 0] = torch.tensor([1.5, 2.5])
    expected[0, 0, 1] = 0.5
    torch.testing.assert_close(found, expected, equal_nan=True)
    assert isi(torch.zeros(5, 3)).shape == (0, 3)
    assert isi(torch.ones(4, dtype=torch.bool)).tolist() == [1.0, 1.0, 1.0]


def test_poisson_and_regular_trains():
    """CV^2 of a Bernoulli train is 1 - p, its Fano factor too."""
    random = poisson(200_000, 20)
    assert cv(random).mean().item() == pytest.approx(math.sqrt(0.98), rel=0.01)
    assert fano(random, window=200.0).mean().item() == pytest.approx(0.98, rel=0.03)
    regular = torch.zeros(1000, 2)
    regular[::10] = 1
    assert cv(regular, dt=0.1).tolist() == [0.0, 0.0]
    assert fano(regular, window=10.0, dt=0.1).tolist() == [0.0, 0.0]


def test_nothing_is_said_of_silent_neurons():
    spikes = torch.zeros(100, 3)
    spikes[[10, 20], 1] = 1
    spikes[[10, 20, 40], 2] = 1
    assert cv(spikes).isnan().tolist() == [True, True, False]
    assert cv(spikes)[2].item() == pytest.approx(5 / 15)
    assert fano(spikes, window=10.0).isnan().tolist() == [True, False, False]


def test_wrong_trains():
    with pytest.raises(TypeError, match="as a tensor"):
        cv([0, 1])
    with pytest.raises(ValueError, match="no numbers"):
        isi(torch.tensor([0.0, torch.nan]))
    with pytest.raises(ValueError, match="window of a whole number"):
        fano(torch.ones(10), window=2.5)
    with pytest.raises(ValueError, match="two of which fit"):
        fano(torch.ones(10), window=6.0)
    with pytest.raises(ValueError, match="one population"):
        avalanche_sizes(torch.ones(4, 2, 3))
    with pytest.raises(ValueError, match="bin of a whole number"):
        avalanche_sizes(torch.ones(4, 2), bin=1.5)


def test_avalanches():
    counts = [2, 0, 1, 3, 0, 0, 2, 0, 1]
    spikes = torch.zeros(9, 5)
    for step, count in enumerate(counts):
        spikes[step, :count] = 1
    found = avalanche_sizes(spikes, dt=0.5)
    assert found.sizes.tolist() == [4, 2]  # without what the ends cut
    assert found.durations.tolist() == [1.0, 0.5]
    coarse = avalanche_sizes(torch.cat([torch.zeros(2, 5), spikes, torch.zeros(3, 5)]), bin=2.0)
    assert coarse.sizes.tolist() == [6, 3]  # bins 00 20 13 00 20 10 00, of which the middle one is silent
    assert avalanche_sizes(torch.zeros(9, 5)).sizes.tolist() == []
    assert avalanche_sizes(torch.ones(9, 5)).sizes.tolist() == []


@pytest.mark.parametrize("segment", [None, 250, 251])
def test_spectrum_against_scipy(segment):
    wave = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = power_spectrum(wave, dt=0.5, segment=segment)
    length = segment or 1000
    step = max(1, length // 2)
    frequency, power = signal.welch(
        wave.numpy(), 2000.0, window="hann", nperseg=length, noverlap=length - step, detrend="constant", axis=0
    )
    np.testing.assert_allclose(found.frequency, frequency, rtol=1e-12)
    np.testing.assert_allclose(found.power, power, rtol=1e-9)


def test_peak_of_a_spectrum_between_its_lines():
    time = torch.arange(2000, dtype=torch.float64) * 1e-3
    waves = torch.sin(2 * math.pi * time[:, None] * torch.tensor([10.0, 41.3]))
    torch.testing.assert_close(power_spectrum(waves).peak, torch.tensor([10.0, 41.3]).double(), rtol=0.002, atol=0)
    with pytest.raises(ValueError, match="at least one segment"):
        power_spectrum(waves, segment=4000)
    with pytest.raises(TypeError, match="of floats"):
        power_spectrum(torch.ones(100, dtype=torch.bool))


def test_synchrony():
    generator = torch.Generator().manual_seed(0)
    own = torch.randn(4000, 2, 50, generator=generator, dtype=torch.float64)
    common = torch.randn(4000, 2, 1, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(synchrony(own), torch.full((2,), 50**-0.5).double(), rtol=0.05, atol=0)
    torch.testing.assert_close(synchrony(common.expand(-1, -1, 50)), torch.ones(2).double())
    mixed = math.sqrt((1 + 1 / 50) / 2)
    torch.testing.assert_close(synchrony(own + common), torch.full((2,), mixed).double(), rtol=0.03, atol=0)
    assert synchrony(torch.zeros(5, 3)).isnan()
    with pytest.raises(ValueError, match="at least two times"):
        synchrony(torch.ones(5, 1))


def test_energy_falls_and_its_slope_is_the_field():
    """Of tau u' = -u + W r + I with r = tanh(u): dE/du = -F'(u) tau u'."""
    from torchdyn_neuro.analysis import energy, trajectory

    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(8, 8, generator=generator, dtype=torch.float64)
    weight = weight + weight.T
    current = torch.randn(8, generator=generator, dtype=torch.float64)
    tau = torch.linspace(5, 20, 8, dtype=torch.float64)

    def hopfield(u):
        return (-u + torch.tanh(u) @ weight.T + current) / tau

    start = torch.randn(5, 8, generator=generator, dtype=torch.float64) * 2
    path = trajectory(hopfield, start, range(0, 200, 2))
    levels = energy(weight, path, torch.tanh, input=current)
    assert (levels.diff(dim=0) <= 1e-9).all()
    assert (levels[0] - levels[-1] > 1).all()
    u = start.clone().requires_grad_()
    (slope,) = torch.autograd.grad(energy(weight, u, torch.tanh, input=current).sum(), u)
    torch.testing.assert_close(slope, -(1 - torch.tanh(start) ** 2) * tau * hopfield(start), rtol=1e-7, atol=1e-9)
    single = energy(torch.zeros(1, 1).double(), torch.tensor([0.7], dtype=torch.float64), torch.tanh)
    r = math.tanh(0.7)
    assert single.item() == pytest.approx(r * math.atanh(r) + 0.5 * math.log(1 - r * r), rel=1e-12)
    with pytest.raises(ValueError, match="symmetric weights"):
        energy(torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.ones(2), torch.tanh)
    with pytest.raises(ValueError, match=r"weights \[3, 3\]"):
        energy(torch.zeros(2, 2), torch.ones(3), torch.tanh)


def test_a_peak_at_either_end_of_the_spectrum_and_of_nothing():
    time = torch.arange(1000, dtype=torch.float64) * 1e-3
    for frequency in (1.0, 2.0, 498.0, 500.0):
        found = power_spectrum(torch.cos(2 * math.pi * frequency * time)).peak.item()
        assert found == pytest.approx(frequency, abs=0.01)
    for constant in (0.0, 0.1, -65.3):
        assert power_spectrum(torch.full((1000, 2), constant)).peak.isnan().all()
    assert power_spectrum(torch.full((100,), torch.nan)).peak.isnan()
    with pytest.raises(TypeError, match=r"float32 or float64, got torch.bfloat16; call .float\(\)"):
        power_spectrum(torch.ones(100, dtype=torch.bfloat16))


def test_energy_of_steep_functions():
    """Closed forms of the integral of F: ln(1 + e^(beta (u - theta))) / beta, and (u - theta)^2 / 2 above theta."""
    from torchdyn_neuro.analysis import energy

    u = torch.tensor([-9.0, 0.4, 7.3], dtype=torch.float64)
    none, theta, beta = torch.zeros(3, 3, dtype=torch.float64), 2.0, 20.0
    steep = rates.Sigmoid(beta, theta).double()
    area = (
        torch.nn.functional.softplus(beta * (u - theta), threshold=1e3) - math.log1p(math.exp(-beta * theta))
    ) / beta
    assert energy(none, u, steep).item() == pytest.approx((u * steep(u) - area).sum().item(), rel=1e-9)
    kinked = rates.ThresholdLinear(theta=0.3).double()
    area = torch.relu(u - 0.3) ** 2 / 2
    assert energy(none, u, kinked).item() == pytest.approx((u * kinked(u) - area).sum().item(), rel=1e-7)


WRONG_ENERGIES = {
    "weights of another type": ((torch.zeros(2, 2).double(), torch.ones(2)), {}, TypeError, "of one type, got torch.f"),
    "input of another type": (
        (torch.zeros(2, 2), torch.ones(2)),
        {"input": torch.ones(2).double()},
        TypeError,
        "of one type",
    ),
    "whole numbers": ((torch.zeros(2, 2).long(), torch.ones(2)), {}, TypeError, "float32 or float64, got torch.int64"),
    "an array": ((np.zeros((2, 2)), torch.ones(2)), {}, TypeError, "float32 or float64, got ndarray"),
    "no unit": ((torch.zeros(0, 0), torch.zeros(0)), {}, ValueError, r"a unit at least, .* got \(0, 0\)"),
    "another input": ((torch.zeros(2, 2), torch.ones(2)), {"input": torch.ones(3)}, ValueError, "that broadcasts to"),
    "no numbers": ((torch.zeros(2, 2, device="meta"), torch.ones(2, device="meta")), {}, ValueError, "with numbers"),
    "no symmetry": ((torch.full((2, 2), torch.nan), torch.ones(2)), {}, ValueError, "symmetric weights, got .* nan"),
}


@pytest.mark.parametrize("name", WRONG_ENERGIES)
def test_what_has_no_energy(name):
    from torchdyn_neuro.analysis import energy

    given, options, kind, message = WRONG_ENERGIES[name]
    with pytest.raises(kind, match=rf"^energy: expected .*{message}.*; "):
        energy(*given, torch.tanh, **options)


def test_an_activation_that_does_not_fit_has_no_energy():
    from torchdyn_neuro.analysis import energy

    given = torch.zeros(2, 2).double(), torch.ones(2).double()
    with pytest.raises(ValueError, match=r"energy: expected an activation that gives a rate for each .* got .* \(\);"):
        energy(*given, lambda u: u.sum())
    with pytest.raises(TypeError, match=r"energy: expected an activation of torch.float64, got one that fails"):
        energy(*given, torch.nn.PReLU())


def test_trains_without_numbers():
    with pytest.raises(ValueError, match=r"fano: expected spikes with numbers, got one on the meta device"):
        fano(torch.ones(50, device="meta"), window=5.0)
