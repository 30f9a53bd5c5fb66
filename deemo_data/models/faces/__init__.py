"""Face detectors and recognisers."""
