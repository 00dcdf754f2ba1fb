"""One network, one batch after another: recipe, loss, optimizer, schedule, images, evaluation."""
