"""The reference weights, as tests of the detector make them."""

from tests.models.conftest import golden_weights, published_layout

__all__ = ["golden_weights", "published_layout"]
