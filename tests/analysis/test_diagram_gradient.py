"""Gradients of the points of a diagram against formulas; where there is none, that is said."""

import math

import pytest
import torch

from tests.analysis.systems import EI, differences, ei_pair, gradient, hopf_form, logistic_unit
from torchdyn_neuro.analysis import bifurcation_diagram, hopf_point, limit_cycle

ZERO = torch.zeros(1)
PITCHFORK = lambda r, w, c: c * (-r + torch.tanh((w + 0.3) * r))  # noqa: E731


def hysteresis(w, **options):
    return bifurcation_diagram(logistic_unit, "current", (-5.0, -1.0), ZERO, parameters=(w, 0.0), **options)


def test_branches_and_folds():
    """dr/dw = r F' / (1 - w F') with F' = r (1 - r), the eigenvalue -1 + w F'; at a fold dI/dw = -r."""
    w = torch.tensor(6.0, dtype=torch.float64, requires_grad=True)
    diagram = hysteresis(w, gradient=True)
    (branch,) = diagram.branches
    assert not branch.parameter.requires_grad
    rate = branch.states[:, 0].detach()
    slope = rate * (1 - rate)
    moves = rate * slope / (1 - 6 * slope)
    for k in (0, len(rate) // 3, len(rate) // 2, len(rate) - 1):
        (found,) = torch.autograd.grad(branch.states[k, 0], w, retain_graph=True)
        assert found.item() == pytest.approx(moves[k].item(), rel=1e-9)
        (found,) = torch.autograd.grad(branch.eigenvalues.real[k, 0], w, retain_graph=True)
        assert found.item() == pytest.approx((slope + 6 * (1 - 2 * rate) * moves)[k].item(), rel=1e-9)
    for fold in diagram.folds:
        (found,) = torch.autograd.grad(fold.parameter, w, retain_graph=True)
        assert found.item() == pytest.approx(-fold.state.item(), rel=1e-9)


def test_a_loss_of_the_width_of_the_hysteresis():
    """Its ends lie where r (1 - r) = 1 / w and move by -r."""

    def width(w):
        low, high = hysteresis(w, gradient=True, cycles=False).folds
        return high.parameter - low.parameter

    expected = -math.sqrt(1 - 4 / 6)
    assert torch.func.grad(width)(torch.tensor(6.0, dtype=torch.float64)).item() == pytest.approx(expected, rel=1e-9)


def test_where_branches_meet_a_fixed_point_has_no_derivative():
    c = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    diagram = bifurcation_diagram(PITCHFORK, "w", (0.2, 1.7), ZERO, parameters=(1.0, c), gradient=True)
    trivial, fork = diagram.branches
    (rise,) = torch.autograd.grad(trivial.eigenvalues.real[0, 0], c, retain_graph=True)
    assert rise.item() == pytest.approx(-0.5, rel=1e-9)  # c (w + 0.3 - 1)
    meeting = fork.states[:, 0].abs().argmin()
    torch.autograd.grad(fork.eigenvalues.real[meeting + 3].sum(), c, retain_graph=True)
    with pytest.raises(ValueError, match=r"away from bifurcations, .* leave that point out"):
        fork.states.sum().backward(retain_graph=True)
    with pytest.raises(ValueError, match=r"got one of its direction, curvature or coefficient"):
        diagram.branch_points[0].directions.sum().backward()


def test_periods_and_amplitudes_of_cycles():
    """Of the normal form: radius sqrt(mu / -c), period 2 pi / omega."""
    omega, cubic = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.5, -2.0))
    at = {"parameters": (0.0, omega, cubic), "gradient": True}
    diagram = bifurcation_diagram(hopf_form, "mu", (-0.02, 0.05), torch.zeros(2), **at)
    (cycles,) = diagram.cycles
    mu = cycles.parameter[-1].item()
    slopes = torch.autograd.grad(cycles.amplitude[-1, 0] + cycles.period[-1], (omega, cubic), retain_graph=True)
    assert slopes[0].item() == pytest.approx(-2 * math.pi / 0.25, rel=1e-6)
    assert slopes[1].item() == pytest.approx(0.5 * math.sqrt(mu / 2) / 2, rel=1e-6)
    with pytest.raises(ValueError, match=r"beyond the Hopf point where they begin, .* leave the first of them out"):
        cycles.period.sum().backward(retain_graph=True)
    (point,) = diagram.hopf_points
    assert torch.autograd.grad(point.frequency, omega)[0].item() == pytest.approx(500 / math.pi, rel=1e-9)


def test_the_amplitude_of_a_cycle_against_differences():
    def amplitude(w_ee):
        cycle = limit_cycle(ei_pair, torch.tensor([0.3, 0.3]), settle=100.0, parameters=(w_ee, *EI[1:]))
        return cycle.amplitude[0] + cycle.low[1]

    assert gradient(amplitude, 16.0) == pytest.approx(differences(amplitude, 16.0, 1e-2), rel=1e-5)


def test_without_being_asked_for_a_gradient_is_refused():
    w = torch.tensor(6.0, dtype=torch.float64, requires_grad=True)
    diagram = hysteresis(w)
    for value in (diagram.branches[0].states, diagram.branches[0].eigenvalues.real, diagram.folds[0].parameter):
        with pytest.raises(ValueError, match=r"a diagram with a gradient, got none; pass it, or call detach"):
            value.sum().backward()
    assert not hysteresis(6.0).folds[0].parameter.requires_grad
    with torch.no_grad():
        assert not hysteresis(w, gradient=True).folds[0].parameter.requires_grad
    mu = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    point = hopf_point(hopf_form, "mu", (-0.5, 0.4), torch.zeros(2), parameters=(0.0, mu))
    with pytest.raises(ValueError, match=r"got one of its direction, curvature or coefficient"):
        point.first_lyapunov.backward()
