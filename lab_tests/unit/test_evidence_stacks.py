"""Who waits for a lock, in what gdb printed of a router 0.3.75 that hung."""

from pathlib import Path

from screamlab.evidence.stacks import waiting_for_locks

HUNG = (Path(__file__).parents[1] / "data" / "router_hang_gdb.txt").read_text()


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
