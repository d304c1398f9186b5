"""What reading a large report of Valgrind costs: time, and the most memory it takes."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from screamlab.evidence.valgrind_report import MOST_GROUPS, read_report
from screamlab.evidence.valgrind_stack import Objects

_MIB = 1 << 20
_FUNCTIONS, _DEPTH = 5000, 16


def measure(mib: int = 1024) -> dict[str, float]:
    """Make up a report of `mib` MiB in which hardly a stack is there twice, and read it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "memcheck.xml")
        with file.open("w") as output:
            records = _fill(output, mib * _MIB)
        # In a process of its own, whose peak is nobody else's.
        command = [sys.executable, "-m", __name__, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, groups, peak, before = map(float, done.stdout.split())
    return {
        "size, MiB": mib,
        "leak records": records,
        f"stacks kept (at most {MOST_GROUPS}, and sums)": groups,
        "seconds": seconds,
        "most memory, MiB": peak,
        "of which before it was read, MiB": before,
    }


def _fill(output: IO[str], size: int) -> int:
    draw = random.Random(1)
    frames = [
        f"<frame><ip>0x{0x1000 + at:X}</ip><obj>/opt/x/site-packages/screamrouter_audio_engine.so"
        f"</obj><fn>screamrouter::audio::Thing{at}::does(std::string const&amp;)</fn>"
        f"<dir>/src</dir><file>thing{at}.cpp</file><line>{at}</line></frame>\n"
        for at in range(_FUNCTIONS)
    ]
    output.write("<valgrindoutput><protocolversion>4</protocolversion><tool>memcheck</tool>\n")
    records = 0
    while output.tell() < size:
        stack = "".join(draw.choices(frames, k=_DEPTH))
        output.write(
            f"<error><unique>0x{records:x}</unique><kind>Leak_DefinitelyLost</kind><xwhat><text>8 "
            "bytes</text><leakedbytes>8</leakedbytes><leakedblocks>1</leakedblocks></xwhat>"
            f"<stack>{stack}</stack></error>\n"
        )
        records += 1
    output.write("</valgrindoutput>\n")
    return records


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Read one report; prints seconds, stacks, the peak of memory and what it was before."""
    before, began = _peak_mib(), time.process_time()
    report = read_report(Path(sys.argv[1]), Objects())
    print(time.process_time() - began, len(report.groups), _peak_mib(), before)


if __name__ == "__main__":
    main()
