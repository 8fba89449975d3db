import numpy as np
import torch

import torchdyn_neuro as tdn


def test_is_the_recursion_of_the_source():
    """H = V + (X - V) / tau_0, spike at 1, reset to 0."""
    start = 4.0
    x = np.random.default_rng(0).uniform(0.0, 3.0, 200)
    v, spikes = 0.0, []
    for n, current in enumerate(x):
        v = v + (current - v) / start
        if v >= 1.0:
            spikes.append(n)
            v = 0.0
    assert len(spikes) > 20
    cell = tdn.ParametricLIF(float(-1 / np.log(1 - 1 / start)))
    y = cell(torch.from_numpy(x).float().reshape(-1, 1, 1))
    assert y.flatten().nonzero().flatten().tolist() == spikes
    assert [name for name, _ in cell.named_parameters()] == ["tau_mem.raw"]


def test_takes_a_time_constant_per_neuron():
    cell = tdn.ParametricLIF(torch.tensor([5.0, 20.0, 80.0]))
    y = cell(torch.full((100, 2, 3), 1.5))
    assert y[:, 0].sum(0).tolist() == sorted(y[:, 0].sum(0).tolist(), reverse=True)
    y.sum().backward()
    assert (cell.tau_mem.raw.grad != 0).all()
