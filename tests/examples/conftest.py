"""What the tests of the examples share."""

import pytest


@pytest.fixture
def picture(tmp_path):
    """Where an example is to draw; after the test there is a picture with something on it."""
    path = tmp_path / "new folder" / "picture.png"
    yield path
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert path.stat().st_size > 10_000
