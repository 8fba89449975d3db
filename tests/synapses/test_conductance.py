import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn


def arrivals(receptors=4, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(60, 2, receptors, 5, generator=generator) < 0.1).to(dtype)


def four():
    return [tdn.AMPA(), tdn.NMDA(), tdn.GABA_A(), tdn.GABA_B()]


def test_each_receptor_is_the_filter_of_its_time_constants():
    x = arrivals(dtype=torch.float64)
    g = tdn.ConductanceSynapse(four()).double()(x)
    filters = [
        tdn.ExponentialSynapse(2.0),
        tdn.DoubleExponentialSynapse(2.0, 100.0),
        tdn.ExponentialSynapse(5.0),
        tdn.DoubleExponentialSynapse(50.0, 200.0),
    ]
    for index, (conductance, reference) in enumerate(zip(g, filters, strict=True)):
        assert conductance.max() > 0.5
        assert_close(conductance, reference.double()(x[:, :, index]))


def test_one_spike_raises_the_conductance_to_its_weight():
    x = torch.zeros(600, 1, 4, 1, dtype=torch.float64)
    x[0] = 2.5
    for conductance in tdn.ConductanceSynapse(four()).double()(x):
        assert_close(conductance.max().item(), 2.5, rtol=1e-3, atol=0)  # the peak may fall between two steps
        assert (conductance >= 0).all()


def test_a_tuple_and_a_tensor_with_an_axis_of_receptors_are_the_same():
    synapse, x = tdn.ConductanceSynapse(four()), arrivals()
    y, state = synapse.scan(x)
    for one, other in zip(y, synapse(tuple(x.unbind(2))), strict=True):
        assert_close(one, other, rtol=0, atol=0)
    y_t, _ = synapse.step(x[0], state)
    assert [part.shape for part in y_t] == [(2, 5)] * 4


def test_a_tensor_for_a_single_receptor_is_its_input_as_for_the_cell():
    x = arrivals()[:, :, 0]
    for receptors in ([tdn.GABA_A()], [tdn.NMDA()]):
        (g,) = tdn.ConductanceSynapse(receptors)(x)
        assert_close(g, tdn.ConductanceSynapse(receptors)((x,))[0], rtol=0, atol=0)
        assert g.shape == tdn.ConductanceLIF(receptors)(g).shape == x.shape


def test_behind_one_linear_layer():
    net = nn.Sequential(nn.Linear(7, 10), nn.Unflatten(-1, (2, 5)), tdn.ConductanceSynapse())
    ampa, gaba = net(torch.rand(8, 3, 7))
    assert ampa.shape == gaba.shape == (8, 3, 5)
    (ampa.sum() + gaba.sum()).backward()
    assert net[0].weight.grad.abs().sum() > 0


def test_bfloat16_input_keeps_a_float32_state():
    y, state = tdn.ConductanceSynapse(four()).scan(arrivals(dtype=torch.bfloat16))
    assert {part.dtype for part in y} == {torch.bfloat16}
    assert {leaf.dtype for part in state for leaf in part if isinstance(leaf, torch.Tensor)} == {torch.float32}


def test_streaming_is_the_whole():
    synapse, x = tdn.ConductanceSynapse(four()), arrivals()
    live = tdn.Streaming(synapse)
    pieces = [live(x[:20]), live(x[20:])]
    for whole, *parts in zip(synapse(x), *pieces, strict=True):
        assert_close(torch.cat(parts), whole, rtol=0, atol=0)


def test_current_voltage_curve_of_nmda():
    v = np.linspace(-100, 60, 321)
    block = 1 / (1 + 1.0 / 3.57 * np.exp(-0.062 * v))
    expected = 3.0 * block * (0.0 - v)
    receptor = tdn.NMDA()
    potential = torch.tensor(v)
    current = receptor.conductance(torch.tensor(3.0, dtype=torch.float64), potential) * (receptor.E_rev() - potential)
    assert_close(current, torch.tensor(expected), rtol=1e-6, atol=1e-9)
    # The region of negative slope: depolarisation from rest increases the inward current up to about -25 mV.
    assert -30 < v[current.argmax()] < -15
    assert current[v == -70] < 0.3 * current.max()
    ohmic = 3.0 * (0.0 - potential)
    assert (current[v > 40] / ohmic[v > 40]).min() > 0.95


def test_wrong_arguments():
    with pytest.raises(TypeError, match=r"expected receptors, which have a reversal potential, got ExponentialSynapse"):
        tdn.ConductanceSynapse([tdn.AMPA(), tdn.ExponentialSynapse()])
    with pytest.raises(ValueError, match="expected at least one receptor"):
        tdn.ConductanceSynapse([])
    with pytest.raises(TypeError, match="E_rev"):
        tdn.Receptor()
    expected = r"ConductanceSynapse: expected one input \[T, B, \*\] for each of AMPA, GABA_A, "
    with pytest.raises(ValueError, match=r"for each of AMPA, GABA_A, got a tensor of shape \(5, 1, 3, 4\)"):
        tdn.ConductanceSynapse()(torch.zeros(5, 1, 3, 4))
    with pytest.raises(ValueError, match=expected + "all of one shape, got 1 of"):
        tdn.ConductanceSynapse()((torch.zeros(5, 1, 3),))
    with pytest.raises(ValueError, match=expected + "all of one shape, got 2 of"):
        tdn.ConductanceSynapse()((torch.zeros(5, 1, 3), torch.zeros(5, 1, 4)))
    with pytest.raises(ValueError, match=r"ConductanceSynapse: expected GABA_A.tau_decay to broadcast to the neurons"):
        tdn.ConductanceSynapse([tdn.AMPA(), tdn.GABA_A(tau_decay=torch.ones(3))])(torch.zeros(5, 1, 2, 4))
