import pytest
import torch

from torchdyn_neuro.encoding import Bernoulli, DirectCurrent, Latency, Poisson, Rows


def test_direct_current_repeats_without_copying():
    x = torch.rand(2, 1, 4, 4)
    y = DirectCurrent(5, gain=2.0)(x)
    assert y.stride(0) == 0
    for frame in y:
        assert torch.equal(frame, 2 * x)


def test_poisson_rate_is_in_hz_and_clipped():
    x = torch.tensor([[0.0, 0.25, 1.0, 50.0]]).repeat(50, 1)
    spikes = Poisson(2000, max_rate=200.0, dt=0.5)(x, torch.Generator().manual_seed(0))
    # p = x * 200 Hz * 0.5 ms; six standard errors of 100,000 draws
    expected = torch.tensor([0.0, 0.025, 0.1, 1.0])
    assert ((spikes.mean((0, 1)) - expected).abs() <= 6 * (expected * (1 - expected) / 1e5).sqrt()).all()


def test_poisson_follows_torchs_seed():
    encoder, x = Poisson(10, max_rate=500.0), torch.rand(3, 8)
    torch.manual_seed(1)
    first = encoder(x)
    torch.manual_seed(1)
    assert torch.equal(first, encoder(x))
    assert not torch.equal(first, encoder(x))
    assert first.any()


def test_bernoulli_does_not_depend_on_dt():
    x = torch.full((100, 100), 0.3)
    mean = Bernoulli(100, dt=0.1)(x, torch.Generator().manual_seed(0)).mean()
    torch.testing.assert_close(mean, torch.tensor(0.3), atol=0.003, rtol=0)  # six standard errors


def test_latency_log_is_the_first_spike_of_a_leaky_integrator():
    x, theta, tau = torch.tensor([[0.9, 0.5, 0.25, 0.1]]), 0.2, 10.0
    spikes = Latency(30, form="log", theta=theta, tau=tau)(x)
    times = tau * torch.log(x / (x - theta))
    assert spikes.sum(0).tolist() == [[1.0, 1.0, 1.0, 0.0]]
    assert torch.equal(spikes.argmax(0)[0, :3], times[0, :3].round().long())


def test_rows_come_from_the_top_each_for_as_long():
    images = torch.rand(2, 3, 4, 5)
    y = Rows(12, gain=2.0)(images)
    assert y.shape == (12, 2, 3, 5)
    for step, frame in enumerate(y):
        assert torch.equal(frame, 2 * images[:, :, step // 3])
    with pytest.raises(
        ValueError, match="Rows: expected steps to be a multiple of the 4 rows of the images, got 6; pass"
    ):
        Rows(6)(images)
    with pytest.raises(ValueError, match=r"Rows: expected images \[B, \*, rows, columns\], got shape \(2, 3\); keep"):
        Rows(6)(images[:, :, 0, 0])


@pytest.mark.parametrize("encoder", [DirectCurrent, Poisson, Bernoulli, Latency, Rows])
def test_bad_input(encoder):
    with pytest.raises(ValueError, match="at least 1 step"):
        encoder(0)
    with pytest.raises(TypeError, match="integer"):
        encoder(2.5)
    with pytest.raises(TypeError, match="floating-point"):
        encoder(2)(torch.ones(2, 2, dtype=torch.long))
    with pytest.raises(ValueError, match="batch first"):
        encoder(2)(torch.ones(2))


def test_the_shape_of_a_frame():
    assert Rows(8).frame_shape((1, 8, 6)) == (1, 6)
    assert DirectCurrent(8).frame_shape([1, 8, 6]) == (1, 8, 6)
    with pytest.raises(ValueError, match=r"Rows: expected images \[\*, rows, columns\], got samples \(64,\); keep"):
        Rows(8).frame_shape((64,))
