"""Gradients below threshold in input, initial state and every parameter, against finite differences."""

import pytest
import torch
from torch.autograd import gradcheck

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import leaves, map_state

L = tdn.Learned
CELLS = {
    "adaptive LIF": lambda: tdn.AdaptiveLIF(L(20.0), L(50.0), b=3.0, v_th=1e9),
    "adLIF": lambda: tdn.AdLIF(L(20.0), L(50.0), a=L(0.5), v_rest=L(0.2), v_th=1e9),
    "adLIF by RK4": lambda: tdn.AdLIF(L(20.0), L(50.0), a=L(0.5), v_th=1e9, integrator=tdn.RK4()),
    "alpha LIF": lambda: tdn.AlphaLIF(L(20.0), L(5.0), R=L(2.0), v_th=1e9),
    "alpha LIF at equal taus": lambda: tdn.AlphaLIF(L(8.0), L(8.0), v_th=1e9),
    "parametric LIF": lambda: tdn.ParametricLIF(20.0, v_th=1e9),
    "parallel LIF": lambda: tdn.ParallelLIF(L(20.0), R=L(2.0), v_rest=L(0.2), v_th=1e9),
    "resonate and fire": lambda: tdn.ResonateAndFire(L(20.0), L(40.0), v_th=1e9),
    "balanced resonate and fire": lambda: tdn.BalancedResonateAndFire(
        L(20.0), b=L(0.02), k=L(0.01), tau_q=L(10.0), v_th=1e9
    ),
}


@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS.keys())
def test_gradients_below_threshold(make):
    torch.manual_seed(0)
    cell = make().double()
    x = torch.randn(5, 1, 2, dtype=torch.float64, requires_grad=True)
    start = map_state(lambda leaf: torch.full_like(leaf, 0.3), cell.initial_state(x[0].detach()))
    initial = [leaf.requires_grad_() for leaf in leaves(start)]
    assert gradcheck(lambda x, *rest: tuple(leaves(cell.scan(x, start)[1])), (x, *initial, *cell.parameters()))


@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS.keys())
@pytest.mark.parametrize("drive", [0.0, 1e6, -1e6])
def test_silent_and_saturated_batches_are_finite(make, drive):
    cell = make()
    cell.v_th.value.fill_(1.0)
    x = torch.full((20, 2, 3), drive, requires_grad=True)
    y, state = cell.scan(x)
    (y.sum() + sum(leaf.sum() for leaf in leaves(state))).backward()
    for value in (y, *leaves(state), x.grad, *(p.grad for p in cell.parameters())):
        assert value.isfinite().all()
