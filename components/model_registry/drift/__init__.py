"""Whether images have drifted from those that a version was trained on."""
