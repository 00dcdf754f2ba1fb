"""What a step prints, and who reads it."""
