"""How much slower a tool makes a program: the same small work with it and without it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from screamlab.errors import InfraError

TIMEOUT_S = 600.0

# What a router's Python does with a request: texts, tables, numbers from bytes. It goes round once
# before it is timed, so that a tool has translated it; of five times the shortest counts.
_WORK = """
import hashlib, json, struct, time
def work():
    table = {}
    for number in range(1000):
        text = json.dumps({"number": number, "name": f"stream-{number}", "parts": [1, 2, 3]})
        table[hashlib.sha256(text.encode()).hexdigest()] = json.loads(text)
    block = bytes(range(256)) * 9
    return sum(sum(struct.unpack(f"<{len(block) // 2}h", block)) for _ in range(100))
def timed():
    began = time.process_time()
    work()
    return time.process_time() - began
work()
print(min(timed() for _ in range(5)))
"""


@dataclass(frozen=True)
class Slowdown:
    """Seconds of processor time that the work took, without the tool and with it."""

    plain_s: float
    tool_s: float

    @property
    def factor(self) -> float:
        """How many times longer it takes; never less than 1."""
        return round(max(1.0, self.tool_s / self.plain_s), 2)


def measure_slowdown(wrapper: Sequence[str]) -> Slowdown:
    """Do the work plain and behind the words of `wrapper`, each in a process of its own.

    Processor time, so that a busy machine does not count twice. `InfraError` when the tool cannot
    be run.
    """
    return Slowdown(plain_s=_seconds([]), tool_s=_seconds(wrapper))


def _seconds(wrapper: Sequence[str]) -> float:
    command = [*wrapper, sys.executable, "-c", _WORK]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
        return float(done.stdout)
    except OSError as error:
        raise InfraError(f"{command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise InfraError(f"{command[0]}: small work took longer than {TIMEOUT_S:g} s") from None
    except ValueError:
        said = done.stderr.strip().splitlines()
        reason = said[-1] if said else f"exit status {done.returncode}"
        raise InfraError(f"{command[0]}: {reason}") from None
