"""Canaries: a healthy run passes every check, and each planted fault trips exactly its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from screamlab.judge.canary import ROUTER, CanaryRun
from screamlab.judge.checks import CHECKS
from screamlab.judge.model import CheckResult, Verdict
from screamlab.judge.run import judge
from screamlab.judge.view import Run

HOLD_AT = 30.0  # well within the hold, which lies between 20 s and 60 s
RTP = "stream/rtp-out-01/rtp-in-01"
SCREAM = "stream/scream-out-01/scream-in-01"
NULL = "stream/null/rtp-in-01/null/rtp-in-01"
# What churn does and what was captured have canaries of their own: not every run has any. So have
# leaks, which take hours to be seen, and what Python and Valgrind say of memory.
ELSEWHERE = ("churn.", "wire.", "router.leak", "lab.memory", "python.", "valgrind.")
IDS = [check_id for check_id in CHECKS if not check_id.startswith(ELSEWHERE)]
ALL = [{"id": check_id} for check_id in IDS]

Plant = Callable[[CanaryRun], None]


def judged(run: CanaryRun) -> Verdict:
    return judge(Run(run), ())


def healthy(tmp_path_factory: pytest.TempPathFactory) -> CanaryRun:
    path = tmp_path_factory.mktemp("canary")
    (path / "hosts" / ROUTER).mkdir(parents=True)
    record = path / "hosts" / ROUTER / "starts.jsonl"
    record.write_text(
        '{"t": 1, "outcome": "race", "stuck": [40000], "seconds": 5}\n'
        '{"t": 2, "outcome": "ready", "stuck": [], "seconds": 5}\n'
        '{"t": 3, "outcome": "ready", "stuck": [], "seconds": 5}\n'
    )
    return CanaryRun(ALL, path=path)


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> CanaryRun:
    return healthy(tmp_path_factory)


def step(at_s: float, by: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A cumulative counter that grows by `by` at `at_s`."""
    return lambda t, value: value + by * (t >= at_s)


def during(from_s: float, to_s: float, instead: float) -> Callable[..., np.ndarray]:
    return lambda t, value: np.where((t >= from_s) & (t < to_s), instead, value)


def test_every_check_passes_a_healthy_run(run: CanaryRun) -> None:
    verdict = judged(run)
    assert {result.id for result in verdict.checks} == set(IDS)
    assert [r for r in verdict.checks if r.status != "pass"] == []
    assert (verdict.verdict, verdict.exit_code) == ("PASS", 0)
    assert all(result.samples > 0 and result.reason for result in verdict.checks)


def _dropout(run: CanaryRun) -> None:
    run.event(HOLD_AT, "client2", "audio.dropout", RTP, ms=120.0, sender="rtp-in-01")
    run.change(RTP, "dropouts", step(HOLD_AT, 1))
    run.change(RTP, "dropout_ms", step(HOLD_AT, 120))


def _never_heard(run: CanaryRun) -> None:
    run.change(RTP, "heard", lambda t, v: 0)
    run.told = [e for e in run.told if (e["kind"], e["subject"]) != ("stream.heard", RTP)]
    for metric in ("level_db", "latency_ms", "drift_ppm"):
        run.cut(RTP, metric, lambda t: t < 0)


def _heard_late(run: CanaryRun) -> None:
    # The stream is up from 15 s; the hold begins at 20 s.
    run.change(RTP, "heard", lambda t, v: t >= 22.0)
    run.told = [e for e in run.told if (e["kind"], e["subject"]) != ("stream.heard", RTP)]


# name: what is planted, the checks that must fail, what the reason must say
FAULTS: dict[str, tuple[Plant, set[str], str]] = {
    "process gone": (
        lambda run: run.event(HOLD_AT, ROUTER, "process.gone", "process/router", pid=7),
        {"router.alive"}, "gone at 30.0 s (hold)",
    ),
    "process restarted": (
        lambda run: run.event(HOLD_AT, ROUTER, "process.restarted", "process/router", pid=8),
        {"router.alive"}, "restarted at 30.0 s",
    ),
    "no process for a second": (
        lambda run: run.change("process/router", "processes", during(HOLD_AT, HOLD_AT + 1, 0)),
        {"router.alive"}, "no process at 30.0 s",
    ),
    "core": (
        lambda run: run.event(HOLD_AT, ROUTER, "core.found", "process/router"),
        {"router.alive", "router.crash"}, "core",
    ),
    "api silent": (
        lambda run: run.change("router", "api_ok", during(HOLD_AT, HOLD_AT + 3, 0)),
        {"router.responsive"}, "first silence at 30.0 s",
    ),
    "api slow": (
        lambda run: run.change("router", "api_latency_ms", during(HOLD_AT, HOLD_AT + 3, 2500)),
        {"router.responsive"}, "2500 ms",
    ),
    "cpu": (
        lambda run: run.change("process/router", "cpu_percent", lambda t, v: v + 150),
        {"router.cpu"}, "of a processor",
    ),
    "memory": (
        lambda run: run.change("process/router", "rss_bytes", during(HOLD_AT, HOLD_AT + 1, 3e9)),
        {"router.memory"}, "MiB, at 30.0 s",
    ),
    "threads kept": (
        lambda run: run.change("process/router", "threads", step(HOLD_AT, 9)),
        {"router.threads"}, "29 threads before the load, 38",
    ),
    "descriptors kept": (
        lambda run: run.change("process/router", "descriptors", step(HOLD_AT, 9)),
        {"router.descriptors"}, "65 descriptors before the load, 74",
    ),
    "never heard": (_never_heard, {"audio.heard"}, "never heard in 40 s"),
    "heard late": (_heard_late, {"audio.heard"}, "not at 20.0 s"),
    "silent for a second": (
        lambda run: run.change(RTP, "heard", during(HOLD_AT, HOLD_AT + 1, 0)),
        {"audio.heard"}, "not at 30.0 s",
    ),
    "dropout": (
        _dropout, {"audio.dropouts"}, "1 dropouts, 120 ms in 40 s of hold, first at 30.0 s",
    ),
    "slow": (
        lambda run: run.change(RTP, "latency_ms", lambda t, v: v + 260),
        {"audio.latency"}, "319.0 ms more than the null path",
    ),
    "latency jump": (
        lambda run: run.change(RTP, "latency_ms", step(HOLD_AT, 25)),
        {"audio.latency_jumps"}, "first by +25.0 ms at 30.0 s",
    ),
    "level": (
        lambda run: run.change(RTP, "level_db", lambda t, v: v - 6),
        {"audio.level"}, "-6.00 dB",
    ),
    "drift": (
        lambda run: run.change(RTP, "drift_ppm", lambda t, v: -100),
        {"audio.drift"}, "-100.0 ppm",
    ),
    "crosstalk": (
        lambda run: run.event(
            HOLD_AT, "client2", "audio.crosstalk", "stream/rtp-out-01/scream-in-01",
            sender="scream-in-01", level_db=-40.0,
        ),
        {"audio.crosstalk"}, "heard scream-in-01, which is not routed there at -40.0 dB",
    ),
    "click": (
        lambda run: run.event(HOLD_AT, "client2", "audio.click", RTP),
        {"audio.artifacts"}, "1 × click",
    ),
    "counted swaps": (
        lambda run: run.event(HOLD_AT, "client2", "audio.suppressed", RTP, of="swap", count=9),
        {"audio.artifacts"}, "9 × swap",
    ),
    "lost packet": (
        lambda run: run.change("receiver/rtp-out-01", "lost", step(HOLD_AT, 1)),
        {"net.loss"}, "1 lost, first at 30.0 s",
    ),
    "doubled packet": (
        lambda run: run.change("receiver/rtp-out-01", "duplicate", step(HOLD_AT, 2)),
        {"net.loss"}, "2 doubled",
    ),
    "reordered packet": (
        lambda run: run.change("receiver/rtp-out-01", "reordered", step(HOLD_AT, 3)),
        {"net.loss"}, "3 out of order",
    ),
    "errors in the log": (
        lambda run: [
            run.log(HOLD_AT + n, f"[ERROR:2026-01-01 00:00:0{n}][mixer.py:1:2]lost sink {n}")
            for n in range(5)
        ] and None,
        {"log.errors"}, "first at 30.0 s (hold); most often (5 ×): [ERROR:#-#-#",
    ),
    "exhaustion": (
        lambda run: run.log(HOLD_AT, "accept: Too many open files"),
        {"log.exhaustion"}, "Too many open files",
    ),
    "overflow": (
        lambda run: run.log(HOLD_AT, "[WARNING:x]C++ log queue overflow. Oldest dropped."),
        {"log.exhaustion"}, "log queue overflow",
    ),
    "lost start": (
        lambda run: _starts(run, '{"t": 4, "outcome": "race", "stuck": [40000], "seconds": 5}'),
        {"router.starts"}, "nobody read UDP 40000",
    ),
}  # fmt: skip


def _starts(run: CanaryRun, line: str) -> None:
    with (run.path / "hosts" / ROUTER / "starts.jsonl").open("a") as file:
        file.write(line + "\n")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_router_trips_its_check_alone(run: CanaryRun, name: str) -> None:
    plant, expected, words = FAULTS[name]
    plant(run)
    verdict = judged(run)
    bad = [result for result in verdict.checks if result.status != "pass"]
    assert {result.id for result in bad} == expected
    assert {result.status for result in bad} == {"fail"}
    assert any(words in result.reason for result in bad), bad
    assert (verdict.verdict, verdict.exit_code) == ("FAIL", 1)
    assert any(r.id in verdict.reason and r.subject in verdict.reason for r in bad)


def _null_dropout(run: CanaryRun) -> None:
    run.change(NULL, "dropouts", step(5.0, 1))
    run.change(NULL, "dropout_ms", step(5.0, 20))


def _reboot(run: CanaryRun, host: str) -> None:
    """The host goes down for 5 s; nothing is known of it, nor heard from it, until it is back."""
    for key, (t, value) in list(run.data.items()):
        if key[0] == host:
            there = (t < HOLD_AT) | (t > HOLD_AT + 6)
            run.data[key] = (t[there], value[there])
    run.event(HOLD_AT, host, "agent.end", "agent", reason="the host goes down")
    run.event(HOLD_AT + 5, host, "agent.start", "agent", rejoins=True)
    run.change(RTP, "heard", during(HOLD_AT, HOLD_AT + 8, 0))


LAB_FAULTS: dict[str, tuple[Plant, set[str], str]] = {
    "bad pacing": (
        lambda run: run.change("sender/rtp-in-01", "pacing_p99_ms", lambda t, v: 9),
        {"lab.pacing"}, "9.00 ms",
    ),
    "processor taken": (
        lambda run: run.change("processor/1", "wakeup_late_max_ms", lambda t, v: 40.0),
        {"lab.wakeups"}, "later than 10 ms in 112 of 112 s, first at",
    ),
    "null path drops": (_null_dropout, {"lab.null_path"}, "dropouts a minute"),
    "null path silent": (
        lambda run: run.change(NULL, "heard", during(5, 7, 0)),
        {"lab.null_path"}, "of the null path",
    ),
    "null path paced badly": (
        lambda run: run.change("sender/null/rtp-in-01", "pacing_p99_ms", lambda t, v: 9),
        {"lab.null_path", "lab.pacing"}, "paced 9.00 ms off",
    ),
    "client overrun": (
        lambda run: run.change("host", "udp_rcvbuf_errors", step(HOLD_AT, 4)),
        {"lab.receiver_overrun"}, "4 datagrams lost by the host's own sockets, first at 30.0 s",
    ),
    "socket overflow": (
        lambda run: run.event(HOLD_AT, "client1", "receiver.overrun", "r", late_ms=1, drops=3),
        {"lab.receiver_overrun"}, "3 datagrams",
    ),
    "hole": (
        lambda run: run.cut("host", "*", lambda t: (t < HOLD_AT) | (t > HOLD_AT + 5)),
        {"lab.sampler_holes"}, "unobserved 7.0 s from 29.0 s",
    ),
    "crowded": (
        lambda run: run.change("host", "cpu_percent", lambda t, v: v * 0 + 99.0),
        {"lab.cpu"}, "99 % busy, not with the router",
    ),
    "client rebooted": (
        lambda run: _reboot(run, "client1"), {"lab.agents"}, "rebooted 1 times, first at 29.0 s",
    ),
    "clock stepped": (
        lambda run: run.event(HOLD_AT + 15, "client1", "clock.stepped", "host", ms=-400.0),
        {"lab.clock"}, "it stepped by -400.0 ms at 45.0 s (hold)",
    ),
    "registrar died": (
        lambda run: run.event(HOLD_AT, ROUTER, "registrar.error", "sip/registrar", error="gone"),
        {"lab.registrar"}, "gone, at 30.0 s (hold)",
    ),
    "impairment left": (
        lambda run: run.event(100.0, "client1", "impair.left", "impairments", left=["data0: x"]),
        {"impair.residue"}, "left at the end: data0: x",
    ),
    "worker died": (
        lambda run: run.event(HOLD_AT, "client1", "worker.failed", "gst", error="segfault"),
        {"lab.agents"}, "worker gst failed at 30.0 s (hold): segfault",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAB_FAULTS)
def test_a_fault_of_the_lab_makes_the_run_invalid(run: CanaryRun, name: str) -> None:
    plant, expected, words = LAB_FAULTS[name]
    plant(run)
    verdict = judged(run)
    bad = [result for result in verdict.checks if result.status != "pass"]
    assert {result.id for result in bad} == expected
    assert {result.status for result in bad} == {"invalid"}
    assert any(words in result.reason for result in bad), bad
    assert (verdict.verdict, verdict.exit_code) == ("INVALID", 3)


def test_a_reboot_that_a_scenario_allows_is_a_hole_and_no_more(run: CanaryRun) -> None:
    run.meta["checks"] = [
        {**item, "max_rejoins": 1} if item["id"] == "lab.agents" else item for item in ALL
    ]
    _reboot(run, "client1")
    assert judged(run).verdict == "PASS"
    assert "away for 12 s after a reboot" in result_of(run, "lab.agents", "client1").reason
    assert "client1 rebooted at" in result_of(run, "audio.heard", RTP).reason


def test_a_router_whose_host_rebooted_is_not_charged_for_its_end(run: CanaryRun) -> None:
    _reboot(run, ROUTER)
    run.change("process/router", "processes", lambda t, v: v * (t < HOLD_AT))
    result = result_of(run, "router.alive", "process/router")
    assert result.status == "invalid"
    assert f"{ROUTER} rebooted at 29.0 s" in result.reason


@pytest.mark.parametrize("end_s,words", [(112 - 9, "9.0 s before"), (112 + 40, "40.0 s after")])
def test_an_agent_that_ends_at_another_time_is_invalid(
    run: CanaryRun, end_s: float, words: str
) -> None:
    run.told = [e for e in run.told if (e["kind"], e["host"]) != ("agent.end", "client1")]
    run.event(end_s, "client1", "agent.end", "agent")
    (bad,) = [result for result in judged(run).checks if result.status != "pass"]
    assert (bad.id, bad.subject, bad.status) == ("lab.agents", "client1", "invalid")
    assert words in bad.reason


def result_of(run: CanaryRun, check_id: str, subject: str) -> CheckResult:
    (found,) = [r for r in judged(run).checks if (r.id, r.subject) == (check_id, subject)]
    return found


def _overrun(run: CanaryRun, at_s: float, host: str = "client1") -> None:
    run.event(at_s, host, "sender.overrun", "native-sender", late_ms=80.0)


def test_a_dropout_while_the_sender_overran_is_not_charged(run: CanaryRun) -> None:
    _dropout(run)
    _overrun(run, HOLD_AT)
    result = result_of(run, "audio.dropouts", RTP)
    assert result.status == "pass"
    assert "0 dropouts" in result.reason and "overran by 80.0 ms" in result.reason


@pytest.mark.parametrize(
    "line,pattern,status",
    [("log queue overflow", "queue-full", "pass"), ("Too many open files", "descriptors", "fail")],
)
def test_a_queue_may_overflow_while_the_lab_is_held_up_but_nothing_may_run_out(
    run: CanaryRun, line: str, pattern: str, status: str
) -> None:
    run.log(HOLD_AT, line)
    _overrun(run, HOLD_AT)
    assert result_of(run, "log.exhaustion", pattern).status == status


@pytest.mark.parametrize("since_s", [-5, 3])
def test_a_lab_at_fault_most_of_the_time_cannot_tell(run: CanaryRun, since_s: int) -> None:
    _dropout(run)
    for at_s in range(int(HOLD_AT) + since_s, int(HOLD_AT) + 40):
        _overrun(run, float(at_s))
    result = result_of(run, "audio.dropouts", RTP)
    assert result.status == "invalid"
    assert "overran by 80.0 ms" in result.reason


def test_a_dropout_while_the_machine_was_taken_away_is_not_charged(run: CanaryRun) -> None:
    _dropout(run)
    run.put(ROUTER, "host", "cpu_steal_percent", np.array([HOLD_AT]), 30.0)
    result = result_of(run, "audio.dropouts", RTP)
    assert result.status == "pass"
    assert f"30 % of {ROUTER} was stolen" in result.reason


def test_a_dropout_while_a_processor_was_taken_away_is_not_charged(run: CanaryRun) -> None:
    _dropout(run)
    run.change("processor/0", "wakeup_late_max_ms", during(HOLD_AT - 1, HOLD_AT + 1, 40.0))
    result = result_of(run, "audio.dropouts", RTP)
    assert result.status == "pass"
    assert f"processor/0 of {ROUTER} was not there for 40 ms" in result.reason


def test_packets_left_out_while_a_processor_was_taken_away_are_not_charged(run: CanaryRun) -> None:
    run.change("receiver/rtp-out-01", "lost", step(HOLD_AT, 9))
    assert result_of(run, "net.loss", "receiver/rtp-out-01").status == "fail"
    run.change("processor/0", "wakeup_late_max_ms", during(HOLD_AT - 1, HOLD_AT + 1, 40.0))
    assert result_of(run, "net.loss", "receiver/rtp-out-01").status == "pass"


def test_a_router_that_takes_its_processors_itself_is_charged(run: CanaryRun) -> None:
    _dropout(run)
    run.change("processor/0", "wakeup_late_max_ms", lambda t, v: 40.0)
    run.change("process/router", "cpu_percent", lambda t, v: 95.0)
    assert result_of(run, "lab.wakeups", "processor/0").status == "pass"
    assert result_of(run, "audio.dropouts", RTP).status == "fail"


def test_where_no_real_time_thread_can_be_had_nothing_is_known(run: CanaryRun) -> None:
    run.cut("processor/*", "*", lambda t: False)
    run.event(1.0, ROUTER, "processor.refused", "processor/0", error="Operation not permitted")
    result = result_of(run, "lab.wakeups", "processors")
    assert (result.status, "Operation not permitted" in result.reason) == ("unknown", True)


def test_a_dropout_at_another_time_is_charged_all_the_same(run: CanaryRun) -> None:
    _dropout(run)
    _overrun(run, HOLD_AT + 10)
    result = result_of(run, "audio.dropouts", RTP)
    assert result.status == "fail"


def test_a_fault_of_a_host_that_has_no_part_in_the_stream_excuses_nothing(run: CanaryRun) -> None:
    _dropout(run)
    _overrun(run, HOLD_AT, "client9")
    assert result_of(run, "audio.dropouts", RTP).status == "fail"


def test_what_goes_on_after_the_lab_recovered_is_charged(run: CanaryRun) -> None:
    _dropout(run)
    _overrun(run, HOLD_AT)
    run.change(RTP, "dropouts", step(50.0, 3))
    result = result_of(run, "audio.dropouts", RTP)
    assert result.status == "fail" and "3 dropouts" in result.reason


def test_a_crash_is_a_crash_whatever_the_lab_did(run: CanaryRun) -> None:
    _overrun(run, HOLD_AT)
    _overrun(run, HOLD_AT, ROUTER)
    run.event(HOLD_AT, ROUTER, "process.gone", "process/router", pid=7)
    assert result_of(run, "router.alive", "process/router").status == "fail"


def test_a_client_that_begins_late_on_the_null_path_is_measured_from_its_beginning(
    run: CanaryRun,
) -> None:
    run.told = [e for e in run.told if (e["kind"], e["subject"]) != ("stream.heard", NULL)]
    run.change(NULL, "heard", lambda t, v: t >= 3)
    assert result_of(run, "lab.null_path", "null/rtp-l16-native").status == "pass"
    run.change(NULL, "heard", lambda t, v: t >= 7)
    assert result_of(run, "lab.null_path", "null/rtp-l16-native").status == "invalid"


def test_the_noise_floor_of_the_kind_is_taken_off(run: CanaryRun) -> None:
    # 7 s of null path are measured: one dropout is 8.6 a minute.
    run.change(NULL, "dropouts", step(5.0, 1))
    run.change(RTP, "dropouts", step(HOLD_AT, 4))
    run.change(SCREAM, "dropouts", step(HOLD_AT, 4))
    assert result_of(run, "audio.dropouts", RTP).status == "pass"
    assert result_of(run, "audio.dropouts", SCREAM).status == "fail"


@pytest.mark.parametrize("check_id", IDS)
def test_without_evidence_a_check_knows_nothing(check_id: str) -> None:
    run = CanaryRun([{"id": check_id}])
    run.data.clear()
    run.told.clear()
    run.facts.clear()
    run.logged.clear()
    verdict = judged(run)
    assert verdict.checks, check_id
    assert {result.status for result in verdict.checks} == {"unknown"}


def test_an_ordinary_number_of_samples_below_the_minimum_is_unknown(run: CanaryRun) -> None:
    run.meta["checks"] = [{"id": "audio.dropouts", "min_samples": 1000}]
    verdict = judged(run)
    assert {result.status for result in verdict.checks} == {"unknown"}
    assert (verdict.verdict, verdict.exit_code) == ("INVALID", 3)
    assert "1000 needed" in verdict.reason


def test_a_receiver_that_stops_reporting_is_unknown_not_heard(run: CanaryRun) -> None:
    run.cut(RTP, "*", lambda t: t < HOLD_AT)
    assert result_of(run, "audio.heard", RTP).status == "unknown"


def test_a_silent_stream_is_told_once_by_audio_heard(run: CanaryRun) -> None:
    _never_heard(run)
    about = [result.id for result in judged(run).checks if result.subject == RTP]
    assert about == ["audio.heard"]


def test_a_silent_stream_is_unknown_where_audio_heard_is_not_asked(run: CanaryRun) -> None:
    _never_heard(run)
    run.meta["checks"] = [{"id": "audio.dropouts"}]
    assert result_of(run, "audio.dropouts", RTP).status == "unknown"


def test_unknown_clocks_leave_latency_unknown(run: CanaryRun) -> None:
    run.facts["client1"]["kernel"] = {"started_at": 2}
    assert result_of(run, "lab.clock", "client1").status == "unknown"
    assert result_of(run, "audio.latency", RTP).status == "unknown"


def test_machines_that_were_booted_in_one_second_are_no_containers_on_one_kernel(
    run: CanaryRun,
) -> None:
    for host, facts in run.facts.items():
        facts |= {"boot_id": f"of {host}", "virtualization": "systemd-nspawn"}
    assert Run(run).share_kernel(run.facts)
    for facts in run.facts.values():
        facts["virtualization"] = "kvm"
    assert not Run(run).share_kernel(run.facts)


def test_measured_clocks_make_latency_known(run: CanaryRun) -> None:
    offsets = (("router1", 0.1), ("client1", 0.2), ("client2", -0.3))
    for at, (host, offset_ms) in enumerate(offsets, 1):
        clock = {"offset_ms": offset_ms, "bound_ms": 0.4}
        run.facts[host] = {"kernel": {"started_at": at}, "clock": clock}
    assert result_of(run, "lab.clock", "client2").status == "pass"
    assert result_of(run, "audio.latency", RTP).status == "pass"
    run.facts["client2"]["clock"]["offset_ms"] = 9.0
    assert result_of(run, "lab.clock", "client2").status == "invalid"
    assert result_of(run, "audio.latency", RTP).status == "unknown"


def test_a_host_that_times_no_packets_may_be_further_off(run: CanaryRun) -> None:
    run.plans["wan"] = run.plans["client2"].model_copy(update={"host": "wan", "workers": ()})
    run.facts["wan"] = {"kernel": {"started_at": 9}, "clock": {"offset_ms": 9.0, "bound_ms": 0.4}}
    assert result_of(run, "lab.clock", "wan").status == "pass"
    run.facts["wan"]["clock"]["offset_ms"] = 101.0
    assert result_of(run, "lab.clock", "wan").status == "invalid"


def test_moments_of_the_lab_do_not_excuse_a_stream_that_was_never_heard(run: CanaryRun) -> None:
    _never_heard(run)
    for at_s in range(int(HOLD_AT) - 5, int(HOLD_AT) + 40):
        _overrun(run, float(at_s))
    assert result_of(run, "audio.heard", RTP).status == "fail"


def test_what_a_check_leaves_out_it_does_not_judge(run: CanaryRun) -> None:
    _dropout(run)
    run.meta["checks"] = [{"id": "audio.dropouts", "leave_out": [RTP]}]
    results = judged(run).checks
    assert results and all(result.subject != RTP for result in results)
    run.meta["checks"] = [{"id": "audio.dropouts", "leave_out": ["*"]}]
    assert [result.status for result in judged(run).checks] == ["unknown"]


def test_lost_lines_of_evidence_make_the_host_invalid(run: CanaryRun) -> None:
    run.event(5.0, "client1", "spool.lost", "events-agent", lines=7)
    assert result_of(run, "lab.agents", "client1").status == "invalid"
    assert result_of(run, "lab.agents", "client2").status == "pass"


def test_a_check_that_breaks_knows_nothing(run: CanaryRun) -> None:
    run.meta["checks"] = [{"id": "router.cpu"}, {"id": "router.memory"}]
    key = (ROUTER, "process/router", "cpu_percent")
    run.data[key] = (run.data[key][0], np.array(["not", "numbers"]))  # type: ignore[assignment]
    by_id = {result.id: result for result in judged(run).checks}
    assert by_id["router.cpu"].status == "unknown" and "broke" in by_id["router.cpu"].reason
    assert by_id["router.memory"].status == "pass"


def test_harmless_errors_are_allowed_and_one_error_a_minute_is_not_many(run: CanaryRun) -> None:
    for at in range(9):
        run.log(HOLD_AT + at, "[ERROR:x][alsa.py:1:2]no card", priority=3)
    run.log(HOLD_AT, "[CPP][ERROR][mixer.cpp:9] late")
    result = result_of(run, "log.errors", "error-line")
    assert result.status == "pass" and "1 of 11" in result.reason
