"""What every step may use: schemas, data, networks, training, storage, tracking."""
