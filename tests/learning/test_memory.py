"""What is kept does not grow with the length of the sequence."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

import torchdyn_neuro as tdn
from torchdyn_neuro import losses
from torchdyn_neuro.learning import BPTT, RTRL, TBPTT, EProp, LocalLosses, ThreeFactor

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:FutureWarning")


class Peak(TorchDispatchMode):
    """The most bytes of tensors that are alive at once among those that operators inside have made."""

    def __init__(self):
        super().__init__()
        self.alive, self.peak = WeakTensorKeyDictionary(), 0
        self.calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for made in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(made, torch.Tensor) and _has_memory(made):
                self.alive[made] = None
        self.calls += 1
        if self.calls % 8 == 0:
            storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in self.alive}
            self.peak = max(self.peak, sum(storages.values()))
        return result


def _has_memory(tensor):
    """Whether a tensor is one, and no stand-in for many."""
    try:
        return tensor.untyped_storage().data_ptr() != 0
    except RuntimeError:
        return False


def peak(method, steps, hidden=8):
    """The peak of a whole learning step, the input apart."""
    torch.manual_seed(0)
    layer = tdn.Recurrent(tdn.LIF(4.0), nn.Linear(hidden, hidden))
    model = nn.Sequential(nn.Linear(4, hidden), layer, nn.Linear(hidden, 2), tdn.LeakyIntegrator(3.0))
    method.prepare(model)
    x, labels = torch.rand(steps, 3, 4), torch.tensor([0, 1, 0])
    with tdn.backend("eager"), Peak() as watching:
        method(model, x, labels, losses.MembraneCrossEntropy()).loss.backward()
    # Views of the input count among what operators have made.
    return watching.peak - x.nbytes


METHODS = {
    "e-prop": lambda: EProp(block=5),
    "e-prop, at the end": lambda: EProp(error="end", block=5),
    "e-prop, adaptive": lambda: EProp("adaptive", block=5),
    "three factors": lambda: ThreeFactor(block=5),
    "three factors, STDP": lambda: ThreeFactor("stdp", block=5),
    "local losses": lambda: LocalLosses(block=5),
    "truncated": lambda: TBPTT(steps=5),
}


@pytest.mark.parametrize("name", METHODS)
def test_memory_is_flat(name):
    short, long = peak(METHODS[name](), 15), peak(METHODS[name](), 40)
    assert long < 1.2 * short  # looked at every few operators; BPTT grows by the length, 2.7


def test_real_time_recurrent_learning_too():
    assert peak(RTRL(), 12, hidden=2) < 1.1 * peak(RTRL(), 4, hidden=2)


def test_that_of_back_propagation_grows():
    """What the tests above rely on."""
    assert peak(BPTT(), 60) > 2 * peak(BPTT(), 20)
