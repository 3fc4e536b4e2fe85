#!/usr/bin/env bash
# Install SLURM and munge on Debian or Ubuntu, where they are not there yet. Needs root.
set -euo pipefail
command -v slurmd >/dev/null && command -v slurmctld >/dev/null && command -v munged >/dev/null && exit
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends slurm-wlm munge
