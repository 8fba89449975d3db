"""Fixed points, their eigenvalues and what follows from them."""

import math

import pytest
import torch
from scipy.optimize import brentq

from tests.analysis.systems import EI, differences, ei_network, ei_pair, gradient, hopf_form
from torchdyn_neuro.analysis import (
    band,
    eigenvalues,
    fixed_point,
    fixed_points,
    jacobian,
    oscillation_frequency,
    stability,
)

UNIT = lambda r, w: -r + torch.tanh(w * r)  # noqa: E731


def test_all_fixed_points_of_a_unit_each_once():
    found = fixed_points(UNIT, low=torch.tensor([-2.0]), high=torch.tensor([2.0]), parameters=(2.0,))
    upper = brentq(lambda r: -r + math.tanh(2 * r), 0.5, 1.0, xtol=1e-15)
    torch.testing.assert_close(found.states.flatten(), torch.tensor([-upper, 0, upper]).double(), rtol=1e-6, atol=1e-12)
    assert found.states[2].item() == pytest.approx(upper, abs=1e-14)
    assert found.residual.max() < 1e-14
    assert found.starts.sum() + found.lost == 64
    assert stability(UNIT, found.states, parameters=(2.0,)).kind == ["stable node", "unstable node", "stable node"]


def test_a_system_without_a_fixed_point_says_so():
    found = fixed_points(lambda x: 1 + x * x, torch.linspace(-3, 3, 8)[:, None])
    assert found.states.shape == (0, 1)
    assert found.lost == 8
    with pytest.raises(ValueError, match="expected a fixed point near every start, got 2 of 2 searches"):
        fixed_point(lambda x: 1 + x * x, torch.ones(2, 1))


def test_searches_leave_places_where_the_residual_is_small_but_not_zero():
    """The only fixed point of the pair is a focus in a steep place; most descents end elsewhere."""
    found = fixed_points(ei_pair, low=torch.zeros(2), high=torch.ones(2), parameters=EI)
    assert len(found.states) == 1
    assert found.starts[0] > 32
    assert ei_pair(found.states, *EI).abs().max() < 1e-14


def test_starts_are_needed():
    with pytest.raises(ValueError, match=r"either starts .* neither"):
        fixed_points(UNIT, parameters=(2.0,))
    with pytest.raises(ValueError, match=r"either starts .* both"):
        fixed_points(UNIT, torch.ones(3, 1), low=0.0, high=1.0, parameters=(2.0,))
    with pytest.raises(ValueError, match=r"tensors \[n\]"):
        fixed_points(UNIT, low=0.0, high=1.0, parameters=(2.0,))
    with pytest.raises(ValueError, match="one system"):
        fixed_points(UNIT, torch.ones(3, 1), parameters=(torch.ones(2, 1),))


def test_gradient_of_a_fixed_point():
    """dr/dw = r F' / (1 - w F') with F' = 1 - r^2; its derivatives beyond the first are right too."""

    def upper(w):
        return fixed_point(UNIT, torch.ones(1, dtype=torch.float64), parameters=(w,))[0]

    r = upper(torch.tensor(2.0)).item()
    slope = 1 - r * r
    assert gradient(upper, 2.0) == pytest.approx(r * slope / (1 - 2 * slope), rel=1e-12)
    second = torch.func.grad(torch.func.grad(upper))(torch.tensor(2.0, dtype=torch.float64))
    assert second.item() == pytest.approx(differences(lambda w: gradient(upper, w.item()), 2.0), rel=1e-6)


@pytest.mark.parametrize("which", range(8), ids=["w_ee", "w_ei", "w_ie", "w_ii", "i_e", "i_i", "tau_e", "tau_i"])
def test_gradient_of_an_eigenvalue_through_its_fixed_point(which):
    def leading(value):
        at = (*EI[:which], value, *EI[which + 1 :])
        x = fixed_point(ei_pair, torch.tensor([0.3, 0.4]), parameters=at)
        value = eigenvalues(ei_pair, x, parameters=at)[0]
        return value.real + 2 * value.imag

    assert gradient(leading, EI[which]) == pytest.approx(differences(leading, EI[which]), rel=1e-5)


def test_a_batch_of_parameters_under_vmap():
    def leading(w):
        at = (w, *EI[1:])
        x = fixed_point(ei_pair, torch.tensor([0.3, 0.4]), parameters=at)
        return eigenvalues(ei_pair, x, parameters=at).real[0]

    weights = torch.tensor([15.0, 16.0, 17.0], dtype=torch.float64)
    together = torch.func.vmap(leading)(weights)
    torch.testing.assert_close(together, torch.stack([leading(w) for w in weights]), rtol=1e-10, atol=0)
    slopes = torch.func.vmap(torch.func.grad(leading))(weights)
    torch.testing.assert_close(slopes[1].item(), differences(leading, 16.0), rtol=1e-6, atol=0)


def test_a_network_learns_a_rhythm_through_its_eigenvalue():
    network, current = ei_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.3)
    for _ in range(60):
        x = fixed_point(network, torch.tensor([0.3, 0.4]), input=current)
        leading = eigenvalues(network, x, input=current)
        rhythm, growth = oscillation_frequency(leading), leading.real[..., 0]
        loss = ((rhythm - 45.0) / 10).square().sum() + (growth * 10).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert rhythm.item() == pytest.approx(45.0, abs=0.5)
    assert abs(growth.item()) < 0.01


def test_eigenvalues_come_in_order():
    matrix = torch.tensor([[-1.0, 0, 0, 0], [0, 0.5, -3.0, 0], [0, 3.0, 0.5, 0], [0, 0, 0, 2.0]]).double()
    values = eigenvalues(lambda x: x @ matrix.T, torch.zeros(4))
    expected = torch.tensor([2.0, 0.5 + 3j, 0.5 - 3j, -1.0], dtype=torch.complex128)
    torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("matrix", "kind", "unstable"),
    [
        ([[-1.0, 0.0], [0.0, -2.0]], "stable node", 0),
        ([[-1.0, -2.0], [2.0, -1.0]], "stable focus", 0),
        ([[1.0, 0.0], [0.0, -2.0]], "saddle", 1),
        ([[1.0, 0.0], [0.0, 2.0]], "unstable node", 2),
        ([[0.1, -2.0], [2.0, 0.1]], "unstable focus", 2),
        ([[0.0, -2.0], [2.0, 0.0]], "undecided", 0),
        ([[0.0, 0.0], [0.0, -2.0]], "undecided", 0),
    ],
)
def test_kinds_of_fixed_points(matrix, kind, unstable):
    matrix = torch.tensor(matrix).double()
    found = stability(lambda x: x @ matrix.T, torch.zeros(2))
    assert found.kind == kind
    assert found.unstable == unstable
    assert found.stable == kind.startswith("stable")
    assert stability(lambda x: x @ matrix.T, torch.zeros(2, 3, 2)).kind == [[kind] * 3] * 2


def test_what_moves_has_no_stability():
    with pytest.raises(ValueError, match="expected a fixed point, got a state that changes by 1 per ms"):
        stability(lambda x: -x, torch.ones(1))


def test_frequency_is_that_of_the_least_damped_pair():
    pair = [-0.1 + 0.3j, -0.1 - 0.3j]
    faster = [-0.5 + 0.9j, -0.5 - 0.9j]
    values = torch.tensor([[0.2, *pair, *faster], [0.2, 0.1, -0.1, -0.2, -0.3]], dtype=torch.complex128)
    expected = torch.tensor([300 / (2 * math.pi), 0.0]).double()
    torch.testing.assert_close(oscillation_frequency(values), expected, rtol=1e-6, atol=0)
    with pytest.raises(TypeError, match="complex eigenvalues"):
        oscillation_frequency(torch.ones(2))
    x = fixed_point(hopf_form, torch.full((2,), 0.01), parameters=(-0.1, 0.25))
    assert oscillation_frequency(eigenvalues(hopf_form, x, parameters=(-0.1, 0.25))) == pytest.approx(125 / math.pi)


def test_bands():
    names = {0.3: "slow", 3: "delta", 4: "theta", 7.9: "theta", 10: "alpha", 13: "beta", 29.9: "beta", 30: "gamma"}
    names |= {79.9: "gamma", 80: "fast", 300: "ultra-fast", 1000: "beyond", 0: "none"}
    assert {frequency: band(frequency) for frequency in names} == names
    assert band(torch.tensor(6.0, requires_grad=True)) == "theta"
    with pytest.raises(ValueError, match="0 Hz or above"):
        band(-1.0)


def test_float32_if_asked():
    x = fixed_point(UNIT, torch.ones(1), parameters=(2.0,), dtype=torch.float32)
    assert x.dtype == torch.float32
    assert jacobian(UNIT, x, parameters=(2.0,), dtype=torch.float32).dtype == torch.float32
    assert x.item() == pytest.approx(0.9575040, abs=1e-6)


def test_a_line_of_fixed_points_has_no_gradient():
    def line(x, w):
        return torch.stack([-w * x[..., 0], 0 * x[..., 1]], -1)

    w, start = torch.tensor(0.5, requires_grad=True), torch.ones(2)
    assert abs(fixed_point(line, start, parameters=(0.5,))[0].item()) < 1e-9
    with pytest.raises(ValueError, match="singular Jacobian: it is at a bifurcation or one of a line"):
        fixed_point(line, start, parameters=(w,))


def test_fixed_points_in_float32():
    """v - v^3 / 3 - w = 0, v + 0.7 - 0.8 w = 0 at one real v."""

    def cell(s):
        v, w = s.unbind(-1)
        return torch.stack([v - v**3 / 3 - w, 0.08 * (v + 0.7 - 0.8 * w)], -1)

    starts = torch.linspace(-1.5, -0.5, 20)[:, None].expand(-1, 2)
    found = fixed_point(cell, starts, dtype=torch.float32)
    exact = brentq(lambda v: v - v**3 / 3 - (v + 0.7) / 0.8, -3, 0)
    torch.testing.assert_close(found[:, 0], torch.full((20,), exact), rtol=1e-5, atol=0)


def test_a_search_of_many_variables_looks_only_where_it_goes_on():
    """Counted in rows that the field is asked for, which a Jacobian for every start in every step would far exceed."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(40, 40, generator=generator, dtype=torch.float64) * 1.5 / 40**0.5
    rows = []

    def network(r):
        rows.append(r.shape[:-1].numel())
        return -r + torch.tanh(r @ weight.T)

    found = fixed_points(network, low=torch.full((40,), -1.0), high=torch.ones(40))
    assert len(found.states) > 1
    assert found.residual.max() < 1e-12
    assert sum(rows) < 64 * 100


class OwnSlope(torch.autograd.Function):
    """tanh with a derivative by hand, for one row at a time."""

    @staticmethod
    def forward(x):
        return torch.tanh(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, gradient):
        (y,) = ctx.saved_tensors
        return gradient * (1 - y * y)


def test_a_function_with_a_derivative_of_its_own():
    starts = torch.linspace(-2, 2, 9)[:, None]
    found, expected = (
        fixed_points(lambda r, F=F: -r + F(2.0 * r), starts).states for F in (OwnSlope.apply, torch.tanh)
    )
    torch.testing.assert_close(found, expected)
