"""The launcher itself: sets the watch up, then becomes the program."""

from __future__ import annotations

import argparse
import runpy
import signal
import sys
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue

from .collector import Collector
from .methods import MemoryProfiler
from .natives import Memray, digest
from .recorder import Recorder
from .tools import FOLDERS, Objgraph, Tool, Tracemalloc, rss_bytes

SIGNAL = signal.SIGRTMIN + 5

TOOLS: dict[str, type[Tool]] = {
    "objgraph": Objgraph,
    "tracemalloc": Tracemalloc,
    "memory_profiler": MemoryProfiler,
    "memray": Memray,
}


def listen(asks: SimpleQueue[bool]) -> None:
    """Pass every signal on; `sigtimedwait` takes a debugger that looks in for a signal (3.11)."""
    while True:
        signal.sigwait({SIGNAL})
        asks.put(True)


def watch(
    tool: Tool,
    collector: Collector,
    recorder: Recorder,
    asks: SimpleQueue[bool],
    interval_s: float,
) -> None:
    """Wait until asked, then take snapshots for as long as the process lives."""
    asked = asks.get()
    try:
        collector.begin()
        tool.begin()
    except Exception as error:
        recorder.line("error", text=f"cannot begin: {error}")
        return
    first = True
    while True:
        began, busy = time.perf_counter(), time.thread_time()
        try:
            told = collector.collect()
            blocks = sys.getallocatedblocks()
            values = tool.values()
            recorder.snapshot(
                values,
                reason="signal" if asked else "interval",
                blocks=blocks,
                rss_bytes=rss_bytes(),
                own_bytes=tool.own_bytes(),
                took_s=round(time.perf_counter() - began, 4),
                cpu_s=round(time.thread_time() - busy, 4),
                **told,
            )
            if asked and not first:
                began = time.perf_counter()
                seen = tool.look()
                recorder.line("look", took_s=round(time.perf_counter() - began, 3), **seen)
        except Exception as error:
            recorder.line("error", text=f"{type(error).__name__}: {error}")
        first = False
        try:
            asked = asks.get(timeout=interval_s)
        except Empty:
            asked = False


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="watch the memory of a Python program")
    parser.add_argument("--tool", choices=TOOLS, default="objgraph")
    parser.add_argument("--interval", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--save-all", type=int, default=0, metavar="0|1")
    parser.add_argument("--suspects", type=int, default=5)
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--native", type=int, default=1, metavar="0|1")
    parser.add_argument("--classes", default="")
    parser.add_argument("--digest", action="store_true", help="only read what memray recorded")
    parser.add_argument("-m", dest="module", action="store_true", help="the program is a module")
    parser.add_argument("program", nargs="?", default="")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser.parse_args(arguments)


def main() -> None:
    """Set the watch up, then become the program."""
    options = _parse(sys.argv[1:])
    # The program's own packages come first; the profilers' lie beside this file.
    beside = Path(__file__).resolve().parent.parent
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    sys.path[0] = "" if options.module else str(Path(options.program).resolve().parent)
    sys.path.append(str(beside / "lib" / version / "site-packages"))
    FOLDERS.extend(sorted((f"{folder}/" for folder in sys.path if folder), key=len, reverse=True))
    if options.digest:
        digest(options.folder)
        return
    recorder = Recorder(options.folder / "snapshots.jsonl")
    # Every thread to come leaves the signal to the one that waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL})
    tool = TOOLS[options.tool](options, recorder)
    notes = []
    try:
        notes = tool.prepare()
    except ImportError as error:
        recorder.line("error", text=f"{options.tool} cannot be had: {error}")
        tool = Tool(options, recorder)
    recorder.line("start", tool=options.tool, python=sys.version.split()[0], notes=notes)
    collector = Collector(bool(options.save_all))
    asks: SimpleQueue[bool] = SimpleQueue()
    watching = (tool, collector, recorder, asks, options.interval)
    threading.Thread(target=listen, args=(asks,), name="memory-asks", daemon=True).start()
    threading.Thread(target=watch, args=watching, name="memory", daemon=True).start()
    sys.argv = [options.program, *options.arguments]
    if options.module:
        runpy.run_module(options.program, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(options.program, run_name="__main__")
