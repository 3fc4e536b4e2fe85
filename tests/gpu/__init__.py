"""What a GPU computes, against what the CPU computes in float32: `make test-gpu`, or `python -m tests.gpu`."""
