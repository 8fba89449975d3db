"""The loss of padded sequences is the mean of what each gives alone, and no gradient reaches the padding."""

import pytest
import torch
from torch import nn

from torchdyn_neuro import decoding, losses
from torchdyn_neuro.losses import (
    TET,
    EveryStep,
    FirstSpikeCrossEntropy,
    MembraneCrossEntropy,
    RateCrossEntropy,
    RateMSE,
    VanRossumDistance,
)

LENGTHS, LABELS = torch.tensor([1, 7, 20, 16]), torch.tensor([0, 2, 1, 1])
STEPS = 20


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


def outputs(spikes=False):
    y = drawn(STEPS, 4, 3)
    y = (y > 1).to(y.dtype) if spikes else y
    for row, length in enumerate(LENGTHS):
        y[length:, row] = torch.nan
    return y.requires_grad_()


def followed():
    target = drawn(STEPS, 4, 3)
    for row, length in enumerate(LENGTHS):
        target[length:, row] = torch.nan
    return target


STEADY = {
    "count": RateCrossEntropy(gain=0.7),
    "mean": MembraneCrossEntropy(label_smoothing=0.1),
    "max": MembraneCrossEntropy(decoding.MaxMembrane()),
    "votes": MembraneCrossEntropy(decoding.SoftmaxMembrane()),
    "first spikes": FirstSpikeCrossEntropy(label_smoothing=0.1),
    "rates": RateMSE(correct=0.8),
    "tet": TET(mixing=0.3),
    "every step": EveryStep(),
    "every step, smoothed": EveryStep(nn.CrossEntropyLoss(label_smoothing=0.1)),
    "every step, margin": EveryStep(nn.MultiMarginLoss()),
}
CASES = {name: (loss, LABELS) for name, loss in STEADY.items()} | {
    "trains": (VanRossumDistance(), followed()),
    "followed": (EveryStep(nn.MSELoss(), steady=False), followed()),
    "followed, batchmean": (EveryStep(nn.KLDivLoss(reduction="batchmean"), steady=False), followed().softmax(-1)),
}


SPIKING = {"count", "first spikes", "rates", "trains"}


@pytest.mark.parametrize("case", CASES)
def test_the_mean_of_what_each_row_gives_alone(case):
    loss, target = CASES[case]
    y = outputs(case in SPIKING)
    value = loss(y, target, LENGTHS)
    (slope,) = torch.autograd.grad(value, y)
    alone, slopes = [], torch.zeros_like(slope)
    for row, length in enumerate(LENGTHS.tolist()):
        own = y[:length, row : row + 1].detach().clone().requires_grad_()
        aim = target[row : row + 1] if target is LABELS else target[:length, row : row + 1]
        padded = y[:, row : row + 1].detach().clone().requires_grad_()
        wide = aim if target is LABELS else target[:, row : row + 1]
        one, same = loss(own, aim), loss(padded, wide, LENGTHS[row : row + 1])
        assert torch.equal(one, same)
        grads = torch.autograd.grad(one, own)[0], torch.autograd.grad(same, padded)[0]
        assert torch.equal(grads[0], grads[1][:length])
        assert not grads[1][length:].any()
        alone.append(one.detach())
        slopes[:length, row : row + 1] = grads[0] / 4
    torch.testing.assert_close(value.detach(), torch.stack(alone).mean())
    torch.testing.assert_close(slope, slopes)


def test_every_loss_is_here():
    kinds = {kind for name in losses.__all__ if hasattr(kind := getattr(losses, name), "forward")}
    kinds = {kind for kind in kinds if not issubclass(kind, losses.ActivityPenalty)} - {losses.DecodedLoss}
    assert kinds == {type(loss) for loss, _ in CASES.values()}


def test_weights_of_classes():
    weight = torch.tensor([1.0, 5.0, 2.0])
    y = outputs().detach()
    rows = [
        weight[k] * EveryStep()(y[:n, r : r + 1], LABELS[r : r + 1])
        for r, (n, k) in enumerate(zip(LENGTHS, LABELS, strict=True))
    ]
    loss = EveryStep(nn.CrossEntropyLoss(weight=weight))
    torch.testing.assert_close(loss(y, LABELS, LENGTHS), sum(rows) / weight[LABELS].sum())
    whole = drawn(5, 4, 3)
    expected = sum(nn.functional.cross_entropy(y_t, LABELS, weight) for y_t in whole) / 5
    torch.testing.assert_close(loss(whole, LABELS), expected)
    torch.testing.assert_close(loss(whole, LABELS, torch.full((4,), 5)), expected)


def test_labels_of_each_step_that_are_ignored():
    labels = torch.tensor([[0, -100], [1, 2]])
    y = drawn(2, 2, 3)
    expected = nn.functional.cross_entropy(y.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(EveryStep(steady=False)(y, labels), expected)


def test_a_criterion_that_cannot_be_had_for_each_row():
    with pytest.raises(
        TypeError, match=r"^EveryStep: expected a criterion with reduction='mean', .*got .*with 'sum'; "
    ):
        EveryStep(nn.MSELoss(reduction="sum"))
