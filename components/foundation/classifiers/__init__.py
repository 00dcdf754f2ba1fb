"""Networks that take raw uint8 pixels, their initialisation, and the normalising input layer."""
