"""The linear readout of a reservoir, in closed form."""

import torch
from torch import Tensor, nn

from ..core.checks import positive_number


def ridge_readout(states: Tensor, targets: Tensor, *, alpha: float = 1e-3) -> nn.Linear:
    r"""The linear layer that reads targets out of states best, by ridge regression.

    .. math:: \min_{W, b} \sum_n |W x_n + b - y_n|^2 + \alpha |W|^2

    What was simulated is not trained: one solution in closed form (scikit-learn's ``Ridge``) takes the place of
    gradient descent. The layer can be trained on.

    Args:
        states: [\*, N], for example [T, B, N] of a reservoir without its first steps, or [B, N] of the last one.
        targets: [\*, K] of floats, or labels [\*] of whole numbers from 0, which become K outputs of 0 and 1.
        alpha: strength of the penalty on the weights.

    Returns:
        A layer from N to K, in the type and on the device of the states.

    Raises:
        TypeError: if they are no tensors, or the states no floats.
        ValueError: if the leading shapes differ, a label is below 0, a value is not finite, or ``alpha`` is not
            positive.

    Source: Hoerl & Kennard (1970), Technometrics 12:55; Lukosevicius & Jaeger (2009), Comput. Sci. Rev. 3:127
    (readouts of reservoirs).

    Example:
        >>> x = torch.linspace(-1, 1, 11)[:, None]
        >>> layer = ridge_readout(x, 2 * x + 1, alpha=1e-6)
        >>> layer(torch.ones(1, 1)).round(decimals=3).detach()
        tensor([[3.]])
    """
    from sklearn.linear_model import Ridge

    alpha = positive_number("ridge_readout", "alpha", alpha)
    for name, given in (("states", states), ("targets", targets)):
        if not isinstance(given, Tensor):
            raise TypeError(f"ridge_readout: expected {name} as a tensor, got {type(given).__name__}; pass a tensor")
    if not states.is_floating_point() or states.ndim < 2:
        raise TypeError(
            f"ridge_readout: expected states [*, N] of floats, got shape {tuple(states.shape)} in {states.dtype}; "
            "call .float(), and keep the axis of the units last"
        )
    labels = not targets.is_floating_point()
    leading = targets.shape if labels else targets.shape[:-1]
    if leading != states.shape[:-1]:
        raise ValueError(
            f"ridge_readout: expected targets for states {tuple(states.shape)}, {tuple(states.shape[:-1])} labels or "
            f"floats with one axis more, got {tuple(targets.shape)} in {targets.dtype}; pass one for each state"
        )
    if labels:
        if targets.numel() and targets.min() < 0:
            raise ValueError(f"ridge_readout: expected labels from 0, got {targets.min().item()}; count them from 0")
        targets = nn.functional.one_hot(targets.long())
    x = states.detach().reshape(-1, states.shape[-1]).cpu().double()
    y = targets.detach().reshape(-1, targets.shape[-1]).cpu().double()
    for name, given in (("states", x), ("targets", y)):
        if not torch.isfinite(given).all():
            raise ValueError(
                f"ridge_readout: expected {name} that are finite, got NaN or infinity; look for their origin"
            )
    fitted = Ridge(alpha).fit(x.numpy(), y.numpy())
    layer = nn.Linear(x.shape[1], y.shape[1], dtype=states.dtype, device=states.device)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(fitted.coef_).reshape(layer.weight.shape))
        layer.bias.copy_(torch.as_tensor(fitted.intercept_).reshape(layer.bias.shape))
    return layer
