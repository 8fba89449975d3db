"""Divisive normalization: the formula at rest, its relaxation, and what it is known for."""

import math

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn


def settled(norm, drive):
    with torch.no_grad():
        return norm.double()(drive.expand(600, *drive.shape))[-1]


@pytest.mark.parametrize("kind", ["one", "per unit", "matrix"])
def test_settles_at_the_formula(kind):
    D = torch.tensor([[1.0, 2.0, -3.0], [0.0, 0.5, 4.0]], dtype=torch.float64)
    alpha = {"one": torch.tensor(0.5), "per unit": torch.tensor([0.5, 1.0, 2.0]), "matrix": torch.rand(3, 3)}[kind]
    norm = tdn.DivisiveNormalization(3, gamma=40.0, sigma=1.5, n=2.2, alpha=alpha)
    W = alpha.double() if kind == "matrix" else alpha.double().reshape(-1, 1).expand(3, 3)
    power = D.clamp(min=0) ** 2.2
    assert_close(settled(norm, D), 40 * power / (1.5**2.2 + power @ W.T), rtol=1e-9, atol=1e-12)


def test_relaxes_with_its_time_constant_for_any_step():
    D = torch.tensor([1.0, 2.0], dtype=torch.float64)
    norm = tdn.DivisiveNormalization(2, tau=20.0, dt=5.0).double()
    r = norm(D.expand(30, 1, 2))
    rest = 100 * D**2 / (1 + 5)
    t = 5 * torch.arange(1, 31, dtype=torch.float64)[:, None, None]
    assert_close(r, rest * (1 - torch.exp(-t / 20)))


def test_a_mask_suppresses_and_contrast_saturates():
    """A second, orthogonal input lowers the response to the first; with all in one, contrast scales out."""
    alone, masked = (torch.tensor(d, dtype=torch.float64) for d in ([[2.0, 0.0]], [[2.0, 2.0]]))
    norm = tdn.DivisiveNormalization(2)
    assert settled(norm, masked)[0, 0] < 0.6 * settled(norm, alone)[0, 0]
    ratios = [settled(norm, c * torch.tensor([[1.0, 3.0]], dtype=torch.float64))[0] for c in (10.0, 100.0)]
    assert_close(ratios[0], ratios[1], rtol=0.01, atol=0)
    assert ratios[1][1] / ratios[1][0] == pytest.approx(9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1.0001, 2.0, 3.9999])
def test_finite_everywhere(dtype, n):
    quantities = {name: tdn.Learned(value) for name, value in {"gamma": 50.0, "sigma": 1.0, "n": n}.items()}
    norm = tdn.DivisiveNormalization(3, **quantities, alpha=tdn.Learned(1.0)).to(dtype)
    x = torch.tensor([[1e6, -1e6, 0.0], [1e-30, 1e6, 1e6]], dtype=dtype).expand(3, 2, 3).clone().requires_grad_()
    y = norm(x)
    gradients = torch.autograd.grad(y.sum(), [x, *norm.parameters()])
    assert y.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert math.isfinite(norm(x)[-1, 0, 0].item())


def test_gradients():
    quantities = {name: tdn.Learned(value) for name, value in {"gamma": 50.0, "sigma": 1.0, "n": 2.5}.items()}
    norm = tdn.DivisiveNormalization(3, **quantities, alpha=tdn.Learned(torch.rand(3, 3))).double()
    given = dict(norm.named_parameters())
    x = (torch.rand(3, 1, 3, dtype=torch.float64) + 0.1).requires_grad_()

    def run(x, *values):
        return torch.func.functional_call(norm, dict(zip(given, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *given.values()))


@pytest.mark.parametrize("backend", ["eager", "auto"])
@pytest.mark.parametrize("equation", [tdn.DivisiveNormalization, tdn.KWinnersTakeAll])
def test_another_number_of_units_is_refused(backend, equation):
    with tdn.backend(backend), pytest.raises(ValueError, match=r"PooledSum: expected an input \[..., 3\], got shape"):
        equation(3)(torch.ones(5, 2, 4))
