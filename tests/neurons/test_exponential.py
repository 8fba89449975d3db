"""The exponential neuron against quadrature."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad

import torchdyn_neuro as tdn

TAU, REST, V_T, SHARPNESS, PEAK, RESET, T_REF = 10.0, -65.0, -59.9, 3.48, 0.0, -68.0, 1.7
RHEOBASE = V_T - REST - SHARPNESS


def period(current: float) -> float:
    def slowness(v: float) -> float:
        return TAU / (-(v - REST) + SHARPNESS * np.exp((v - V_T) / SHARPNESS) + current)

    return T_REF + quad(slowness, RESET, V_T, epsabs=1e-10)[0] + quad(slowness, V_T, PEAK, epsabs=1e-10)[0]


@pytest.mark.parametrize("method", [tdn.RK4(), tdn.ExponentialEuler(substeps=10)], ids=repr)
def test_rate_against_quadrature(method):
    currents = [RHEOBASE + excess for excess in (1.0, 3.0, 10.0, 40.0)]
    x = torch.tensor(currents, dtype=torch.float64).expand(7500, 1, 4)
    with torch.no_grad():
        spikes = tdn.EIF(dt=0.02, integrator=method).double()(x)[:, 0]
    for i, current in enumerate(currents):
        times = spikes[:, i].nonzero()[:, 0].double() * 0.02
        assert len(times) >= 2
        # An interval is rounded up to the grid, and a step in which the upstroke begins may fall short of the peak.
        assert times.diff().mean().item() == pytest.approx(period(current), abs=0.04)


def test_silent_below_rheobase():
    with torch.no_grad():
        assert tdn.EIF()(torch.full((5000, 1, 1), RHEOBASE - 0.05)).sum() == 0
        assert tdn.EIF()(torch.full((5000, 1, 1), RHEOBASE + 0.5)).sum() > 0


def test_the_peak_lies_above_the_threshold():
    with pytest.raises(ValueError, match="v_peak above V_T"):
        tdn.EIF(v_peak=-62.0)
