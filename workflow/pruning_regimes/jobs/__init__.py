"""What every job does: its log, errors in one sentence, devices, progress, paths."""
