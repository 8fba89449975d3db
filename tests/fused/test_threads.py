"""How many threads a loop takes."""

import os

import pytest
import torch

import torchdyn_neuro as tdn
from tests.threads import on_threads
from torchdyn_neuro.fused.cpp import kernels
from torchdyn_neuro.native import threads

MANY = 10 * threads._OPERATIONS


@pytest.fixture
def load(monkeypatch):
    """Sets the load of the machine."""
    monkeypatch.setattr(threads, "_looked", (-1e9, False))
    monkeypatch.setattr(threads.time, "monotonic", iter(range(0, 10**6, 10)).__next__)

    def be(value):
        monkeypatch.setattr(os, "getloadavg", lambda: (value * os.cpu_count(), 0.0, 0.0))

    return be


def test_a_short_loop_makes_room_on_a_busy_machine(load):
    for busy, short in ((1.0, [1, 2, 3]), (2.0, [1, 1, 1])):
        load(busy)
        assert on_threads(lambda: threads.threads_for(1000)) == short
        assert on_threads(lambda: threads.threads_for(MANY)) == [1, 2, 3]


def test_a_system_that_does_not_tell(load, monkeypatch):
    monkeypatch.delattr(os, "getloadavg")
    assert on_threads(lambda: threads.threads_for(1000)) == [1, 2, 3]


def test_a_look_holds_for_a_while(load, monkeypatch):
    monkeypatch.setattr(threads.time, "monotonic", lambda: 5.0)
    load(2.0)
    assert threads.is_busy()
    load(0.0)
    assert threads.is_busy()
    monkeypatch.setattr(threads.time, "monotonic", lambda: 6.5)
    assert not threads.is_busy()


def test_work_counts_every_round(monkeypatch):
    asked = []
    monkeypatch.setattr(kernels, "threads_for", lambda work: asked.append(work) or 1)
    x = torch.ones(5, 2, 8, requires_grad=True)
    for substeps in (2, 20):
        tdn.AdEx(integrator=tdn.RK4(substeps=substeps))(x).sum().backward()
    few, many = asked[:2], asked[2:]
    for one, other in zip(few, many, strict=True):
        assert 5 * one < other < 10 * one
    assert few[0] > 100 * x.numel()
