"""``python FOLDER``: the launcher where nothing of screamlab is installed."""

import importlib
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)
importlib.import_module("memory_launcher.main").main()
