"""The decision network: attractors and trajectories by SciPy, choices against a simulation written here."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import fsolve
from torch.testing import assert_close

import torchdyn_neuro as tdn


def rate(x):
    """Wong & Wang (2006), eq. for H, Hz; nA."""
    u = 270 * x - 108
    return u / (1 - np.exp(-0.154 * u))


def currents(S, coherence, mu_0=30.0):
    other = S[..., ::-1]
    stimulus = 5.2e-4 * mu_0 * np.array([1 + coherence, 1 - coherence])
    return 0.2609 * S - 0.0497 * other + 0.3255 + stimulus


def field(S, coherence):
    """The published equation in seconds, per ms."""
    S = np.asarray(S)
    return (-S / 0.1 + (1 - S) * 0.641 * rate(currents(S, coherence))) / 1000


def fixed_points(coherence):
    found = []
    for start in itertools.product(np.linspace(0.05, 0.8, 6), repeat=2):
        S, _, ok, _ = fsolve(field, start, args=(coherence,), full_output=True, xtol=1e-13)
        if (
            ok == 1
            and np.abs(field(S, coherence)).max() < 1e-12
            and not any(np.allclose(S, x, atol=1e-6) for x in found)
        ):
            found.append(S)
    return found


def eigenvalues(S, coherence, h=1e-6):
    J = np.stack([(field(S + h * e, coherence) - field(S - h * e, coherence)) / (2 * h) for e in np.eye(2)], 1)
    return np.linalg.eigvals(J).real


def settled(net, coherence, start, steps=6000):
    x = net.stimulus(coherence).expand(steps, 1, 2)
    state = tdn.NetworkState(tdn.GatingState(torch.tensor([start], dtype=torch.float64)))
    with torch.no_grad(), tdn.backend("auto"):
        return net.scan(x, state)


@pytest.mark.parametrize("coherence", [0.0, 0.128])
def test_two_attractors_and_a_saddle_between(coherence):
    points = fixed_points(coherence)
    stable = [S for S in points if eigenvalues(S, coherence).max() < 0]
    assert len(stable) == 2
    assert len(points) == 3
    net = tdn.WongWang().double()
    for S in stable:
        won = int(S[1] > S[0])
        start = [0.2, 0.1] if won == 0 else [0.1, 0.4]
        assert_close(settled(net, coherence, start)[0][-1, 0], torch.from_numpy(S), rtol=0, atol=1e-7)
        x_t = net.stimulus(coherence)[None]
        state = tdn.NetworkState(tdn.GatingState(torch.from_numpy(S)[None]))
        assert net.vector_field(x_t, state).neuron.S.abs().max() < 1e-12
        # The winner fires fast and the loser hardly, as the rates say.
        expected = rate(currents(S, coherence))
        assert_close(net.rates(x_t, state)[0], torch.from_numpy(expected))
        assert expected.max() > 20 > 5 > expected.min()
    (saddle,) = [S for S in points if eigenvalues(S, coherence).max() > 0]
    field_there = net.vector_field(
        net.stimulus(coherence)[None], tdn.NetworkState(tdn.GatingState(torch.from_numpy(saddle)[None]))
    )
    assert field_there.neuron.S.abs().max() < 1e-12


@pytest.mark.parametrize(("method", "order"), [(tdn.RK4, 4), (tdn.Heun, 2), (tdn.ExponentialEuler, 1)])
def test_a_decision_against_scipy(method, order):
    duration, errors = 1200.0, []
    run = solve_ivp(lambda _, S: field(S, 0.256), (0, duration), [0.1, 0.1], method="DOP853", rtol=1e-12, atol=1e-13)
    for dt in (8.0, 4.0, 2.0):
        net = tdn.WongWang(integrator=method(), dt=dt).double()
        S, _ = settled(net, 0.256, [0.1, 0.1], round(duration / dt))
        errors.append((S[-1, 0] - torch.from_numpy(run.y[:, -1])).abs().max().item())
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.4)
    assert errors[-1] < 0.05


def choices(coherences, trials, steps, dt=1.0):
    """The share of trials that the first population has won, by Euler-Maruyama in NumPy."""
    rng = np.random.default_rng(0)
    c = np.array(coherences)[:, None, None]
    S = np.full((len(coherences), trials, 2), 0.1)
    stimulus = 5.2e-4 * 30 * (1 + c * np.array([1.0, -1.0]))
    noise = np.zeros_like(S)
    for _ in range(steps):
        x = 0.2609 * S - 0.0497 * S[..., ::-1] + 0.3255 + stimulus + noise
        S = S + dt * (-S / 100 + (1 - S) * 0.641e-3 * rate(x))
        noise = noise + dt * -noise / 2 + math.sqrt(dt / 2) * 0.02 * rng.standard_normal(S.shape)
    return (S[..., 0] > S[..., 1]).mean(1)


def test_psychometric_curve():
    """Chance without coherence, ever better with it, as a simulation of the same equations."""
    coherences, trials, steps, dt = [-0.128, 0.0, 0.032, 0.064, 0.128, 0.256, 0.512], 600, 2400, 0.5
    noise = tdn.OrnsteinUhlenbeckNoise(2.0, sigma=0.02 * 2**0.5)
    net = tdn.WongWang(noise=noise, dt=dt)
    x = net.stimulus(torch.tensor(coherences)).repeat_interleave(trials, 0)
    with torch.no_grad(), tdn.backend("auto"):
        S = net.scan(x.expand(steps, -1, -1))[1].neuron.S
    share = (S[:, 0] > S[:, 1]).reshape(len(coherences), trials).float().mean(1).numpy()
    expected = choices(coherences, trials, steps, dt)
    # Four standard errors of the difference of two shares.
    error = 4 * np.sqrt(2 * np.maximum(expected * (1 - expected), 0.01) / trials)
    assert (np.abs(share - expected) < error).all(), (share, expected)
    assert abs(share[1] - 0.5) < 4 * 0.5 / math.sqrt(trials)
    assert (np.diff(share) > -0.02).all()
    assert share[4] > 0.8
    assert share[-1] > 0.99


def test_more_alternatives_and_wrong_use():
    net = tdn.WongWang(4)
    x = torch.tensor([0.012, 0.016, 0.02, 0.014]).expand(2500, 1, 4)
    with torch.no_grad(), tdn.backend("auto"):
        assert net(x)[-1, 0].argmax() == 2
    with pytest.raises(ValueError, match="WongWang: expected two alternatives for a coherence, got 4; pass currents"):
        net.stimulus(0.1)


def test_any_step_keeps_the_gating_from_zero_to_one():
    net = tdn.WongWang(dt=400.0)
    S = net(100 * torch.rand(20, 3, 2))
    assert (S >= 0).all()
    assert (S <= 1).all()


@pytest.mark.parametrize("coherence", [51.2, -1.01, float("nan"), torch.tensor([0.5, 6.4])])
def test_a_coherence_in_per_cent_is_refused(coherence):
    with pytest.raises(ValueError, match=r"expected coherences from -1 to 1, got .*; divide per cent by 100"):
        tdn.WongWang().stimulus(coherence)
