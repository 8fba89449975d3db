"""The quadratic neuron against its closed form."""

import math

import pytest
import torch

import torchdyn_neuro as tdn

TAU, REST, CRITICAL, SHARPNESS, PEAK, RESET = 10.0, -65.0, -50.0, 0.1, 0.0, -65.0
RHEOBASE = SHARPNESS * (CRITICAL - REST) ** 2 / 4


def period(current: float) -> float:
    """Time from the reset to the peak, by the tangent that solves the Riccati equation."""
    excess = math.sqrt(current - RHEOBASE)
    angle = [math.atan(math.sqrt(SHARPNESS) * (v - (REST + CRITICAL) / 2) / excess) for v in (RESET, PEAK)]
    return TAU / (math.sqrt(SHARPNESS) * excess) * (angle[1] - angle[0])


@pytest.mark.parametrize("t_ref", [0.0, 2.0])
def test_period_against_the_closed_form(t_ref):
    currents = [RHEOBASE * factor for factor in (1.5, 2.0, 4.0, 8.0)]
    x = torch.tensor(currents, dtype=torch.float64).expand(6000, 1, 4)
    with torch.no_grad():
        spikes = tdn.QIF(t_ref=t_ref, dt=0.02).double()(x)[:, 0]
    for i, current in enumerate(currents):
        times = spikes[:, i].nonzero()[:, 0].double() * 0.02
        assert len(times) >= 2
        # An interval is rounded up to the grid.
        assert 0 <= times.diff().mean().item() - period(current) - t_ref <= 0.0201


def test_silent_below_rheobase_where_it_rests_at_the_lower_root():
    current = 0.9 * RHEOBASE
    x = torch.full((5000, 1, 1), current, dtype=torch.float64)
    with torch.no_grad():
        spikes, state = tdn.QIF().double().scan(x)
    root = (REST + CRITICAL) / 2 - math.sqrt((RHEOBASE - current) / SHARPNESS)
    assert spikes.sum() == 0
    assert state.v.item() == pytest.approx(root, abs=1e-6)


def test_it_fires_once_when_started_above_the_critical_potential():
    start = tdn.QIFState(v=torch.full((1, 1), CRITICAL + 1.0))
    assert tdn.QIF().scan(torch.zeros(1000, 1, 1), start)[0].sum() == 1
    start = tdn.QIFState(v=torch.full((1, 1), CRITICAL - 1.0))
    assert tdn.QIF().scan(torch.zeros(1000, 1, 1), start)[0].sum() == 0


@pytest.mark.parametrize(
    ("wrong", "said"), [({"v_c": -70.0}, "v_c above v_rest"), ({"v_peak": -55.0}, "v_peak above v_c")]
)
def test_potentials_out_of_order(wrong, said):
    with pytest.raises(ValueError, match=said):
        tdn.QIF(**wrong)


def test_exponential_euler_does_not_apply():
    with pytest.raises(ValueError, match="relaxation"):
        tdn.QIF(integrator=tdn.ExponentialEuler())
