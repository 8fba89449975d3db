import numpy as np
import pytest
import torch
from scipy.linalg import expm

import torchdyn_neuro as tdn

TAU_MEM, TAU_W, A, REST = 20.0, 60.0, 3.0, 0.125
MATRIX = np.array([[-1 / TAU_MEM, -1 / TAU_MEM], [A / TAU_W, -1 / TAU_W]])


def final_error(integrator, dt):
    """The largest error of the potential over a damped oscillation below threshold."""
    cell = tdn.AdLIF(TAU_MEM, TAU_W, a=A, v_rest=REST, integrator=integrator, dt=dt).double()
    state = cell.initial_state(torch.zeros(1, 1, dtype=torch.float64))
    state = state._replace(v=state.v + 0.5)
    error, exact, propagator = 0.0, np.array([0.5, 0.0]), expm(MATRIX * dt)
    for _ in range(int(120 / dt)):
        _, state = cell.step(torch.zeros(1, 1, dtype=torch.float64), state)
        exact = propagator @ exact
        error = max(error, abs(state.v.item() - REST - exact[0]), abs(state.adaptation.item() - exact[1]))
    return error


@pytest.mark.parametrize(
    ("integrator", "order"),
    [(tdn.ExponentialEuler(), 1), (tdn.Euler(), 1), (tdn.Heun(), 2), (tdn.Midpoint(), 2), (tdn.RK4(), 4)],
)
def test_order_of_convergence(integrator, order):
    assert np.iscomplex(np.linalg.eigvals(MATRIX)).all(), "the regime should oscillate"
    errors = [final_error(integrator, dt) for dt in (1.0, 0.5)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


def test_spikes_against_a_fine_solution():
    """Spike count and times of a driven cell at the default step against a step a hundred times shorter, in NumPy."""
    current, b, fine = 6.0, 15.0, 0.01
    propagator = expm(MATRIX * fine)
    rest = -np.linalg.solve(MATRIX, [current / TAU_MEM, 0.0])
    state, times = np.zeros(2), []
    for n in range(int(150 / fine)):
        state = rest + propagator @ (state - rest)
        if state[0] >= 1.0:
            times.append((n + 1) * fine)
            state += [-1.0, b / TAU_W]
    assert len(times) > 5
    cell = tdn.AdLIF(TAU_MEM, TAU_W, a=A, b=b, integrator=tdn.RK4(), dt=0.05).double()
    y = cell(torch.full((3000, 1, 1), current, dtype=torch.float64)).flatten()
    got = ((y.nonzero().flatten() + 1) * 0.05).tolist()
    assert len(got) == len(times)
    # Each spike waits for its grid point, and the wait is handed on to the next one.
    np.testing.assert_allclose(got, times, atol=0.05 * len(times))


def test_needs_a_resting_potential():
    with pytest.raises(ValueError, match="resting_potential"):
        tdn.ResonateAndFire(adaptation=_OnThreshold())


class _OnThreshold(tdn.SubThresholdAdaptation):
    enters_as_current = False
