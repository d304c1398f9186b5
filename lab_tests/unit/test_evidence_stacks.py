"""Who waits for a lock, and who crashed where, in what gdb printed of real processes."""

from pathlib import Path

import pytest

from screamlab.evidence.stacks import build_ids, crashed, telling, threads, waiting_for_locks

DATA = Path(__file__).parents[1] / "data"
HUNG = (DATA / "router_hang_gdb.txt").read_text()
THROWN = (DATA / "crash_throw_gdb.txt").read_text()
FAULT_HANDLER = (DATA / "crash_faulthandler_gdb.txt").read_text()


def test_the_threads_that_wait_for_locks_are_found_with_their_functions() -> None:
    found = {thread.name: thread.functions for thread in waiting_for_locks(HUNG)}
    assert found.keys() == {"Thread 88", "Thread 13", "Thread 6", "Thread 1"}
    audio = "screamrouter::audio::"
    assert found["Thread 88"][0] == f"{audio}TimeshiftManager::attach_sink_ring"
    assert found["Thread 6"][0] == f"{audio}SinkManager::get_all_mixers"
    assert found["Thread 6"][2] == f"{audio}TimeshiftManager::processing_loop_iteration_unlocked"


def test_a_file_that_ends_early_yields_what_is_whole() -> None:
    cut = HUNG[: HUNG.index("#8 ")]
    assert waiting_for_locks(cut)[0].functions[0].endswith("attach_sink_ring")
    assert waiting_for_locks("") == []
    assert crashed("") == ()


def test_a_crash_is_where_the_exception_was_thrown_not_where_the_process_was_ended() -> None:
    frames = crashed(THROWN)
    assert [(f.function, f.place) for f in frames] == [
        ("canary::run", "c.cpp:8"), ("main", "c.cpp:10"),
    ]  # fmt: skip
    assert telling(frames) == ("canary::run", "main")
    assert threads(THROWN)[0].functions[2:4] == ("std::this_thread::sleep_for", "operator()")


def test_what_a_signal_handler_did_after_the_crash_is_left_out() -> None:
    frames = crashed(FAULT_HANDLER)
    assert frames[0].function == "__strlen_evex"
    assert (frames[1].function, frames[1].place) == ("string_at", "_ctypes.c:5564")
    assert frames[3].name == "?? in libffi.so.8"


def test_build_ids_are_read_for_every_file_that_was_loaded() -> None:
    found = build_ids(FAULT_HANDLER)
    assert found["/usr/local/bin/python3.11"] == "a7516ae81afc8457cbb59039c47cb6428c978064"
    assert "/lib/x86_64-linux-gnu/libc.so.6" in found


@pytest.mark.parametrize(
    "line,function",
    [
        ("f<int>(std::pair<int, void (*)(int)>) (a=1) at x.h:3", "f"),
        ("std::function<void (int)>::operator()(int) const () from /x.so",
         "std::function::operator()"),
        ("a::(anonymous namespace)::b (this=0x1) at b.cpp:1", "a::{anonymous}::b"),
        ("operator<< <char> (s=..., c=60 '<') at o.h:9", "operator<<"),
        ("main(int, char**)::<lambda()>::operator() (__closure=0x1) at c.cpp:2",
         "main::{lambda}::operator()"),
        ("?? () from /lib/x.so", "??"),
    ],
)  # fmt: skip
def test_names_are_without_parameters_and_template_arguments(line: str, function: str) -> None:
    (thread,) = threads(f"Thread 1 (LWP 7):\n#0  0x00007f in {line}\n")
    assert thread.functions == (function,)
