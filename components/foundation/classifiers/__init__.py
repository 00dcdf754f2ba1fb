"""Networks that take raw uint8 pixels, their initialization, and the normalizing input layer."""
