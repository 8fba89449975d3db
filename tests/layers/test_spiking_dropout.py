import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.layers import SpikingDropout


def test_one_mask_of_the_right_share_for_all_of_time():
    torch.manual_seed(0)
    x = 1 + torch.rand(6, 3, 4000)
    y = SpikingDropout(0.3)(x)
    mask = y != 0
    assert (mask == mask[0]).all()
    assert (mask[0, 0] != mask[0, 1]).any()
    torch.testing.assert_close(y[mask], (x / 0.7)[mask])
    # Of 12,000 draws the share has a standard deviation of .0042.
    assert abs(mask[0].float().mean() - 0.7) < 0.017


def test_a_stream_keeps_its_mask_and_evaluation_passes_everything():
    torch.manual_seed(0)
    live = tdn.Streaming(torch.nn.Sequential(SpikingDropout(0.5)))
    frames = torch.stack([live.step(torch.ones(2, 50)) for _ in range(3)])
    assert (frames == frames[0]).all()
    assert 0 < (frames == 0).float().mean() < 1
    live.reset()
    assert (live.step(torch.ones(2, 50)) != frames[0]).any()
    x = torch.rand(3, 2, 5)
    assert SpikingDropout(0.5).eval()(x) is x


def test_share_must_leave_something():
    with pytest.raises(ValueError, match=r"SpikingDropout: expected p from 0 to below 1, got 1\.0; with 1"):
        SpikingDropout(1.0)
