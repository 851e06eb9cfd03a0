"""Imported first by every script: finds the core beside it, in whichever working copy it was started."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))
