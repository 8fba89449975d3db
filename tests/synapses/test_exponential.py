"""The exponential synapse: peak, area, steps of any length."""

import math

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn


@pytest.mark.parametrize("dt", [0.1, 1.0, 4.0])
@pytest.mark.parametrize(("normalize", "height"), [("peak", 1.0), ("area", 1 / 5)])
def test_answer_to_one_spike(dt, normalize, height):
    x = torch.zeros(60, 1, 1, dtype=torch.float64)
    x[2] = 1.0
    s = tdn.ExponentialSynapse(5.0, normalize=normalize, dt=dt).double()(x).flatten()
    t = dt * (torch.arange(60, dtype=torch.float64) - 2)
    assert_close(s, torch.where(t >= 0, height * torch.exp(-t.clamp(min=0) / 5), 0.0))


def test_area_is_one():
    dt = 0.01
    x = torch.zeros(10000, 1, 1, dtype=torch.float64)
    x[0] = 1.0
    with torch.no_grad():
        s = tdn.ExponentialSynapse(5.0, normalize="area", dt=dt).double()(x).flatten()
    # Trapezoidal rule from the jump on; its error is of order (dt / tau)^2.
    assert (s.sum() - s[0] / 2).item() * dt == pytest.approx(1, abs=1e-6)


def test_gradient_of_tau():
    synapse = tdn.ExponentialSynapse(tdn.Learned(5.0)).double()
    x = torch.zeros(8, 1, 1, dtype=torch.float64)
    x[0] = 2.0
    synapse(x)[-1].sum().backward()
    assert_close(synapse.tau.raw.grad.item() / 5, 2 * 7 / 25 * math.exp(-7 / 5))


def test_errors():
    with pytest.raises(ValueError, match=r"ExponentialSynapse: expected normalize to be one of .*, got 'sum'; choose"):
        tdn.ExponentialSynapse(normalize="sum")
    with pytest.raises(ValueError, match=r"ExponentialSynapse.tau: expected a number above 0, got -5 ms; pass"):
        tdn.ExponentialSynapse(-5.0)
