import pytest
import torch

from torchdyn_neuro.decoding import LastMembrane, MaxMembrane, MeanMembrane, SpikeCount

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
