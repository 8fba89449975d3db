"""Nullclines, phase planes and f-I curves."""

import math

import pytest
import torch

import torchdyn_neuro as tdn
from tests.analysis.systems import EI, Rate, ei_network, ei_pair
from torchdyn_neuro.analysis import f_i_curve, nullclines, phase_plane

SQUARE = {"x": (0, 0.0, 1.0), "y": (1, 0.0, 1.0)}


def test_nullclines_lie_on_the_curves():
    cell = tdn.Izhikevich()
    at = {"input": torch.full((1, 1), 10.0), "between_spikes": True}
    found = nullclines(cell, x=("v", -80.0, -40.0), y=("u", -30.0, 20.0), points=40, **at)
    v, u = torch.cat(found.x).T
    torch.testing.assert_close(u, 0.04 * v**2 + 5 * v + 150, rtol=0, atol=1e-6)
    v, u = torch.cat(found.y).T
    torch.testing.assert_close(u, 0.2 * v, rtol=1e-9, atol=1e-9)
    assert v.amin().item() == pytest.approx(-80)
    pair = nullclines(ei_pair, **SQUARE, points=60, parameters=EI)
    for curves, which in ((pair.x, 0), (pair.y, 1)):
        assert ei_pair(torch.cat(curves), *EI)[:, which].abs().max() < 1e-12


def test_other_variables_are_held():
    """Of three variables the plane is cut at the state that is given."""

    def field(s):
        a, b, c = s.unbind(-1)
        return torch.stack([b - a * c, a - b, -c], -1)

    found = nullclines(field, **SQUARE, others=torch.tensor([0.0, 0.0, 0.5]))
    a, b = torch.cat(found.x).T
    torch.testing.assert_close(b, 0.5 * a, rtol=0, atol=1e-12)


def test_phase_plane_of_the_pair():
    network, current = ei_network()
    plane = phase_plane(
        network,
        **SQUARE,
        points=30,
        starts=torch.tensor([[0.1, 0.1], [0.9, 0.2]]),
        times=torch.arange(0.0, 50.0),
        input=current,
    )
    assert plane.kinds == ["unstable focus"]
    assert plane.trajectories.shape == (2, 50, 2)
    assert plane.trajectories[1, 0].tolist() == pytest.approx([0.9, 0.2])
    grid = torch.stack(torch.meshgrid(plane.x, plane.y, indexing="xy"), -1)
    torch.testing.assert_close(plane.rates, ei_pair(grid, *EI), rtol=1e-9, atol=1e-12)
    swapped = phase_plane(network, x=(1, 0.0, 1.0), y=(0, 0.0, 1.0), points=30, input=current)
    torch.testing.assert_close(swapped.fixed_points, plane.fixed_points.flip(1))
    outside = phase_plane(network, x=(0, 0.6, 1.0), y=(1, 0.0, 1.0), points=30, input=current)
    assert outside.kinds == []


def test_wrong_planes():
    cell, at = tdn.Izhikevich(), {"input": torch.zeros(1, 1), "between_spikes": True}
    with pytest.raises(ValueError, match=r"one of v, u .*'w'"):
        nullclines(cell, x=("v", -80.0, -40.0), y=("w", 0.0, 1.0), **at)
    with pytest.raises(ValueError, match="rising range"):
        nullclines(cell, x=("v", -40.0, -80.0), y=("u", 0.0, 1.0), **at)
    with pytest.raises(ValueError, match="two different variables"):
        nullclines(cell, x=("v", -80.0, -40.0), y=("v", -80.0, -40.0), **at)
    with pytest.raises(ValueError, match="starts and times"):
        phase_plane(ei_pair, **SQUARE, starts=torch.zeros(1, 2), parameters=EI)
    with pytest.raises(ValueError, match="threshold of Izhikevich"):
        nullclines(cell, x=("v", -80.0, -40.0), y=("u", 0.0, 1.0), input=torch.zeros(1, 1))


def test_f_i_curve():
    currents = [0.5, 1.5, 3.0]
    rates = f_i_curve(tdn.LIF(reset="value", dt=0.1), currents)
    expected = [1000 / (20 * math.log(i / (i - 1))) for i in currents[1:]]
    assert rates[0] == 0
    assert rates[1:].tolist() == pytest.approx(expected, rel=0.03)  # counted over 1 s, intervals on the grid
    steady = f_i_curve(Rate(), [-1.0, 1.0], duration=10.0, settle=300.0)
    torch.testing.assert_close(steady, torch.sigmoid(torch.tensor([-1.0, 1.0])), rtol=1e-5, atol=0)
    with pytest.raises(ValueError, match="f_i_curve: expected"):
        f_i_curve(tdn.LIF(), [[1.0]])
    with pytest.raises(TypeError, match="expected a Dynamics"):
        f_i_curve(torch.nn.Linear(1, 1), [1.0])
