"""Step 3, sanity: whether this network can learn these data, and with which learning rates."""
