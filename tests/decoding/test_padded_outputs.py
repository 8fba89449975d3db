"""A padded row is read, bit for bit, as it is read alone, whatever stands in its padding."""

import pytest
import torch

from torchdyn_neuro import decoding
from torchdyn_neuro.decoding.decoder import Decoder

DECODERS = [kind() for name in decoding.__all__ if isinstance(kind := getattr(decoding, name), type)]
LENGTHS = torch.tensor([1, 7, 20, 37, 16])


def padded(dtype=torch.float32, steps=37):
    y = torch.randn(steps, 5, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    for row, length in enumerate(LENGTHS):
        y[length:, row] = torch.nan
    return y.requires_grad_()


def test_every_decoder_is_here():
    known = {kind for kind in Decoder.__subclasses__() if kind.__module__.startswith("torchdyn_neuro.decoding.")}
    assert known == {type(decoder) for decoder in DECODERS}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: type(decoder).__name__)
def test_each_row_as_alone(decoder, dtype):
    y = padded(dtype)
    decoded = decoder(y, LENGTHS)
    weights = torch.rand(decoded.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    (slope,) = torch.autograd.grad((decoded * weights).sum(), y)
    assert torch.isfinite(decoded).all()
    assert decoded.std(0).min() > 0
    for row, length in enumerate(LENGTHS.tolist()):
        alone = y[:length, row : row + 1].detach().clone().requires_grad_()
        expected = decoder(alone)
        assert torch.equal(decoded[row : row + 1], expected)
        assert torch.equal(decoder(alone, torch.tensor([length])), expected)
        (own,) = torch.autograd.grad((expected * weights[row]).sum(), alone)
        assert torch.equal(slope[:length, row : row + 1], own)
        assert not slope[length:, row].any()


@pytest.mark.parametrize("decoder", [d for d in DECODERS if d.keep is not None], ids=lambda d: type(d).__name__)
def test_what_is_kept_comes_to_the_same(decoder):
    y = padded(torch.float64).detach()
    kept, ends = decoder.start(y[0]), {}
    for step, y_t in enumerate(y, start=1):
        kept = decoder.keep(kept, y_t)
        ends |= {row: kept[row] for row in range(5) if LENGTHS[row] == step}
    kept = torch.stack([ends[row] for row in range(5)])
    torch.testing.assert_close(decoder.finish(kept, LENGTHS[:, None]), decoder(y, LENGTHS))


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        (
            torch.tensor([3, 3]),
            r"^SpikeCount: expected one length for each of the 5 rows, got shape \(2,\); pass \[B\]",
        ),
        (torch.tensor([3, 0, 1, 1, 1]), r"^SpikeCount: expected lengths from 1 to 37, .*got 0 to 3; "),
        (torch.tensor([3, 38, 1, 1, 1]), r"^SpikeCount: expected lengths from 1 to 37, .*got 1 to 38; "),
        (torch.ones(5), r"^SpikeCount: expected lengths as a tensor of whole numbers \[B\], got torch.float32; "),
        ([1, 1, 1, 1, 1], r"^SpikeCount: expected lengths as a tensor of whole numbers \[B\], got list; "),
        (torch.ones(37, 5, dtype=torch.bool), r"^SpikeCount: expected lengths .*got torch.bool; .*mask.sum\(0\)"),
    ],
)
def test_wrong_lengths(lengths, words):
    with pytest.raises((ValueError, TypeError), match=words):
        decoding.SpikeCount()(padded(), lengths)


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: type(decoder).__name__)
def test_spikes_as_truth_values(decoder):
    spikes = padded().detach() > 0.5
    assert torch.equal(decoder(spikes, LENGTHS), decoder(spikes.float(), LENGTHS))
    assert torch.equal(decoder(spikes), decoder(spikes.float()))
