"""What tests share: tiny models, small tables and studies, stand-ins of servers."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
