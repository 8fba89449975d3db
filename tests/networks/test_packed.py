"""Synapses as they are packed: frozen weights, long rows."""

import math

import numpy as np
import pytest
import torch

import torchdyn_neuro as tdn
from tests.networks.small_networks import (
    DT,
    V_TH,
    one_input,
    same,
)
from torchdyn_neuro import wiring
from torchdyn_neuro.networks import Current, Poisson, Population, Projection, SpikingNetwork
from torchdyn_neuro.wiring import Given


def test_frozen_weights_of_16_bits():
    """Weights that 16 bits hold give the same spikes; others are rounded to the nearest."""
    generator = np.random.default_rng(1)
    pre, post, delay = generator.integers(300, size=6000), generator.integers(300, size=6000), np.full(6000, 0.5)
    weight = generator.integers(-10_000, 16_000, 6000) * 2.0**-11
    weight[0] = 32767 * 2.0**-11
    nets = []
    for noise in (0.0, 2.0**-13):
        rule = Given(*map(torch.tensor, (pre, post)), weight=torch.tensor(weight + noise), delay=torch.tensor(delay))
        cell = tdn.SynapticLIF(10.0, 2.0, v_th=V_TH, v_init=torch.linspace(0, 14, 300), dt=DT).double()
        population = Population(300, cell, drives=[Poisson(10_000.0, 1.5)])
        nets.append(SpikingNetwork({"N": population}, [Projection("N", "N", rule)], dtype=torch.float64, owners=2))
    exact, shifted = nets
    wanted = exact.run(50.0)
    before = exact.packed.nbytes
    assert len(wanted.spikes) > 300
    assert same(exact.freeze().run(50.0), wanted)
    assert exact.packed.nbytes < 0.5 * before
    assert shifted.freeze().packed.weights.max() == 32767
    apart = shifted.packed.weights.double() * shifted.packed.scale - exact.packed.weights.double() * exact.packed.scale
    assert apart.abs().max() < 2.0**-11


def test_frozen_sums_keep_within_32_bits():
    most = one_input(torch.ones(65_538)).freeze()
    assert most.run(0.2).state.cells[1].v.item() == pytest.approx(6553.8, rel=1e-5)
    for sign in (1.0, -1.0):
        with pytest.raises(
            ValueError, match=r"at most 65538 times the largest one, .* got 65539 times; run it without"
        ):
            one_input(sign * torch.ones(65_539)).freeze()
    with pytest.raises(ValueError, match="expected finite weights to freeze, got others"):
        one_input(torch.tensor([1.0, math.nan])).freeze()


def test_a_projection_without_synapses():
    none = Projection("A", "A", wiring.FixedProbability(0.0), 1.0, 0.5)
    net = SpikingNetwork({"A": Population(3, tdn.LIF(dt=0.5))}, [none])
    assert net.packed.synapses == len(net.run(1.0).spikes) == 0


def test_rows_of_too_many_synapses_for_one_chunk():
    """More than 65,528 synapses from one neuron to one owner with one delay are several chunks."""
    cell = tdn.LIF(10.0, v_th=1.0, reset="zero", dt=0.1)
    source = Population(1, cell, drives=[Current(1e3)])
    target = Population(3, tdn.IF(v_th=1e9, dt=0.1))
    rule = wiring.FixedOutDegree(150_000)
    net = SpikingNetwork({"A": source, "B": target}, [Projection("A", "B", rule, 1.0, 0.2)], owners=1)
    v = net.run(0.3).state.cells[1].v
    assert v.sum().item() == pytest.approx(150_000 * 0.1)
