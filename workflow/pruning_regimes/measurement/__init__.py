"""What criteria need to know of a model: similarity, windows, losses and importance of its decoder layers."""
