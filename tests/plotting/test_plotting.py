"""What the figures show, read back from their axes."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.plotting import fi_curve, phase_plane, raster, traces

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


def test_fi_curve_shows_the_rate_of_the_equation():
    currents = [0.5, 1.5, 3.0]
    ax = fi_curve(tdn.LIF(reset="value", dt=0.1), currents, duration=1000.0)
    rates = ax.lines[0].get_ydata()
    expected = [1000 / (20 * np.log(i / (i - 1))) for i in currents[1:]]
    assert rates[0] == 0
    np.testing.assert_allclose(rates[1:], expected, rtol=0.03)  # counted over 1 s, intervals on the grid


def test_phase_plane_draws_the_nullclines():
    cell = tdn.Izhikevich()
    ax = phase_plane(cell, 10.0, x=("v", -80.0, -40.0), y=("u", -30.0, 20.0), labels=("v (mV)", "u (mV/ms)"))
    curves = [
        np.concatenate([path.vertices for path in c.get_paths()])
        for c in ax.collections
        if "ContourSet" in str(type(c))
    ]
    v, u = curves[0].T
    np.testing.assert_allclose(u, 0.04 * v**2 + 5 * v + 150, atol=0.3)  # drawn on a grid
    v, u = curves[1].T
    np.testing.assert_allclose(u, 0.2 * v, atol=0.05)
    assert ax.get_xlabel() == "v (mV)"


def test_errors_name_what_came():
    with pytest.raises(ValueError, match="raster: expected"):
        raster(torch.zeros(2, 2, 2))
    with pytest.raises(ValueError, match="traces: expected spikes"):
        traces(torch.zeros(3), spikes=torch.zeros(2))
    with pytest.raises(ValueError, match="fi_curve: expected"):
        fi_curve(tdn.LIF(), [[1.0]])
    with pytest.raises(ValueError, match="'w'"):
        phase_plane(tdn.Izhikevich(), 0.0, x=("v", -80.0, -40.0), y=("w", 0.0, 1.0))


def test_the_package_loads_no_matplotlib():
    code = "import sys, torchdyn_neuro, torchdyn_neuro.plotting; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
