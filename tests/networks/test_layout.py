"""Neurons and their inputs shared out among owners."""

import pytest
import torch

from torchdyn_neuro.networks.layout import ELSEWHERE, Layout


@pytest.mark.parametrize("owners", [1, 2, 5])
def test_each_input_has_a_place_of_its_own(owners):
    layout = Layout((70, 1, 200, 64), (2, 1, 3, 1), owners)
    seen = set()
    for population, (neurons, inputs) in enumerate(zip(layout.neurons, layout.inputs, strict=True)):
        assert layout.borders(population)[0] == 0
        assert layout.borders(population) == sorted(layout.borders(population))
        for receptor in range(inputs):
            where = layout.where(population, receptor)
            assert len(where) == neurons
            seen |= set(where.tolist())
    assert len(seen) == 140 + 1 + 600 + 64
    assert all((place & 0xFFFF) < layout.widths[place >> 16] for place in seen)


def test_owners_are_even_and_as_many_as_16_bits_ask_for():
    layout = Layout.for_threads((640, 192, 64, 64), (1, 1, 1, 1), 2)
    assert layout.widths == [512, 448]  # blocks of 64
    many = Layout.for_threads((10,) * 1500, (1,) * 1500, 1)
    assert many.owners == 2
    assert max(many.widths) <= 2**16
    assert Layout.for_threads((200_000,), (1,), 1).owners == 4
    assert torch.equal(many.where(3, 0) >> 16, torch.zeros(10, dtype=torch.int32))


def test_processes_have_neurons_of_their_own():
    one = Layout((70, 1, 200, 64), (2, 1, 3, 1), 6)
    parts = [Layout(one.neurons, one.inputs, 2, processes=3, rank=rank) for rank in range(3)]
    for population in range(4):
        borders = [part.borders(population) for part in parts]
        assert [*borders[0][:2], *borders[1][:2], *borders[2]] == one.borders(population)
        own = torch.stack([part.where(population, 0) != ELSEWHERE for part in parts])
        assert torch.equal(own.sum(0), torch.ones(one.neurons[population], dtype=torch.int64))
    assert [width for part in parts for width in part.widths] == one.widths
    assert one.widest == max(one.widths)
    many = Layout.for_threads((200_000,), (1,), 1, processes=3, rank=2)
    assert many.owners == 2
