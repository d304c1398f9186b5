"""Where things stand in a checkout; only the controller has one."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
SCENARIOS = CHECKOUT / "lab_tests" / "scenarios"
PROFILES = CHECKOUT / "lab_tests" / "profiles"
SUITES = CHECKOUT / "lab_tests" / "suites"
CANARIES = CHECKOUT / "lab_tests" / "canaries.yml"
KNOWN_ISSUES = CHECKOUT / "lab_tests" / "known_issues.yml"
INVENTORY = CHECKOUT / "inventory" / "local"
RUNS = CHECKOUT / "runs"
