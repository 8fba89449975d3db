"""A sequence in pieces and by steps: what a scan of the whole must be, bit for bit."""

import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import leaves


def scan_in_pieces_and_by_steps(cell, x, cut, seed=0):
    """The scan of the whole, after two pieces of it and single steps have given the same outputs and last states."""
    # Bit for bit is a promise of the definition; a compiled loop rounds otherwise than a step.
    with tdn.backend("eager"):
        torch.manual_seed(seed)
        whole, last = cell.scan(x)
        torch.manual_seed(seed)
        first, state = cell.scan(x[:cut])
        second, end = cell.scan(x[cut:], state)
        assert torch.equal(torch.cat([first, second]), whole)
        torch.manual_seed(seed)
        state, rows = cell.initial_state(x[0]), []
        for x_t in x:
            y_t, state = cell.step(x_t, state)
            rows.append(y_t)
        assert torch.equal(torch.stack(rows), whole)
    for a, b, c in zip(leaves(last), leaves(end), leaves(state), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)
    return whole
