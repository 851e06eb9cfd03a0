"""Imported first by every script, so that the core of the script's own working copy is imported."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))
