"""Loss, schedules, the plain training loop and evaluation."""
