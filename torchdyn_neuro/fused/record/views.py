"""Names of operations of torch that compute nothing: they look at a tensor in another way, or fill one."""

from math import nan

IDENTITIES = {"detach", "alias", "clone", "lift_fresh_copy", "contiguous", "expand", "view", "_unsafe_view"}
AXES = {"expand", "unsqueeze", "squeeze"}
FILLS = {
    "zeros_like": 0.0,
    "ones_like": 1.0,
    "new_zeros": 0.0,
    "new_ones": 1.0,
    "zeros": 0.0,
    "_efficientzerotensor": 0.0,
    "ones": 1.0,
    # Torch fills these in a second operation.
    "empty_like": nan,
    "new_empty": nan,
    "empty": nan,
}
VALUE_POSITION = {"full_like": 1, "full": 1, "new_full": 2, "scalar_tensor": 0}
