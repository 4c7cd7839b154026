"""Shared by all tests: matplotlib draws to memory, and hypothesis is reproducible."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")
sys.path.insert(0, str(Path(__file__).parent))  # reference/ and cases.py

settings.register_profile("ibtheory", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("ibtheory")

collect_ignore = [] if find_spec("torch") else ["reference/torch_training.py"]  # doctests import every file
