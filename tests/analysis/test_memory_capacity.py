"""Memory of delay lines, of which it is known."""

import pytest
import torch

from torchdyn_neuro.analysis import memory_capacity


def test_a_delay_line_remembers_what_it_holds():
    u = torch.randn(3000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    held = torch.stack([u.roll(k, 0) for k in (0, 2, 5)], -1)
    # Any readout is free to unmix them.
    mixed = held @ torch.tensor([[1.0, 2.0, 0.5], [0.0, 1.0, 1.0], [3.0, 0.0, 1.0]], dtype=torch.float64) + 7
    found = memory_capacity(u[10:], mixed[10:], longest=7)
    assert found[[0, 2, 5]].tolist() == pytest.approx([1, 1, 1], abs=1e-9)
    assert found[[1, 3, 4, 6, 7]].max() < 0.01


def test_a_noisy_copy_counts_for_its_share_of_the_variance():
    generator = torch.Generator().manual_seed(0)
    u, noise = torch.randn(2, 20_000, generator=generator)
    found = memory_capacity(u, (u + noise)[:, None], longest=0)
    assert found.item() == pytest.approx(0.5, abs=0.02)
    assert memory_capacity(u, torch.ones(20_000, 1), longest=0).item() == 0


def test_wrong_use():
    u = torch.rand(100)
    with pytest.raises(ValueError, match=r"memory_capacity: expected a signal .* got \(100,\) and \(99, 2\)"):
        memory_capacity(u, torch.rand(99, 2), longest=3)
    with pytest.raises(
        ValueError, match="memory_capacity: expected at least 100 steps behind the first 50 for 10 units"
    ):
        memory_capacity(u, torch.rand(100, 10), longest=50)
    with pytest.raises(TypeError, match=r"memory_capacity: expected signal of floats, got torch\.int64"):
        memory_capacity(u.long(), torch.rand(100, 2), longest=3)
