"""What the cells in millivolts share: order of convergence, exact gradients, shapes and numerical safety."""

import math
from functools import lru_cache

import pytest
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn

BUILDERS = {
    "QIF": tdn.QIF,
    "EIF": tdn.EIF,
    "AdEx": tdn.AdEx,
    "Izhikevich": tdn.Izhikevich,
    "Izhikevich2003": lambda **changes: tdn.Izhikevich(scheme="izhikevich2003", **changes),
    **{f"GLIF{level}": lambda level=level, **changes: tdn.GLIF(level, **changes) for level in range(1, 6)},
}
ODES = [name for name in BUILDERS if name != "Izhikevich2003"]
SUB_THRESHOLD = {"QIF": 4.0, "EIF": 1.0, "AdEx": 300.0, "Izhikevich": 3.0, "Izhikevich2003": 3.0}
FIRING = {"QIF": 40.0, "EIF": 30.0, "AdEx": 900.0, "Izhikevich": 15.0, "Izhikevich2003": 15.0}


def sub_threshold(name: str) -> float:
    return SUB_THRESHOLD.get(name, 150.0)


def firing(name: str) -> float:
    return FIRING.get(name, 600.0)


def trajectory(cell: tdn.Dynamics, current: float, duration: float) -> Tensor:
    """Every leaf of the state at every whole ms, [T, leaves], from a state that is off its resting point."""
    x_t = torch.full((1, 1), current, dtype=torch.float64)
    state = cell.initial_state(x_t)
    state = tdn.map_state(lambda leaf: leaf + 1.0, state)._replace(refractory=())
    points = []
    per_ms = round(1 / cell.dt)
    for step in range(round(duration / cell.dt)):
        y_t, state = cell.step(x_t, state)
        assert y_t.item() == 0
        if (step + 1) % per_ms == 0:
            leaves: list[Tensor] = []
            tdn.map_state(lambda leaf, into=leaves: into.append(leaf), state)
            points.append(torch.cat(leaves).flatten())
    return torch.stack(points)


@lru_cache
def run_without_spikes(name: str, dt: float, integrator: tdn.Integrator) -> Tensor:
    cell = BUILDERS[name](dt=dt, integrator=integrator, t_ref=0.0).double()
    return trajectory(cell, sub_threshold(name), 10.0)


METHODS = [(tdn.Euler, 1), (tdn.Heun, 2), (tdn.Midpoint, 2), (tdn.RK4, 4), (tdn.ExponentialEuler, 1)]


@pytest.mark.parametrize(("method", "order"), METHODS, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("name", ["QIF", "EIF", "AdEx", "Izhikevich", "GLIF5"])
def test_order_of_convergence_without_spikes(name, method, order):
    if method is tdn.ExponentialEuler and name in ("QIF", "Izhikevich"):
        pytest.skip("no relaxation form; test_quadratic and test_izhikevich show that it raises")
    exact = run_without_spikes(name, 0.02, tdn.RK4())
    errors = [
        (run_without_spikes(name, dt, method()) - exact).abs().max().item()
        for dt in ((0.5, 0.25) if order == 4 else (0.1, 0.05))
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


class Run(nn.Module):
    """The last state as a function of input and initial state, with the parameters where functional_call finds them."""

    def __init__(self, cell: tdn.Dynamics):
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, *start: Tensor) -> tuple[Tensor, ...]:
        leaves = iter(start)
        state = tdn.map_state(lambda _: next(leaves), self.cell.initial_state(x[0]))
        last: list[Tensor] = []
        tdn.map_state(last.append, self.cell.scan(x, state)[1])
        return tuple(last)


@pytest.mark.parametrize("name", ["QIF", "EIF", "AdEx", "Izhikevich", "Izhikevich2003", "GLIF5"])
def test_gradients_without_spikes_are_exact(name):
    # A surrogate that is zero away from the threshold leaves the gradient of the equation alone.
    cell = BUILDERS[name](surrogate=tdn.Rectangular(width=1e-3)).double()
    for key, quantity in list(cell.quantities()):
        setattr(cell, key, type(quantity)(tdn.Learned(quantity.start), unit=quantity.unit))
    assert len(list(cell.parameters())) == len(list(cell.quantities()))
    run = Run(cell)
    names = [key for key, _ in run.named_parameters()]
    raw = [parameter.detach().clone().requires_grad_() for parameter in run.parameters()]
    x = torch.full((3, 1, 2), sub_threshold(name), dtype=torch.float64)
    x[:, :, 1] *= 0.5
    start: list[Tensor] = []
    tdn.map_state(start.append, cell.initial_state(x[0])._replace(refractory=()))
    start = [(leaf + 1.5).detach().requires_grad_() for leaf in start]
    held = [] if cell.initial_state(x[0]).refractory == () else [torch.zeros(1, 2, dtype=torch.float64)]

    def function(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        state, values = rest[: len(start)], rest[len(start) :]
        return torch.func.functional_call(run, dict(zip(names, values, strict=True)), (x, *state, *held))

    assert torch.autograd.gradcheck(function, (x.requires_grad_(), *start, *raw))


@pytest.mark.parametrize("name", BUILDERS)
def test_images_of_neurons_with_parameters_per_channel(name):
    cell = (
        BUILDERS[name](v_peak=torch.tensor([20.0, 30.0]).reshape(2, 1, 1)) if "GLIF" not in name else BUILDERS[name]()
    )
    x = torch.full((400, 2, 2, 3, 4), firing(name))
    spikes = cell(x)
    assert spikes.shape == x.shape
    assert spikes.sum() > 0
    torch.testing.assert_close(spikes[:, 0, 0, 0, 0], spikes[:, 1, 0, 2, 3], rtol=0, atol=0)


@pytest.mark.parametrize("name", ODES)
def test_neurons_with_parameters_of_their_own_do_what_they_do_alone(name):
    thresholds = {"theta_inf": [-52.0, -48.0]} if "GLIF" in name else {"v_peak": [15.0, 30.0]}
    key, (first, second) = next(iter(thresholds.items()))
    x = torch.full((300, 1, 2), firing(name))
    together = BUILDERS[name](**{key: torch.tensor([first, second])})(x)
    alone = [BUILDERS[name](**{key: value})(x[..., :1]) for value in (first, second)]
    assert together.sum() > 0
    torch.testing.assert_close(together, torch.cat(alone, -1), rtol=0, atol=0)


@pytest.mark.parametrize("name", BUILDERS)
def test_nothing_becomes_infinite_under_any_input(name):
    strengths = [0.0, 1.0, -1.0, 1e2, -1e2, 1e3, -1e3, 1e4, -1e4, 1e6, -1e6]
    x = torch.tensor(strengths).expand(200, 1, len(strengths)).clone()
    x[100:, :, -1] = 1e6  # from one extreme to the other
    x.requires_grad_()
    cell = BUILDERS[name]()
    for key, quantity in list(cell.quantities()):
        setattr(cell, key, type(quantity)(tdn.Learned(quantity.start), unit=quantity.unit))
    spikes, state = cell.scan(x)
    assert spikes[:, 0, 9].sum() > 0
    tdn.map_state(lambda leaf: torch.testing.assert_close(leaf, leaf.nan_to_num(), rtol=0, atol=0), state)
    (spikes.sum() + state.v.sum()).backward()
    assert x.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in cell.parameters())


@pytest.mark.parametrize("integrator", [tdn.Euler(), tdn.Heun(), tdn.Midpoint(), tdn.RK4()], ids=repr)
@pytest.mark.parametrize("dt", [0.1, 0.5])
@pytest.mark.parametrize("build", [tdn.QIF, tdn.Izhikevich])
def test_inhibition_of_any_strength_makes_no_spike(build, dt, integrator):
    strengths = torch.tensor([-20.0, -100.0, -1e3, -1e4, -1e5, -1e6])
    spikes, state = build(dt=dt, integrator=integrator).scan(strengths.expand(400, 1, 6))
    assert spikes.sum() == 0
    assert (state.v < -65).all()


@pytest.mark.parametrize("name", ["QIF", "EIF", "AdEx", "Izhikevich", "GLIF5"])
def test_substeps_equal_shorter_steps(name):
    fine = BUILDERS[name](dt=0.05, integrator=tdn.RK4(), t_ref=0.0).double()
    coarse = BUILDERS[name](dt=0.1, integrator=tdn.RK4(substeps=2), t_ref=0.0).double()
    x = torch.full((100, 1, 1), sub_threshold(name), dtype=torch.float64)
    torch.testing.assert_close(coarse.scan(x)[1].v, fine.scan(x.repeat_interleave(2, 0))[1].v)


@pytest.mark.parametrize("name", ["QIF", "EIF", "AdEx", "Izhikevich", "GLIF5"])
def test_a_step_that_is_too_long_is_refused(name):
    with pytest.raises(ValueError, match=r"substeps"):
        BUILDERS[name](dt=1000.0, integrator=tdn.Euler())
