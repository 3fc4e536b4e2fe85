"""The yardstick: what this package's speed is measured by, each way and its plain counterpart in one process.

`make bench` runs it and writes results/bench/.
"""
