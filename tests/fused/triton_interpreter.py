"""Triton's interpreter as the tests of kernels need it."""

from triton.runtime import interpreter


def let_elements_be_indices() -> None:
    """The interpreters of triton 3.5 and 3.6 take an array of one element for a number, which numpy 2.5 refuses."""
    patch = interpreter._patch_lang_tensor

    def patched(tensor, *scope):
        patch(tensor, *scope)
        tensor.__index__ = lambda self: int(self.handle.data.item())

    interpreter._patch_lang_tensor = patched
