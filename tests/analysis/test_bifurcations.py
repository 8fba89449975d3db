"""Folds, Hopf points, crossings and diagrams against formulas."""

import math

import pytest
import torch

import torchdyn_neuro as tdn
from tests.analysis.systems import (
    EI,
    differences,
    ei_network,
    ei_pair,
    folds_of_logistic_unit,
    gradient,
    hopf_form,
    logistic_unit,
)
from torchdyn_neuro.analysis import (
    bifurcation_diagram,
    branch_point,
    eigenvalues,
    fixed_point,
    fold_point,
    hopf_point,
    jacobian,
    limit_cycle,
    oscillation_frequency,
)

ZERO = torch.zeros(1)


def test_folds_of_the_logistic_unit():
    w = 6.0
    at = {"parameters": (w, 0.0)}
    for number, expected in enumerate(folds_of_logistic_unit(w), 1):
        point = fold_point(logistic_unit, "current", (-6.0, 1.0), ZERO, number=number, **at)
        assert point.parameter.item() == pytest.approx(expected, abs=1e-10)
        assert jacobian(logistic_unit, point.state, parameters=(w, point.parameter)).abs().item() < 1e-9
        assert abs(point.curvature) > 1
    slope = gradient(lambda w: fold_point(logistic_unit, 1, (-6.0, 1.0), ZERO, parameters=(w, 0.0)).parameter, w)
    assert slope == pytest.approx(differences(lambda w: folds_of_logistic_unit(w.item())[0], w), rel=1e-6)
    assert slope == pytest.approx(-0.5 * (1 - math.sqrt(1 - 4 / w)), rel=1e-9)  # dI/dw = -r at the fold


def test_pitchfork_of_tanh_and_transcritical():
    point = branch_point(lambda r, w: -r + torch.tanh(w * r), "w", (0.3, 2.0), ZERO, parameters=(1.0,))
    assert point.parameter.item() == pytest.approx(1.0, abs=1e-10)
    assert point.kind == "pitchfork"
    assert abs(point.directions[-1]) < 1e-9
    point = branch_point(lambda x, mu: mu * x - x * x, "mu", (-1.0, 0.9), ZERO, parameters=(0.0,))
    assert point.parameter.item() == pytest.approx(0.0, abs=1e-10)
    assert point.kind == "transcritical"
    assert (point.directions[0] / point.directions[1]).item() == pytest.approx(1.0)  # the other branch is x = mu


def test_hopf_point_of_the_pair_has_trace_zero():
    point = hopf_point(ei_pair, "i_e", (-4.0, 0.0), torch.zeros(2), parameters=EI)
    at = (*EI[:4], point.parameter, *EI[5:])
    slope = jacobian(ei_pair, point.state, parameters=at)
    assert abs(slope.trace()) < 1e-6
    assert slope.det() > 0
    assert point.frequency.item() == pytest.approx(1000 / (2 * math.pi) * slope.det().sqrt().item(), rel=1e-9)
    assert point.supercritical
    network, current = ei_network()
    same = hopf_point(network, ("input", 0), (-4.0, 0.0), torch.zeros(2), input=current)
    assert same.parameter.item() == pytest.approx(point.parameter.item(), abs=1e-9)
    assert same.frequency.item() == pytest.approx(point.frequency.item(), rel=1e-9)


def test_gradients_of_a_hopf_point():
    def frequency(tau):
        return hopf_point(ei_pair, "i_e", (-4.0, 0.0), torch.zeros(2), parameters=(*EI[:7], tau)).frequency

    slope = gradient(frequency, 10.0)
    assert slope == pytest.approx(differences(frequency, 10.0), rel=1e-5)
    assert torch.func.grad(frequency)(torch.tensor(10.0, dtype=torch.float64)).item() == pytest.approx(slope, rel=1e-9)


def test_the_normal_form_tells_a_soft_from_a_hard_onset():
    """With x' = (mu + c r^2) x the first Lyapunov coefficient is 2 c / omega."""
    for cubic in (-1.0, 0.5):
        point = hopf_point(hopf_form, "mu", (-0.5, 0.4), torch.zeros(2), parameters=(0.0, 0.3, cubic))
        assert point.parameter.item() == pytest.approx(0.0, abs=1e-9)
        assert point.first_lyapunov.item() == pytest.approx(2 * cubic / 0.3, rel=1e-6)
        assert point.supercritical == (cubic < 0)


def test_oscillations_just_above_onset_have_the_frequency_of_the_eigenvalue():
    point = hopf_point(ei_pair, "i_e", (-4.0, 0.0), torch.zeros(2), parameters=EI)
    amplitudes = []
    for above in (0.002, 0.008):
        at = (*EI[:4], point.parameter.item() + above, *EI[5:])
        cycle = limit_cycle(ei_pair, point.state + 0.01, settle=200.0, parameters=at)
        x = fixed_point(ei_pair, point.state, parameters=at)
        predicted = oscillation_frequency(eigenvalues(ei_pair, x, parameters=at))
        assert cycle.frequency.item() == pytest.approx(predicted.item(), rel=0.01)
        amplitudes.append(cycle.amplitude[0].item())
    assert amplitudes[1] / amplitudes[0] == pytest.approx(2.0, rel=0.01)  # as the square root of the distance
    below = (*EI[:4], point.parameter.item() - 0.3, *EI[5:])
    with pytest.raises(ValueError, match="expected a limit cycle, got a system at rest"):
        limit_cycle(ei_pair, point.state + 0.05, settle=300.0, parameters=below)


def test_a_range_without_the_point_says_so():
    with pytest.raises(ValueError, match=r"expected a Hopf point between -4 and -3.*got none.*real part.*widen"):
        hopf_point(ei_pair, "i_e", (-4.0, -3.0), torch.zeros(2), parameters=EI)
    with pytest.raises(ValueError, match="got only 1 of them"):
        hopf_point(ei_pair, "i_e", (-4.0, -1.0), torch.zeros(2), number=2, parameters=EI)
    with pytest.raises(ValueError, match="expected a fold"):
        fold_point(logistic_unit, "current", (-6.0, 1.0), ZERO, parameters=(3.0, 0.0))  # w < 4 has none
    with pytest.raises(ValueError, match=r"expected the name or the place.*'curent'"):
        fold_point(logistic_unit, "curent", (-6.0, 1.0), ZERO, parameters=(3.0, 0.0))
    with pytest.raises(ValueError, match="expected a range"):
        fold_point(logistic_unit, "current", (1.0, 1.0), ZERO, parameters=(6.0, 0.0))


def test_diagram_of_hysteresis():
    low, high = sorted(folds_of_logistic_unit(6.0))
    diagram = bifurcation_diagram(logistic_unit, "current", (-5.0, -1.0), ZERO, parameters=(6.0, 0.0))
    assert [pair == pytest.approx((low, high), abs=1e-8) for pair in diagram.hysteresis] == [True]
    (branch,) = diagram.branches
    rate = branch.states[:, 0]
    on_curve = torch.log(rate / (1 - rate)) - 6 * rate
    torch.testing.assert_close(branch.parameter, on_curve, rtol=0, atol=1e-8)
    slope = 6 * rate * (1 - rate) - 1
    assert torch.equal(branch.stable, slope < 0)
    assert branch.parameter[[0, -1]].tolist() == [-5.0, -1.0]
    middle = bifurcation_diagram(logistic_unit, "current", (-5.0, -1.0), ZERO + 0.5, origin=-3.0, parameters=(6.0, 0.0))
    assert len(middle.folds) == 2
    assert {*middle.branches[0].ended} == {"at -5", "at -1"}
    with pytest.raises(ValueError, match="origin between"):
        bifurcation_diagram(logistic_unit, "current", (-5.0, -1.0), ZERO, origin=0.0, parameters=(6.0, 0.0))


def test_diagram_follows_both_branches_of_a_pitchfork():
    diagram = bifurcation_diagram(lambda r, w: -r + torch.tanh(w * r), "w", (0.5, 2.0), ZERO, parameters=(1.0,))
    assert [point.parameter.item() for point in diagram.branch_points] == [pytest.approx(1.0)]
    trivial, fork = diagram.branches
    assert trivial.states.abs().max() < 1e-12
    assert torch.equal(trivial.stable, trivial.parameter < 1)
    assert fork.states[[0, -1], 0].sign().sum() == 0
    away = fork.states[:, 0].abs() > 1e-3
    w = torch.atanh(fork.states[away, 0]) / fork.states[away, 0]
    torch.testing.assert_close(fork.parameter[away], w, rtol=1e-7, atol=1e-8)
    assert fork.stable[away].all()
    assert diagram.hysteresis == [pytest.approx((1.0, 2.0), abs=1e-6)]


def test_diagram_follows_cycles_past_their_fold():
    """radius^2 = (1 - sqrt(1 + 4 mu)) / 2, unstable, from mu = 0 back to the fold at -1/4, then the stable one."""

    def field(x, mu):
        u, v = x.unbind(-1)
        square = u * u + v * v
        growth = mu + square - square * square
        return torch.stack([growth * u - 0.5 * v, 0.5 * u + growth * v], -1)

    diagram = bifurcation_diagram(field, "mu", (-0.5, 0.3), torch.zeros(2), parameters=(0.0,))
    (cycles,) = diagram.cycles
    assert cycles.ended == "at 0.3"
    assert cycles.parameter.min().item() == pytest.approx(-0.25, abs=2e-3)  # the nearest cycle of the branch
    radius = cycles.high[:, 0] ** 2
    torch.testing.assert_close(cycles.parameter, radius**2 - radius, rtol=1e-5, atol=1e-6)
    clear = (radius - 0.5).abs() > 0.05
    assert torch.equal(cycles.stable[clear], radius[clear] > 0.5)
    torch.testing.assert_close(cycles.period, torch.full_like(cycles.period, 4 * math.pi), rtol=1e-6, atol=0)
    assert not diagram.hopf_points[0].supercritical


def test_hopf_points_of_the_squid_axon():
    """9.78 and 154.5 uA/cm^2 (Rinzel & Miller 1980; Hassard 1978), a hard onset and a soft one."""
    cell = tdn.HodgkinHuxley(dt=0.01)
    start = cell.initial_state(torch.zeros(1, 1))
    hard = hopf_point(cell, "input", (8.0, 11.0), start, input=torch.zeros(1, 1))
    assert hard.parameter.item() == pytest.approx(9.78, abs=0.01)
    assert not hard.supercritical
    soft = hopf_point(cell, "input", (160.0, 150.0), start, input=torch.zeros(1, 1))
    assert soft.parameter.item() == pytest.approx(154.5, abs=0.05)
    assert soft.supercritical


def test_a_change_of_two_eigenvalues_at_once_is_not_passed_over():
    """Two units that do not know each other lose their stability together: no single direction crosses."""
    diagram = bifurcation_diagram(lambda x, mu: mu * x - x**3, "mu", (-0.9, 1.0), torch.zeros(2), parameters=(0.0,))
    assert [point.parameter.item() for point in diagram.unresolved] == [pytest.approx(0.0, abs=1e-2)]


def test_a_line_of_fixed_points_is_no_pitchfork():
    """mu x is zero for every x at mu = 0; so is mu (x - y^2) on the line y = 0.3 x, but at mu = 0 alone."""
    point = branch_point(lambda x, mu: mu * x, "mu", (-0.5, 0.4), ZERO, parameters=(0.0,))
    assert point.kind == "line of fixed points"

    def bent(x, mu):
        u, v = x.unbind(-1)
        return torch.stack([mu * (u - v * v), 0.3 * torch.sin(u) - v], -1)

    diagram = bifurcation_diagram(bent, "mu", (-0.5, 0.4), torch.zeros(2), parameters=(0.0,))
    assert [point.kind for point in diagram.branch_points] == ["line of fixed points"]
    assert diagram.branch_points[0].directions.tolist() == pytest.approx(
        [1 / math.hypot(1, 0.3), 0.3 / math.hypot(1, 0.3), 0], abs=1e-9
    )
    assert len(diagram.branches) == 1
    fifth = branch_point(lambda x, mu: mu * x - x**5, "mu", (-0.5, 0.4), ZERO, parameters=(0.0,))
    assert fifth.kind == "pitchfork"


def test_cycles_of_every_size_are_no_branch_of_cycles():
    diagram = bifurcation_diagram(hopf_form, "mu", (-0.5, 0.4), torch.zeros(2), parameters=(0.0, 0.3, 0.0))
    (cycles,) = diagram.cycles
    assert cycles.ended == "at one value of the parameter, with cycles of every size"
    assert not cycles.stable[1:].any()
    assert diagram.hopf_points[0].first_lyapunov.item() == pytest.approx(0.0, abs=1e-12)
