"""Rate units and networks: against the matrix exponential and SciPy, with every integrator, and among other layers."""

import copy
import io
import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.fused.agreement import assert_agrees

N, TAU = 4, 10.0
DRIVE = torch.linspace(-1, 1, N, dtype=torch.float64)


def weights(scale):
    generator = torch.Generator().manual_seed(3)
    return scale * torch.randn(N, N, generator=generator, dtype=torch.float64) / math.sqrt(N)


def network(W, activation, integrator, dt, tau=TAU):
    net = tdn.RateNetwork(N, tau, activation=activation, integrator=integrator, dt=dt).double()
    with torch.no_grad():
        net.connection.weight.copy_(W)
    return net


def test_linear_network_is_the_matrix_exponential():
    W, duration, dt = weights(0.8), 20.0, 0.05
    with torch.no_grad():
        r = network(W, nn.Identity(), tdn.RK4(), dt)(DRIVE.expand(round(duration / dt), 1, N))
    A = (W - torch.eye(N, dtype=torch.float64)) / TAU
    rest = torch.linalg.solve(A, -DRIVE / TAU)
    exact = rest - torch.linalg.matrix_exp(A * duration) @ rest
    assert (r[-1, 0] - exact).abs().max() < 1e-9


def by_scipy(W, tau, duration, drive=lambda t: DRIVE.numpy()):
    """tau dr/dt = -r + tanh(W r + I)."""
    run = solve_ivp(
        lambda t, r: (-r + np.tanh(W.numpy() @ r + drive(t))) / tau, (0, duration), np.zeros(N),
        method="DOP853", rtol=1e-12, atol=1e-13,
    )  # fmt: skip
    return torch.from_numpy(run.y[:, -1])


@pytest.mark.parametrize(
    ("method", "order"),
    [
        (tdn.RK4, 4),
        (tdn.Heun, 2),
        (tdn.Midpoint, 2),
        (tdn.Euler, 1),
        (tdn.ExponentialEuler, 1),
        (tdn.ExponentialMidpoint, 1),  # it takes the coupling from the start of the step
    ],
)
def test_order_with_the_function_outside_of_the_sum(method, order):
    W, tau, duration = weights(2.5), torch.tensor([5.0, 8.0, 12.0, 20.0], dtype=torch.float64), 32.0
    exact, errors = by_scipy(W, tau.numpy(), duration), []
    for dt in (1.0, 0.5, 0.25):
        with torch.no_grad():
            r = network(W, tdn.rates.Tanh(), method(), dt, tau)(DRIVE.expand(round(duration / dt), 1, N))
        errors.append((r[-1, 0] - exact).abs().max().item())
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.3)


def test_a_linear_input_keeps_the_order():
    """The drive is a ramp, which a straight line between frames is exactly."""
    W, duration = weights(2.5), 32.0
    exact = by_scipy(W, TAU, duration, lambda t: DRIVE.numpy() * t / duration)
    errors = {"linear": [], "held": []}
    for dt in (1.0, 0.5):
        steps = round(duration / dt)
        ramp = torch.arange(steps + 1, dtype=torch.float64)[:, None, None] / steps * DRIVE
        for kind, found in errors.items():
            # The last frame would be held: one step more is run than is looked at.
            with torch.no_grad():
                r, _ = network(W, tdn.rates.Tanh(), tdn.RK4(), dt).scan(ramp, input=kind)
            found.append((r[steps - 1, 0] - exact).abs().max().item())
    assert math.log2(errors["linear"][0] / errors["linear"][1]) == pytest.approx(4, abs=0.3)
    assert math.log2(errors["held"][0] / errors["held"][1]) == pytest.approx(1, abs=0.3)
    with pytest.raises(ValueError, match="Network: expected input='held', for its input arrives"):
        tdn.Network(tdn.RateUnit(), nn.Linear(N, N), delay=1.0).scan(ramp.float(), input="linear")


def test_a_unit_that_excites_itself_rests_where_its_function_says():
    """r = F(w r + I), far from linear."""
    net = tdn.RateNetwork(1, activation=tdn.rates.Sigmoid(beta=2.0, theta=1.0), integrator=tdn.RK4()).double()
    with torch.no_grad():
        net.connection.weight.fill_(1.2)
        r = net(torch.full((600, 1, 1), 0.3, dtype=torch.float64))[-1].item()
    expected = brentq(lambda r: r - 1 / (1 + math.exp(-2 * (1.2 * r + 0.3 - 1))), 0, 1, xtol=1e-14)
    assert r == pytest.approx(expected, abs=1e-10)


def test_noise_is_inside_the_function():
    """White noise on a linear unit: variance sigma^2 / (2 tau); on one that is far below threshold: nothing."""
    torch.manual_seed(0)
    for integrator in (tdn.ExponentialEuler(), tdn.Heun()):
        unit = tdn.RateUnit(20.0, activation=nn.Identity(), noise=tdn.WhiteNoise(3.0), integrator=integrator)
        with tdn.backend("auto"):
            r = unit(torch.zeros(300, 20, 200))[100:]
        assert r.var().item() == pytest.approx(3.0**2 / (2 * 20.0), rel=0.05)
    silent = tdn.RateUnit(20.0, activation=tdn.rates.ThresholdLinear(theta=100.0), noise=tdn.WhiteNoise(3.0))
    assert not silent(torch.zeros(50, 2, 20)).any()


@pytest.mark.parametrize("cell", [tdn.RateUnit, tdn.CTRNNUnit, tdn.LeakyIntegrator])
def test_a_noise_of_the_threshold_has_no_place_without_one(cell):
    with pytest.raises(
        ValueError, match=rf"{cell.__name__}: expected no noise, or one that acts as a current, got Esc"
    ):
        cell(noise=tdn.EscapeNoise())


def mixed():
    """Spikes to rates to spikes."""
    return tdn.Chain(
        nn.Linear(6, 5),
        tdn.LIF(tdn.Learned(5.0)),
        tdn.ExponentialSynapse(4.0),
        tdn.RateNetwork(5, tdn.Learned(8.0), activation=tdn.rates.Softplus(tdn.Learned(2.0)), integrator=tdn.Heun()),
        tdn.RateUnit(activation=tdn.rates.ThresholdLinear()),
        nn.Linear(5, 3),
        tdn.LIF(R=30.0),
    )


def test_rates_and_spikes_in_one_chain():
    torch.manual_seed(0)
    chain, x = mixed().double(), 6 * torch.rand(30, 4, 6, dtype=torch.float64)
    assert_agrees(chain, x, relative=1e-10, backend="auto")
    tdn.check(chain)
    with tdn.backend("eager"):
        y, state = chain.scan(x)
        assert y.sum() > 0
        (gradient,) = torch.autograd.grad(y.sum(), chain[0].weight)
    assert gradient.abs().sum() > 0
    kept = io.BytesIO()
    torch.save(state, kept)
    kept.seek(0)
    loaded = torch.load(kept, weights_only=True)
    assert_close(chain.scan(x, loaded), chain.scan(x, state), rtol=0, atol=0)


def test_one_step_for_all_and_what_replaces_activations():
    chain = tdn.set_dt(mixed(), 0.5)
    assert {part.dt for part in chain.modules() if isinstance(part, tdn.Dynamics)} == {0.5}
    with pytest.raises(ValueError, match="expected a step below twice tau for Heun"):
        tdn.set_dt(chain, 20.0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    tdn.replace(model, nn.ReLU, tdn.RateUnit, activation=tdn.rates.ThresholdLinear(), verbose=False)
    images = torch.rand(2, 1, 8, 8)
    y = tdn.Stepwise(model)(images.expand(300, 2, 1, 8, 8))
    # Settled, a threshold-linear unit is the ReLU that it replaces.
    plain = nn.Sequential(model[0], nn.ReLU(), model[2], model[3])
    assert_close(y[-1], plain(images), rtol=1e-4, atol=1e-4)


def test_calibration_scales_what_spikes_behind_rates():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), tdn.RateNetwork(20), nn.Linear(20, 10), tdn.LIF())
    with tdn.backend("auto"):
        report = tdn.calibrate(model, torch.rand(100, 8, 6), rate=20.0)
    assert [round(layer.rate) for layer in report] == [20]


def test_wrong_widths_are_named():
    with pytest.raises(ValueError, match="RateNetwork: expected an input of width 4 for Linear, got 3"):
        tdn.RateNetwork(4)(torch.ones(5, 2, 3))
    with pytest.raises(ValueError, match="RateNetwork: expected units to be at least 1, got 0"):
        tdn.RateNetwork(0)
    with pytest.raises(ValueError, match=r"RateUnit: expected a step below twice tau for Euler.*got a step of 1 ms"):
        tdn.RateNetwork(3, 0.4, integrator=tdn.Euler())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("backend", ["eager", "auto"])
def test_a_narrow_network_keeps_a_wide_state(dtype, backend):
    """As of torch's own layers all of a model may be cast: products in its type, the state in float32."""
    torch.manual_seed(0)
    net = tdn.RateNetwork(6, tau=8.0, activation=tdn.rates.Tanh(), integrator=tdn.RK4())
    narrow = copy.deepcopy(net).to(dtype)
    net.load_state_dict({name: value.float() for name, value in narrow.state_dict().items()})
    x = torch.randn(30, 3, 6).to(dtype)
    with tdn.backend(backend):
        y, state = narrow.scan(x)
        wide, exact = net.scan(x.float())
        y.float().sum().backward()
        wide.sum().backward()
    assert y.dtype == dtype
    assert state.neuron.r.dtype == torch.float32
    precision = torch.finfo(dtype).eps
    torch.testing.assert_close(state.neuron.r, exact.neuron.r, rtol=0, atol=2 * precision)
    slope = net.connection.weight.grad
    error = (narrow.connection.weight.grad.float() - slope).abs().amax() / slope.abs().amax()
    assert narrow.connection.weight.grad.dtype == dtype
    assert error < 8 * precision
