"""What the figures show, read back from their axes."""

import matplotlib
import numpy as np
import pytest
import torch

from torchdyn_neuro import analysis
from torchdyn_neuro.plotting import (
    bifurcation_diagram,
    eigenvalue_plane,
    fi_curve,
    phase_plane,
    raster,
    spectrum,
    traces,
)

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    matplotlib.pyplot.close("all")


def test_raster_marks_each_spike_at_the_end_of_its_step():
    ax = raster(torch.tensor([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]), dt=0.5)
    np.testing.assert_allclose(ax.collections[0].get_offsets(), [[0.5, 1], [1.5, 0]])
    assert ax.get_xlabel() == "time (ms)"


def test_traces_draw_the_spikes_that_the_reset_has_hidden():
    ax = traces(torch.tensor([1.0, 2.0, 0.0], requires_grad=True), dt=2.0, spikes=[0, 0, 1], v_peak=9.0)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[2, 1], [4, 2], [6, 9]])
    assert "(mV)" in ax.get_ylabel()


def test_populations_have_a_color_and_a_name_each():
    spikes = torch.zeros(5, 3)
    spikes[[1, 2, 4], [0, 2, 1]] = 1
    ax = raster(spikes, populations={"E": 2, "I": 1})
    first, second = (collection.get_offsets().tolist() for collection in ax.collections)
    assert sorted(first) == [[2, 0], [5, 1]]
    assert second == [[3, 2]]
    assert [text.get_text() for text in ax.texts] == ["E", "I"]
    assert ax.collections[0].get_facecolor().tolist() != ax.collections[1].get_facecolor().tolist()


def test_fi_curve_shows_rates_over_currents():
    ax = fi_curve([0.5, 1.5], torch.tensor([0.0, 45.0]), label="current (nA)")
    assert ax.lines[0].get_xydata().tolist() == [[0.5, 0.0], [1.5, 45.0]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("current (nA)", "rate (Hz)")


def pair(x, current):
    e, i = x.unbind(-1)
    return torch.stack(
        [(-e + torch.sigmoid(16 * e - 12 * i + current)) / 10, (-i + torch.sigmoid(15 * e - 3 * i - 4)) / 10], -1
    )


def test_phase_plane_shows_all_that_is_in_it():
    plane = analysis.phase_plane(
        pair,
        x=(0, 0.0, 1.0),
        y=(1, 0.0, 1.0),
        points=25,
        starts=torch.tensor([[0.1, 0.1]]),
        times=torch.arange(0.0, 30.0),
        parameters=(-1.0,),
    )
    ax = phase_plane(plane, trajectory=([0.1, 0.2], [0.3, 0.4]), labels=("E", "I"))
    drawn = [line.get_xydata() for line in ax.lines]
    curves = [*plane.nullclines.x, *plane.nullclines.y]
    assert len(drawn) == len(curves) + 3  # a trajectory of each kind, the fixed point
    for curve, line in zip(curves, drawn, strict=False):
        np.testing.assert_array_equal(curve, line)
    np.testing.assert_array_equal(drawn[-3], plane.trajectories[0])
    np.testing.assert_array_equal(drawn[-1], plane.fixed_points)
    assert ax.lines[-1].get_markerfacecolor() == "white"  # an unstable focus
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("E", "I")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [r"$\dot {x}_{0} = 0$", r"$\dot {x}_{1} = 0$"]


def test_eigenvalue_plane_has_rates_and_frequencies():
    values = torch.tensor([-0.1 + 0.2j, -0.1 - 0.2j, 0.3], requires_grad=True)
    ax = eigenvalue_plane(values)
    expected = [[-0.1, 200 / (2 * np.pi)], [-0.1, -200 / (2 * np.pi)], [0.3, 0.0]]
    np.testing.assert_allclose(ax.collections[0].get_offsets(), expected, rtol=1e-6)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("growth rate (1/ms)", "frequency (Hz)")


def test_bifurcation_diagram_dashes_what_is_unstable():
    diagram = analysis.bifurcation_diagram(
        lambda r, i: -r + torch.sigmoid(8 * r + i), "i", (-6.0, -2.0), torch.zeros(1), parameters=(0.0,)
    )
    ax = bifurcation_diagram(diagram, labels=("input", "rate"))
    styles = [line.get_linestyle() for line in ax.lines]
    assert styles == ["-", "--", "-", "None"]
    folds = ax.lines[-1].get_xydata()
    np.testing.assert_allclose(folds[:, 0], [point.parameter for point in diagram.folds])
    assert sum(len(line.get_xdata()) for line in ax.lines[:3]) == len(diagram.branches[0].parameter) + 2
    assert ax.get_xlabel() == "input"
    with pytest.raises(ValueError, match="component below 1"):
        bifurcation_diagram(diagram, component=1)


def test_spectrum_leaves_out_the_mean():
    wave = torch.sin(2 * np.pi * 0.04 * torch.arange(500))
    found = analysis.power_spectrum(torch.stack([wave, wave + 1], -1))
    ax = spectrum(*found, highest=100.0, unit="mV")
    frequency, power = ax.lines[-1].get_xydata().T
    assert frequency[0] > 0
    assert frequency[power.argmax()] == 40.0
    assert len(ax.lines) == 3
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("frequency (Hz)", "power (mV²/Hz)")
    assert ax.get_xlim() == (0.0, 100.0)


def test_errors_name_what_came():
    with pytest.raises(ValueError, match="raster: expected"):
        raster(torch.zeros(2, 2, 2))
    with pytest.raises(ValueError, match="raster: expected populations of 2"):
        raster(torch.zeros(2, 2), populations={"E": 3})
    with pytest.raises(ValueError, match="traces: expected spikes"):
        traces(torch.zeros(3), spikes=torch.zeros(2))
    with pytest.raises(ValueError, match="fi_curve: expected"):
        fi_curve([1.0], [[1.0]])
    with pytest.raises(ValueError, match="eigenvalue_plane: expected"):
        eigenvalue_plane(torch.zeros(2, 2, 2))
    with pytest.raises(ValueError, match="spectrum: expected"):
        spectrum(torch.zeros(3), torch.zeros(2))
