import math

import torch

from torchdyn_neuro.losses import MembraneCrossEntropy, RateCrossEntropy

Y, LABELS = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]]]), torch.tensor([0])


def test_rate():
    torch.testing.assert_close(RateCrossEntropy()(Y, LABELS), torch.tensor(math.log(1 + math.exp(-1.0))))


def test_membrane():
    torch.testing.assert_close(MembraneCrossEntropy()(Y, LABELS), torch.tensor(math.log(1 + math.exp(-0.5))))
