import numpy as np
import torch
from scipy.signal import lfilter
from torch.testing import assert_close

import torchdyn_neuro as tdn


def test_is_a_linear_filter_and_a_threshold():
    x = np.random.default_rng(0).normal(1.0, 1.5, (200, 2, 3))
    kept = np.exp(-1 / 20.0)
    v = 0.25 + lfilter([2.0 * (1 - kept)], [1.0, -kept], x, axis=0)
    cell = tdn.ParallelLIF(20.0, R=2.0, v_rest=0.25).double()
    seen = tdn.record(cell, torch.from_numpy(x), ["v", "output"])
    assert 0 < seen["output"].sum() < seen["output"].numel()
    assert_close(seen["v"], torch.from_numpy(v))
    assert torch.equal(seen["output"], (torch.from_numpy(v) >= 1.0).double())


def test_gradient_through_time_passes_no_surrogate():
    cell, x = tdn.ParallelLIF(20.0).double(), torch.full((60, 1, 1), 3.0, dtype=torch.float64, requires_grad=True)
    y, state = cell.scan(x)
    assert y.sum() > 40
    state.v.sum().backward()
    age = torch.arange(59, -1, -1, dtype=torch.float64)
    assert_close(x.grad.flatten(), (1 - np.exp(-1 / 20)) * torch.exp(-age / 20))
