"""Shared by all tests: matplotlib draws to memory, and hypothesis is reproducible."""

import os
import sys
from pathlib import Path

from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")
sys.path.insert(0, str(Path(__file__).parent))  # reference/ and cases.py

settings.register_profile("ibtheory", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("ibtheory")
