import pytest
import torch
from torch.testing import assert_close

from torchdyn_neuro.decoding import LastMembrane, MaxMembrane, MeanMembrane, SoftmaxMembrane, SpikeCount, SpikeRate

Y = torch.tensor([[[1.0, -2.0]], [[4.0, 0.0]], [[1.0, 5.0]]])


@pytest.mark.parametrize(
    ("decoder", "expected"),
    [(SpikeCount, [6.0, 3.0]), (MeanMembrane, [2.0, 1.0]), (LastMembrane, [1.0, 5.0]), (MaxMembrane, [4.0, 5.0])],
)
def test_values(decoder, expected):
    assert decoder()(Y).tolist() == [expected]


def test_wrong_shape():
    with pytest.raises(ValueError, match=r"expected the outputs of a network \[T, B, C\]"):
        SpikeCount()(torch.ones(2, 3))


@pytest.mark.parametrize("decoder", [SpikeCount(), SpikeRate(), MeanMembrane(), SoftmaxMembrane(), MaxMembrane()])
def test_narrow_types_are_read_in_float32(decoder):
    # In bfloat16 a count ends at 256, where one more is lost.
    y = torch.ones(300, 1, 2, dtype=torch.bfloat16)
    expected = decoder(y.float())
    kept = decoder.start(y[0])
    for y_t in y:
        kept = decoder.keep(kept, y_t)
    for found in (decoder(y), decoder.finish(kept, len(y))):
        assert found.dtype == torch.float32
        assert_close(found, expected)
