import pytest
import torch

import torchdyn_neuro as tdn


def test_delays_start_uniform_strictly_inside_and_are_learned():
    torch.manual_seed(0)
    layer = tdn.DelayedLinear(60, 50, "uniform", max_delay=20.0, kernel="gaussian")
    delay = layer.delay()
    assert delay.shape == (50, 60)
    assert 0 < delay.min() < 0.5 < 19.5 < delay.max() < 20
    # A uniform distribution has a mean of 10 and a standard deviation of 5.77; of 3,000 draws the mean's is .11.
    assert abs(delay.mean().item() - 10) < 0.45
    assert delay.std().item() == pytest.approx(20 / 12**0.5, rel=0.05)
    layer(torch.rand(30, 2, 60)).square().sum().backward()
    assert (layer.delay.raw.grad != 0).all()


def test_what_a_uniform_start_needs():
    with pytest.raises(ValueError, match='DelayedLinear: expected max_delay with delay="uniform", got none; pass the'):
        tdn.DelayedLinear(3, 2, "uniform")
    with pytest.raises(ValueError, match="DelayedLinear: expected delay to be one of 'uniform', got 'normal'"):
        tdn.DelayedLinear(3, 2, "normal", max_delay=3.0)
