"""The sipp scenario of a device that registers, stays for a while, and un-registers.

One call is one cycle. Its fields are those of `screamlab.load.sip.sipp_process`; times in them are
unix seconds. It logs, with the cycle's number in front and the unix time behind, ``begins``,
``registered``, ``leaves`` and ``unregistered``, or ``unanswered``.
"""

from __future__ import annotations

_NAME, _USER, _CREDENTIALS, _ADDRESS, _FROM, _UNTIL = (f"[field{n}]" for n in range(6))
_NOW = (
    '<gettimeofday assign_to="now,micro"/>'
    '<multiply assign_to="micro" value="0.000001"/>'
    '<add assign_to="now" variable="micro"/>'
)


def register_xml(limit_s: float, expires_s: int = 60) -> str:
    """The scenario; a request that is not answered within `limit_s` ends the cycle."""
    limit = f'timeout="{limit_s * 1000:.0f}" ontimeout="unanswered"'
    steps = [
        f"<nop><action>{_read('from', _FROM)}{_read('until', _UNTIL)}</action></nop>",
        *_wait("from", "begin"),
        _log("begins"),
        *_register(expires_s, limit),
        _log("registered"),
        *_wait("until", "leave"),
        _log("leaves"),
        *_register(0, limit),
        _log("unregistered"),
        '<nop next="over"/>',
        '<label id="unanswered"/>',
        _log("unanswered"),
        '<label id="over"/>',
        "<nop/>",
    ]
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<scenario name="churn">',
            *steps,
            "</scenario>",
            "",
        ]
    )


def _read(variable: str, field: str) -> str:
    return (
        f'<assignstr assign_to="text" value="{field}"/>'
        f'<todouble assign_to="{variable}" variable="text"/>'
    )


def _wait(until: str, label: str) -> list[str]:
    """Pause until the unix second in a variable."""
    return [
        f'<nop next="{label}" test="over"><action>{_NOW}'
        f'<assign assign_to="wait" variable="{until}"/>'
        '<subtract assign_to="wait" variable="now"/>'
        '<multiply assign_to="wait" value="1000"/>'
        '<test assign_to="over" variable="wait" compare="less_than" value="1"/>'
        "</action></nop>",
        '<pause variable="wait"/>',
        f'<label id="{label}"/>',
    ]


def _log(what: str) -> str:
    return f'<nop><action>{_NOW}<log message="{_NAME} {what} [$now]"/></action></nop>'


def _register(expires_s: int, limit: str) -> list[str]:
    """REGISTER, the challenge, and the answer to it (RFC 3261 sections 10 and 22)."""
    # sipp waits for the first of several answers as long as that one says.
    provisional = f'<recv response="100" optional="true" {limit}/>'
    return [
        _request(expires_s),
        provisional,
        f'<recv response="401" auth="true" {limit}/>',
        _request(expires_s, _CREDENTIALS),
        provisional,
        f'<recv response="200" {limit}/>',
    ]


def _request(expires_s: int, *more: str) -> str:
    lines = [
        "REGISTER sip:[domain] SIP/2.0",
        f"Via: SIP/2.0/[transport] {_ADDRESS}:[local_port];rport;branch=[branch]",
        f"From: <sip:{_USER}@[domain]>;tag=c[call_number]-[pid]",
        f"To: <sip:{_USER}@[domain]>",
        "Call-ID: [call_id]",
        "CSeq: [cseq] REGISTER",
        f"Contact: <sip:{_USER}@{_ADDRESS}:[local_port]>",
        "Max-Forwards: 70",
        "User-Agent: screamlab",
        f"Expires: {expires_s}",
        *more,
        "Content-Length: 0",
    ]
    text = "\n".join(lines)
    return f'<send retrans="500"><![CDATA[\n\n{text}\n\n]]></send>'
