"""What torch.export makes of a model by itself: the steps of a sequence of fixed length, from the initial state."""

import pytest
import torch
from torch.testing import assert_close

from tests.export.models import example
from torchdyn_neuro.core.state import map_state


@pytest.mark.parametrize("name", ["chain", "sequential with a convolution", "recurrent with a delay", "conductances"])
def test_a_sequence_of_fixed_length_is_written_out_step_by_step(name):
    model, x = example(name, 6, 3)
    with torch.no_grad():
        program = torch.export.export(model, (x,))
        other = map_state(lambda leaf: leaf.flip(0), x)
        y, expected = program.module()(other), model(other)
    assert expected.unique().numel() > 1
    assert_close(y, expected, rtol=1e-5, atol=1e-5)
    assert not [node for node in program.graph.nodes if "torchdyn_neuro" in str(node.target)]
    with pytest.raises((RuntimeError, AssertionError), match=r"to be equal to 6|Guard failed"):
        program.module()(map_state(lambda leaf: leaf[:4], x))
