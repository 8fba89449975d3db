"""Synapses with everything learned, alone and before a neuron, run fused and give what the eager loop gives."""

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro import Learned

from .agreement import assert_agrees

NEURONS = 7
SLOW = torch.linspace(20.0, 90.0, NEURONS)
FAST = torch.linspace(1.0, 6.0, NEURONS)


def spikes(count: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return count * (torch.rand(30, 3, NEURONS, generator=generator) < 0.3).double()


@pytest.mark.parametrize("form", ["tm", "m98", "text"])
def test_short_term_plasticity_with_several_spikes_per_step(form):
    synapse = tdn.TsodyksMarkram(Learned(0.3), Learned(50.0), Learned(SLOW), form=form, max_count=2)
    assert_agrees(synapse.double(), spikes(2), relative=1e-12)


@pytest.mark.parametrize(("tau_f", "tau_d"), [(None, 50.0), (50.0, None)], ids=["depression", "facilitation"])
def test_one_kind_of_short_term_plasticity(tau_f, tau_d):
    learned = [None if tau is None else Learned(tau) for tau in (tau_f, tau_d)]
    assert_agrees(tdn.TsodyksMarkram(Learned(0.3), *learned).double(), spikes(), relative=1e-12)


@pytest.mark.parametrize("normalize", ["peak", "area"])
def test_kernels_with_a_rise(normalize):
    assert_agrees(tdn.AlphaSynapse(Learned(4.0), normalize=normalize).double(), spikes(), relative=1e-12)
    # One neuron's rise is as long as its decay, where the difference of exponentials reads 0/0.
    assert (FAST - 3.5).abs().min() == 0
    double = tdn.DoubleExponentialSynapse(Learned(FAST), Learned(3.5), normalize=normalize)
    assert_agrees(double.double(), spikes(), relative=1e-12)


def test_means_over_the_step():
    for synapse in (
        tdn.ExponentialSynapse(Learned(FAST), normalize="area", output="mean"),
        tdn.AlphaSynapse(Learned(FAST), output="mean"),
        tdn.DoubleExponentialSynapse(Learned(FAST), Learned(3.5), output="mean"),
    ):
        assert_agrees(synapse.double(), spikes(), relative=1e-12)


@pytest.mark.parametrize("output", ["end", "mean"])
def test_conductances_of_several_receptors(output):
    receptors = [tdn.AMPA(tau_decay=Learned(2.0)), tdn.NMDA(tau_rise=Learned(2.0)), tdn.GABA_A()]
    synapse = tdn.ConductanceSynapse(receptors, output=output)
    assert_agrees(synapse.double(), (spikes(), spikes(2), spikes().flip(0)), relative=1e-12)


def test_a_chain_from_spikes_to_spikes_is_one_loop():
    plasticity = tdn.TsodyksMarkram(Learned(0.3), Learned(50.0), Learned(20.0))
    chain = tdn.Chain(plasticity, tdn.ExponentialSynapse(Learned(5.0)), tdn.LIF(Learned(20.0), v_th=0.1))
    (fired, *_), _ = assert_agrees(chain.double(), spikes(), relative=1e-12)
    assert 0 < fired.mean() < 0.5
