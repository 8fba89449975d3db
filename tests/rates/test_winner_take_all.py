"""Competition: a single winner, shared activity, hysteresis, and the k largest."""

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro import rates

INPUTS = torch.tensor([1.0, 0.95, 0.7, 0.9, 0.2], dtype=torch.float64)
N = len(INPUTS)


def settled(net, inputs, steps, state=None):
    with torch.no_grad(), tdn.backend("auto"):
        r, state = net.double().scan(inputs.expand(steps, 1, -1), state)
    return r[-1, 0], state


@pytest.mark.parametrize("w", [1.2, 2.0, 5.0])
def test_strong_inhibition_leaves_one_winner(w):
    r, _ = settled(tdn.WinnerTakeAll(N, w=w), INPUTS, 4000)
    assert_close(r, torch.tensor([1.0, 0, 0, 0, 0], dtype=torch.float64), rtol=0, atol=1e-6)


def test_weak_inhibition_is_a_linear_solve():
    """Of the active units alone: those whose input is above what the others take away."""
    for w in (0.2, 0.5, 0.8):
        r, _ = settled(tdn.WinnerTakeAll(N, w=w), INPUTS, 3000)
        solutions = []
        for count in range(1, N + 1):
            active = INPUTS.argsort(descending=True)[:count]
            trial = torch.zeros(N, dtype=torch.float64)
            A = w + (1 - w) * torch.eye(count, dtype=torch.float64)
            trial[active] = torch.linalg.solve(A, INPUTS[active])
            drive = INPUTS - w * (trial.sum() - trial)
            if (trial[active] > 0).all() and (drive[trial == 0] <= 0).all():
                solutions.append(trial)
        assert len(solutions) == 1, "for w < 1 there is one steady state"
        assert (r > 0.01).sum() > 1
        assert_close(r, solutions[0], rtol=0, atol=1e-9)


def test_a_matrix_gives_each_pair_its_own_strength():
    W = torch.tensor([[9.0, 0.1, 0.3], [0.2, 9.0, 0.1], [0.4, 0.05, 9.0]], dtype=torch.float64)
    inputs = torch.tensor([1.0, 0.8, 1.2], dtype=torch.float64)
    r, _ = settled(tdn.WinnerTakeAll(3, W), inputs, 2000)
    across = W.fill_diagonal_(0)  # what a unit does to itself does not count
    assert_close(r, torch.linalg.solve(torch.eye(3, dtype=torch.float64) + across, inputs), rtol=0, atol=1e-9)


def test_one_shared_sum_is_the_dense_matrix():
    x = torch.rand(2, 3, N, dtype=torch.float64)
    for w in (torch.tensor(0.7), torch.rand(N)):
        shared = tdn.LateralInhibition(N, w, w_self=0.3).double()
        assert_close(shared(x), x @ shared.weight.T)
        dense = tdn.LateralInhibition(N, w.reshape(-1, 1).expand(N, N).clone(), w_self=0.3).double()
        assert_close(shared(x), dense(x))
        assert_close(shared(x)[..., 0], 0.3 * x[..., 0] - w.reshape(-1)[0].double() * x[..., 1:].sum(-1))


def test_hysteresis():
    """The winner stays until another input exceeds w times its own, and does not come back before it is beaten so."""
    net, w = tdn.WinnerTakeAll(2, w=1.5), 1.5
    _, state = settled(net, torch.tensor([1.0, 0.9], dtype=torch.float64), 1000)
    for second, winner in ((1.1, 0), (0.99 * w, 0), (1.01 * w, 1), (1.1, 1), (0.99 / w, 1 - 1)):
        r, state = settled(net, torch.tensor([1.0, second], dtype=torch.float64), 6000, state)
        assert (r > 0.5).nonzero().flatten().tolist() == [winner], second


def test_the_map_flips_where_the_dynamics_settle():
    inputs, w = torch.tensor([1.0, 0.9], dtype=torch.float64), 2.0
    r, seen = torch.zeros(2, dtype=torch.float64), []
    for _ in range(6):
        r = torch.relu(inputs - w * r.flip(0))
        seen.append(r.tolist())
    assert seen[0] == seen[2] == seen[4] != seen[1] == seen[3] == seen[5]
    settled_r, _ = settled(tdn.WinnerTakeAll(2, w=w), inputs, 2000)
    assert_close(settled_r, torch.tensor([1.0, 0.0], dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_k_winners_sum_to_k_under_one_inhibition(k):
    """r = F(I - z) with the z at which the sum is k; it does not depend on where all began."""
    F = lambda z: 1 / (1 + np.exp(-20 * (INPUTS.numpy() - z)))  # noqa: E731
    z = brentq(lambda z: F(z).sum() - k, -5, 5, xtol=1e-14)
    for start in (0.0, 1.0):
        r, state = settled(tdn.KWinnersTakeAll(N, k, r_init=start, z_init=start), INPUTS, 8000)
        assert_close(r, torch.from_numpy(F(z)), rtol=0, atol=1e-8)
        assert_close(state.z[0], torch.full((N,), z, dtype=torch.float64), rtol=0, atol=1e-8)
    assert set(r.topk(k).indices.tolist()) == set(INPUTS.topk(k).indices.tolist())


def test_the_one_inhibition_has_one_fixed_point():
    """Copies of it that differ are no rest; eigenvalues are those of the equation with one z, and -1/tau besides."""
    inputs, tau, tau_z = torch.tensor([0.1, 1.0, 0.5], dtype=torch.float64), 10.0, 100.0
    found = tdn.analysis.fixed_points(tdn.KWinnersTakeAll(3), low=-1.0, high=2.0, count=8, input=inputs[None])
    z = brentq(lambda z: torch.sigmoid(20 * (inputs - z)).sum().item() - 1, -5, 5, xtol=1e-14)
    r = torch.sigmoid(20 * (inputs - z))
    assert_close(found.states, torch.cat([r, r.new_full((3,), z)])[None], rtol=0, atol=1e-9)
    matrix = torch.diag(r.new_tensor([-1 / tau] * 3 + [0.0]))
    matrix[:3, 3], matrix[3, :3] = -20 * r * (1 - r) / tau, 1 / tau_z
    expected = np.sort_complex(np.r_[np.linalg.eigvals(matrix.numpy()), [-1 / tau] * 2])
    values = tdn.analysis.eigenvalues(tdn.KWinnersTakeAll(3), found.states[0], input=inputs[None])
    np.testing.assert_allclose(np.sort_complex(values.numpy()), expected, rtol=0, atol=1e-7)


def test_a_steep_function_picks_the_k_largest():
    inputs = torch.tensor([0.3, 2.0, 1.0, 3.0, -1.0, 0.0], dtype=torch.float64)
    for k in (1, 2, 3):
        r, _ = settled(tdn.KWinnersTakeAll(6, k, activation=rates.Sigmoid(beta=30.0)), inputs, 6000)
        expected = torch.zeros(6, dtype=torch.float64)
        expected[inputs.topk(k).indices] = 1
        assert_close(r, expected, rtol=0, atol=0.01)


def test_what_cannot_compete_is_refused():
    for k, error in ((5, "fewer winners than the 5 units"), (0, "k to be at least 1")):
        with pytest.raises(ValueError, match=f"KWinnersTakeAll: expected {error}"):
            tdn.KWinnersTakeAll(5, k)
    with pytest.raises(ValueError, match=r"KWinnersTakeAll: expected an equation tau ds/dt .* for ExponentialEuler"):
        tdn.KWinnersTakeAll(5, 2, integrator=tdn.ExponentialEuler())
    with pytest.raises(ValueError, match=r"LateralInhibition: expected w of one of the shapes .*, got shape \(3,\)"):
        tdn.WinnerTakeAll(5, torch.ones(3))
    with pytest.raises(ValueError, match=r"LateralInhibition\.w: expected 0 or a number above it, got -1"):
        tdn.WinnerTakeAll(5, -1.0)
    for layer in (tdn.PooledSum(3), tdn.LateralInhibition(3)):
        name = type(layer).__name__
        with pytest.raises(ValueError, match=rf"{name}: expected an input \[..., 3\], got shape \(2, 4\)"):
            layer(torch.ones(2, 4))


def test_a_pool_is_its_matrix():
    x = torch.rand(2, 4, 3, dtype=torch.float64)
    for w in (torch.tensor(0.5), torch.rand(3), torch.rand(3, 3)):
        pool = tdn.PooledSum(3, w).double()
        assert_close(pool(x), x @ pool.weight.T)
