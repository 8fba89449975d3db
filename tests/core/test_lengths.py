"""What a model does with padded sequences: what mixes rows and steps leaves the padding out."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

import torchdyn_neuro as tdn
from torchdyn_neuro.core.lengths import total

LENGTHS = torch.tensor([3, 9, 5])
REAL = torch.arange(9)[:, None] < LENGTHS


def padded(*features):
    x = torch.randn(9, 3, *features, generator=torch.Generator().manual_seed(0))
    x[~REAL] = 100.0
    return x


def norm(features=4):
    torch.manual_seed(0)
    layer = nn.BatchNorm1d(features)
    with torch.no_grad():
        layer.weight.uniform_(0.5, 1.5)
        layer.bias.uniform_(0.5, 1.5)
    return layer


@pytest.mark.parametrize("container", [tdn.Stepwise, tdn.Chain])
def test_a_norm_over_the_batch_counts_real_frames_only(container):
    x, own, alone = padded(4).requires_grad_(), norm(), norm()
    with tdn.padded(LENGTHS):
        y = container(own)(x)
    expected = alone(x[REAL])
    assert torch.equal(y[REAL], expected)
    assert not y[~REAL].any()
    assert torch.equal(own.running_mean, alone.running_mean)
    assert torch.equal(own.running_var, alone.running_var)
    weights = torch.rand(9, 3, 4)
    (slope,) = torch.autograd.grad((y * weights).sum(), x, retain_graph=True)
    assert_close(slope, torch.autograd.grad((expected * weights[REAL]).sum(), x)[0])
    assert not slope[~REAL].any()
    # Outside the block, and in evaluation, all frames are frames.
    assert container(norm())(x)[~REAL].any()
    own.eval()
    with tdn.padded(LENGTHS):
        assert torch.equal(container(own)(x), own(x.flatten(0, 1)).unflatten(0, (9, 3)))


def test_dynamics_inside_a_folded_model():
    """Packed frames have no time axis; dynamics get it back."""
    inner = nn.Sequential(nn.Linear(4, 4), norm(), tdn.Unfolded(tdn.LIF(2.0)), nn.Linear(4, 2))
    x = padded(4)
    flat = nn.Sequential(inner[0], tdn.Stepwise(norm()), inner[2].dynamics, inner[3])
    with tdn.padded(LENGTHS):
        y, expected = tdn.Stepwise(inner)(x), flat(x)
    assert y[REAL].std() > 0
    assert torch.equal(y[REAL], expected[REAL])


def test_what_is_computed_again_for_the_gradient_knows_the_lengths():
    block = tdn.Stepwise(nn.Sequential(norm(), nn.Linear(4, 2)))
    x = padded(4).requires_grad_()
    with tdn.padded(LENGTHS):
        y, again = block(x), checkpoint(block, x, use_reentrant=False)
    slopes = [torch.autograd.grad(out[REAL].square().sum(), x)[0] for out in (y, again)]
    assert torch.equal(*slopes)


def test_a_row_runs_as_it_runs_alone():
    """Equations run forward in time: what comes behind changes nothing."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), tdn.Recurrent(tdn.ALIF(3.0), nn.Linear(8, 8)), nn.Linear(8, 2)).double()
    x = 3 * padded(4).double()
    y = net(x)
    for row, length in enumerate(LENGTHS):
        assert torch.equal(y[:length, row], net(x[:length])[:, row])


def test_reports_count_real_steps_only():
    x = torch.full((100, 2, 3), 2.0)
    with tdn.padded(torch.tensor([100, 30])):
        report = tdn.activity_report(tdn.LIF(), x)[""]
    alone = [tdn.LIF()(x[:n, :1]).sum() / 3 for n in (100, 30)]
    assert report.rate == pytest.approx(1000 * float(sum(alone)) / 130)


def test_what_all_rows_change_together_refuses():
    x = torch.rand(9, 3, 4)
    plastic = tdn.Chain(tdn.Plastic(nn.Linear(4, 2, bias=False), tdn.Hebbian(0.1), weights="mean"), tdn.LIF())
    homeostasis = tdn.LIF(adaptation=tdn.ThresholdHomeostasis(0.1, rows="mean"))
    with tdn.padded(LENGTHS):
        with pytest.raises(ValueError, match=r"^Plastic: expected weights='rows' for padded sequences, got 'mean': "):
            plastic(x)
        with pytest.raises(ValueError, match=r"^ThresholdHomeostasis: expected rows='each' for padded .*got 'mean': "):
            homeostasis(x)


def test_norms_inside_a_loop_over_time_refuse():
    learning = tdn.Chain(tdn.Plastic(nn.Linear(4, 2), tdn.Hebbian(0.1)), nn.BatchNorm1d(2), tdn.LIF())
    recurrent = tdn.Recurrent(tdn.LIF(), nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))
    for model in (learning, recurrent):
        with tdn.padded(LENGTHS):
            with pytest.raises(ValueError, match=r"expected no norm over the batch inside a loop .* for padded"):
                model(torch.rand(9, 3, 4))
            model.eval()(torch.rand(9, 3, 4))


def test_lengths_that_do_not_fit():
    layer, x = tdn.Stepwise(norm()), padded(4)
    with (
        tdn.padded(torch.tensor([3, 9])),
        pytest.raises(ValueError, match=r"^Stepwise: expected one length for each of"),
    ):
        layer(x)
    with tdn.padded(LENGTHS + 1), pytest.raises(ValueError, match=r"^Stepwise: expected lengths from 0 to 9, "):
        layer(x)
    with tdn.padded(torch.tensor([1, 0, 0])), pytest.raises(ValueError, match=r"^Stepwise: expected at least 2 real"):
        layer(x)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.float16])
def test_sums_in_every_type(dtype):
    y = (torch.rand(300, 3, 2, generator=torch.Generator().manual_seed(0)) < 0.5).to(dtype)
    assert total(y).dtype == y.sum(0).dtype or dtype is torch.float16
    assert torch.equal(total(y), y.sum(0).to(total(y).dtype))
