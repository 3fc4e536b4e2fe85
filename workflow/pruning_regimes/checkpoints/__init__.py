"""Pruned models as checkpoints: written, verified, described."""
