"""Find, load and cut a model."""
