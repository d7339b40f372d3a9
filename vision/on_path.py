"""Lets a file of this folder, run as a program, find what lies beside it."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
