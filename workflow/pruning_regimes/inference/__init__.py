"""Run a model over samples: prompts, images, batches, forward passes, and layers that variants share."""
