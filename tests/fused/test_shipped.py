"""Every equation of the library runs fused and gives what the eager loop gives."""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from tests.contract_cases import NEURONS, build, concrete_dynamics, sequence

from .agreement import assert_agrees

UNFUSED = {
    "Delay": "its scan shifts the whole sequence at once, without a loop",
    "DelayedLinear": "as Delay, and it sums over the neurons before it",
}
"""What does not fuse, and why."""
SHIPPED = {cls.__name__: cls for cls in concrete_dynamics() if cls.__name__ not in UNFUSED}
PARTS = {
    "current": lambda: {
        "adaptation": tdn.SpikeFrequencyAdaptation(tdn.Learned(50.0), b=1.0),
        "noise": tdn.OrnsteinUhlenbeckNoise(tdn.Learned(5.0)),
    },
    "potential": lambda: {"adaptation": tdn.SubThresholdAdaptation(tdn.Learned(50.0)), "noise": tdn.WhiteNoise()},
    "threshold": lambda: {
        "adaptation": tdn.AdaptiveThreshold(tdn.Learned(50.0)),
        "noise": tdn.EscapeNoise(Delta_u=tdn.Learned(0.5)),
    },
}
"""One adaptation and one noise of each kind."""
HAS_ITS_OWN = {"ALIF", "AdLIF", "AdaptiveLIF", "EscapeLIF"}
"""Cells that are another with a term, and take no further one of its kind."""
NO_CURRENT = {"BalancedResonateAndFire"}
"""Cells without an equation for what a current does to them."""
TAKES_CURRENTS = [
    name for name, cls in SHIPPED.items() if issubclass(cls, tdn.Spiking) and name not in HAS_ITS_OWN | NO_CURRENT
]


def drive(steps=23, rows=2, neurons=13, scale=4.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return scale * torch.rand(steps, rows, neurons, generator=generator, dtype=dtype)


def driven(name):
    """The input of the contract's examples, with twenty-one steps: two segments of the backward pass."""
    return sequence(SHIPPED[name], 21, 2, NEURONS, dtype=torch.float64)


@pytest.mark.parametrize("name", SHIPPED)
def test_equation_agrees(name):
    assert_agrees(build(SHIPPED[name]).double(), driven(name), relative=1e-12)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        *((name, "current") for name in TAKES_CURRENTS),
        *((name, "potential") for name in ("LIF", "EIF", "Izhikevich")),
        ("LIF", "threshold"),
    ],
)
def test_equation_with_adaptation_and_noise_agrees(name, parts):
    assert_agrees(SHIPPED[name](**PARTS[parts]()).double(), driven(name), relative=1e-12)


def test_a_readout_with_noise_agrees():
    for noise in (tdn.WhiteNoise(tdn.Learned(0.5)), tdn.OrnsteinUhlenbeckNoise(tdn.Learned(5.0))):
        assert_agrees(tdn.LeakyIntegrator(noise=noise).double(), drive(), relative=1e-12)


@pytest.mark.parametrize("name", UNFUSED)
def test_what_does_not_fuse_says_so_and_runs_without_a_warning(name):
    cls = next(cls for cls in concrete_dynamics() if cls.__name__ == name)
    assert cls.pointwise is not True
    module, x = build(cls), sequence(cls)
    with tdn.backend("eager"):
        expected = module(x)
    assert torch.equal(module(x), expected)


@pytest.mark.parametrize("equation", [tdn.LIF, tdn.SynapticLIF])
@pytest.mark.parametrize("reset", ["value", "zero"])
def test_resets_and_refractoriness(equation, reset):
    cell = equation(tau_mem=tdn.Learned(10.0), v_th=tdn.Learned(1.0), reset=reset, t_ref=2.0).double()
    (spikes, *_), _ = assert_agrees(cell, drive(), relative=1e-12)
    assert 0 < spikes.mean() < 0.5


@pytest.mark.parametrize("integrator", [tdn.Euler(), tdn.Heun(), tdn.RK4(substeps=2)], ids=repr)
def test_integrators(integrator):
    assert_agrees(tdn.LIF(tau_mem=tdn.Learned(20.0), integrator=integrator).double(), drive(), relative=1e-12)


def test_surrogates():
    names = ["ATan", "FastSigmoid", "Sigmoid", "Triangular", "Gaussian", "Rectangular", "PiecewiseExponential"]
    cells = [tdn.LIF(surrogate=getattr(tdn, name)()) for name in [*names, "StraightThrough", "Damped"]]
    assert_agrees(tdn.Chain(*cells).double(), drive(scale=30.0), relative=1e-12)


def test_float32_with_per_neuron_parameters():
    tau = torch.linspace(5.0, 30.0, 13)
    cell = tdn.LIF(tau_mem=tdn.Learned(tau), v_th=tdn.Learned(1.0))
    state = tdn.LIFState(v=torch.linspace(-1.0, 0.5, 26).reshape(2, 13))
    assert_agrees(cell, drive(dtype=torch.float32), state)


def test_channels_of_an_image():
    tau = torch.linspace(5.0, 30.0, 3, dtype=torch.float64).reshape(3, 1, 1)
    cell = tdn.LIF(tau_mem=tdn.Learned(tau), v_th=tdn.Learned(torch.ones(1, 5, 1, dtype=torch.float64))).double()
    assert_agrees(cell, drive(neurons=3 * 5 * 7).reshape(23, 2, 3, 5, 7), relative=1e-12)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 5), (40, 1, 1), (9, 3, 300)])
def test_sizes(shape):
    assert_agrees(tdn.LIF(tau_mem=tdn.Learned(5.0)).double(), drive(*shape), relative=1e-12)


def test_layouts():
    cell = tdn.LIF(tau_mem=tdn.Learned(5.0)).double()
    x = drive()
    assert_agrees(cell, x.permute(2, 1, 0), relative=1e-12)
    with tdn.backend("cpp"):
        constant = x[:1].expand(30, -1, -1)
        assert torch.equal(cell(constant), cell(constant.contiguous()))
        assert torch.equal(cell(x[::2]), cell(x[::2].clone()))
        assert torch.equal(cell(x.mT.contiguous().mT), cell(x))


def test_noise_is_the_same_on_every_backend():
    class Jittered(tdn.LeakyIntegrator):
        def diffusion(self, x_t, state):
            return state._replace(v=0.1)

    assert_agrees(Jittered(integrator=tdn.EulerMaruyama()).double(), drive(), relative=1e-12)


def test_chain_runs_neighbours_as_one_loop():
    chain = tdn.Chain(
        tdn.ExponentialSynapse(tau=tdn.Learned(3.0)),
        tdn.LIF(tau_mem=tdn.Learned(10.0)),
        nn.Linear(13, 4),
        tdn.SynapticLIF(),
        tdn.LeakyIntegrator(),
    ).double()
    assert_agrees(chain, drive(), relative=1e-12, backend="auto")
    with tdn.backend("auto"):
        whole, _ = chain.scan(drive())
        first, state = chain.scan(drive()[:10])
        second, _ = chain.scan(drive()[10:], state)
    assert torch.equal(torch.cat([first, second]), whole)
