"""Modules that look at themselves once they are built."""

import inspect
from typing import Any

from torch import nn


class Checked(type(nn.Module)):
    """Lets a module look at itself once it is built, whatever the order in which its constructors set things."""

    @property
    def __signature__(cls) -> inspect.Signature:
        # Otherwise that of the call below.
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        return inspect.Signature([shown for parameter in parameters for shown in cls._spelled_out(parameter)])

    def __call__(cls, *args: Any, **options: Any) -> nn.Module:
        cls._refuse_unknown(options)
        module = super().__call__(*args, **options)
        module._check()
        module._built = True
        return module
