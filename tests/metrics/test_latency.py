"""Times of decisions, found by looking at every prefix."""

import pytest
import torch

from torchdyn_neuro import decoding
from torchdyn_neuro.metrics import LatencyToDecision, decision_steps

DECODERS = [kind() for name in decoding.__all__ if isinstance(kind := getattr(decoding, name), type)]


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: type(decoder).__name__)
def test_every_prefix(decoder):
    y, lengths = torch.randn(12, 6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([12, 1, 5, 8, 12, 3])
    expected = []
    for row, length in enumerate(lengths.tolist()):
        said = [decoder(y[:n, row : row + 1]).argmax().item() for n in range(1, length + 1)]
        expected.append(next(n for n in range(1, length + 1) if set(said[n - 1 :]) == {said[-1]}))
    assert decision_steps(decoder, y, lengths).tolist() == expected
    assert len(set(expected)) > 1


def test_the_mean_over_all_batches():
    y = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 3.0], [1.0, 0.0]]])
    metric = LatencyToDecision(decoding.SpikeCount(), dt=0.5)
    metric.update(y)
    metric.update(y[:, :1], torch.tensor([1]))
    assert metric.compute() == pytest.approx(0.5 * (2 + 1 + 1) / 3)
    with pytest.raises(ValueError, match=r"^LatencyToDecision: expected dt above 0 ms, got 0"):
        LatencyToDecision(decoding.SpikeCount(), dt=0)
