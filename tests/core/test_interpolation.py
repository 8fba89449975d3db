"""Threshold crossings between the points of the grid."""

import math

import pytest
import torch

import torchdyn_neuro as tdn

TAU, CURRENT = 10.0, 1.7
INTERVAL = TAU * math.log(CURRENT / (CURRENT - 1))


def mean_interval(integrator: tdn.Integrator, dt: float, reset: str) -> float:
    torch.set_default_dtype(torch.float64)
    try:
        cell = tdn.LIF(TAU, reset=reset, integrator=integrator, dt=dt)
        with torch.no_grad():
            spikes = cell(torch.full((round(2000 / dt), 1, 1), CURRENT))
    finally:
        torch.set_default_dtype(torch.float32)
    times = spikes.flatten().nonzero().flatten() * dt
    assert len(times) > 150
    return ((times[-1] - times[0]) / (len(times) - 1)).item()


@pytest.mark.parametrize("reset", ["value", "subtract"])
@pytest.mark.parametrize(
    "integrator", [tdn.ExponentialEuler(interpolate=True), tdn.RK4(interpolate=True)], ids=["exponential", "rk4"]
)
def test_intervals_converge_to_second_order(integrator, reset):
    errors = [abs(mean_interval(integrator, dt, reset) - INTERVAL) for dt in (1.0, 0.5)]
    # The interval itself is read off the grid, over the whole run: to dt / 2000 ms times the interval.
    assert errors[0] < 0.05
    assert math.log2(errors[0] / errors[1]) > 1.6


def test_without_interpolation_intervals_are_off_by_part_of_a_step():
    assert abs(mean_interval(tdn.ExponentialEuler(), 1.0, "value") - INTERVAL) > 0.1


def test_gradient_is_finite_and_fused_equals_eager():
    cell = tdn.LIF(tdn.Learned(TAU), integrator=tdn.ExponentialEuler(interpolate=True))
    x = torch.linspace(0, 4, 60).reshape(20, 1, 3).requires_grad_()

    def run():
        y = cell(x)
        assert y.sum() > 3
        return (y, *torch.autograd.grad((y * torch.arange(20.0)[:, None, None]).sum(), [x, cell.tau_mem.raw]))

    fused = run()
    with tdn.backend("eager"):
        eager = run()
    for got, expected in zip(fused, eager, strict=True):
        assert torch.isfinite(got).all()
        torch.testing.assert_close(got, expected)


def test_a_refractory_period_is_refused():
    with pytest.raises(ValueError, match="t_ref = 0"):
        tdn.LIF(t_ref=2.0, integrator=tdn.RK4(interpolate=True))
