import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.encoding import Poisson


def network(dt, *, kind):
    torch.manual_seed(0)
    layers = (
        nn.Linear(3, 4),
        tdn.ExponentialSynapse(dt=dt),
        tdn.Delay(torch.tensor([1.0, 2.0, 4.0, 0.0]), dt=dt),
        tdn.Recurrent(tdn.LIF(t_ref=2.0, tau_mem=8.0, dt=dt), nn.Linear(4, 4)),
        tdn.AdLIF(dt=dt),
        tdn.LeakyIntegrator(dt=dt),
    )
    return kind(*layers)


@pytest.mark.parametrize("kind", [nn.Sequential, tdn.Chain])
def test_a_changed_model_is_one_that_was_built_so(kind):
    model, expected = network(1.0, kind=kind), network(0.5, kind=kind)
    x = 3 * torch.rand(40, 2, 3)
    model(x)  # what runs fused keeps nothing of the old step
    assert tdn.set_dt(model, 0.5) is model
    assert {module.dt for module in model.modules() if isinstance(module, tdn.Dynamics)} == {0.5}
    assert torch.equal(model(x), expected(x))
    tdn.check(model)


def test_two_clocks_become_one():
    model = nn.Sequential(Poisson(10), nn.Linear(3, 3), tdn.ExponentialSynapse(), tdn.AdEx())
    with pytest.raises(ValueError, match="expected one time step"):
        tdn.check(model)
    tdn.set_dt(model, 0.1)
    tdn.check(model)
    assert [model[index].dt for index in (0, 2, 3)] == [0.1, 0.1, 0.1]


REFUSED = {
    "refractory": (lambda: tdn.LIF(t_ref=2.0), 0.3, "t_ref to be a whole number of steps of 0.3 ms, got 2 ms"),
    "explicit": (lambda: tdn.LIF(tau_mem=2.0, integrator=tdn.Euler()), 5.0, "step below twice tau_mem for Euler"),
    "hodgkin_huxley": (lambda: tdn.HodgkinHuxley(integrator=tdn.RK4()), 0.5, "a step of at most"),
    "printed": (lambda: tdn.Izhikevich(scheme="izhikevich2003"), 0.5, "a step of 1 ms for scheme"),
    "map": (lambda: tdn.BalancedResonateAndFire(100.0), 2.0, "dt times 2 pi frequency below 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_changes(name):
    make, dt, message = REFUSED[name]
    delay = tdn.Delay(4.0, kernel="gaussian")
    model = nn.Sequential(tdn.LIF(tau_mem=50.0), delay, make())
    before = [(layer.dt, layer.extra_repr()) for layer in model], delay.steps, delay.final_width
    with pytest.raises(
        ValueError, match=f"expected modules that allow a step of {dt:g} ms.*changed nothing: 2: .*{message}"
    ):
        tdn.set_dt(model, dt)
    assert ([(layer.dt, layer.extra_repr()) for layer in model], delay.steps, delay.final_width) == before


def test_no_step_of_zero():
    with pytest.raises(ValueError, match="expected dt above 0 ms, got 0"):
        tdn.set_dt(tdn.LIF(), 0)
