"""The table of the operations that ONNX has is the same at every export: it is read once for all tests."""

import functools

import pytest


@pytest.fixture(scope="package", autouse=True)
def _one_table():
    try:
        from onnxscript._framework_apis import torch_2_5 as tables
    except ImportError:
        yield
        return
    patch = pytest.MonkeyPatch()
    patch.setattr(tables, "get_torchlib_ops", functools.cache(tables.get_torchlib_ops))
    yield
    patch.undo()
