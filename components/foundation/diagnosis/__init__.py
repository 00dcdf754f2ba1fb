"""What curves and layers say, in words."""
