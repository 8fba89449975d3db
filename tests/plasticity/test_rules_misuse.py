"""Learning rules where a number would be wrong without a word: absent weights, values of neurons, empty batches."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

WEIGHTS = ["rows", "mean", "sum"]


def test_rules_in_a_row_do_not_count_absent_weights():
    """What Hebb's rule asks for where there is no connection is not there for the sum that comes next."""
    torch.manual_seed(0)
    sparse = tdn.sparse(nn.Linear(6, 4, bias=False), 0.5)
    with torch.no_grad():
        sparse.parametrizations.weight.original.abs_()
    rule = tdn.Rules(tdn.Hebbian(0.1, w_min=0.05), tdn.WeightNormalization(total=1.0))
    _, (state, _) = tdn.Chain(tdn.Plastic(sparse, rule), tdn.LeakyIntegrator()).scan(torch.rand(5, 2, 6))
    there = sparse.parametrizations.weight[0].mask.any(-1)
    assert there.any()
    assert_close(state.weight.sum(-1)[:, there], torch.ones(2, int(there.sum())))
