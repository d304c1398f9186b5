"""A fit as a table."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from screamlab.fit.direction import DirectionFit
from screamlab.fit.model import Fit, Stretch
from screamlab.fit.router import RouterFit


def show(found: Fit, console: Console) -> None:
    """Print what was fitted to each direction, how well, and when the path changed."""
    for way, done in found.whole.items():
        console.print(_direction(f"{way}: {done.samples.source}", done))
        for remark in done.remarks:
            console.print(Text(f"note: {remark}"), soft_wrap=True)
    if found.router:
        console.print(_router(found.router))
    if len(found.stretches) > 1:
        console.print(_stretches(found.stretches))
    for note in found.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)


def _direction(title: str, done: DirectionFit) -> Table:
    table = Table("", "measured", "fitted", "how well it fits", title=title, title_justify="left")
    samples, loss, delay = done.samples, done.loss, done.delay
    count = len(samples.send_s)
    table.add_row("packets", f"{count}, every {samples.spacing_s * 1e3:.3g} ms", "", "")
    if delay:
        low, middle, high, most = delay.measured_ms
        table.add_row(
            "delay",
            f"5 % {low:.3f}, 50 % {middle:.3f}, 95 % {high:.3f}, most {most:.1f} ms",
            f"table of {len(delay.quantiles_ms)} points",
            f"KS {delay.ks:.3f}; memory {delay.memory:.2f}, of the table "
            f"{delay.memory_of_table:.2f}",
        )
    table.add_row("loss", f"{loss.losses} ({loss.losses / max(1, loss.packets):.3%})",
                  _loss(done), _tests(done))  # fmt: skip
    if not loss.losses:
        table.add_row("", "", "", f"at most {3 / max(1, loss.packets):.3%} with 95 % confidence")
    table.add_row("reordered", f"{done.reordered:.3%}", _reorder(done), "")
    if done.rate:
        queue = f", queue {done.rate.queue_ms:.0f} ms" if done.rate.queue_ms else ", queue unknown"
        table.add_row("rate", f"{done.rate.pairs} packet pairs",
                      f"{done.rate.rate_kbit:.0f} kbit/s{queue}",
                      f"spread {done.rate.spread:.1%}")  # fmt: skip
    return table


def _loss(done: DirectionFit) -> str:
    loss = done.loss
    if not loss.p:
        return loss.model
    spacing_ms = done.samples.spacing_s * 1e3
    return (
        f"{loss.model}: p {loss.p:.3%}, r {loss.r:.2%}, loses {loss.bad_loss:.1%} while bad "
        f"({1 / loss.r:.1f} packets, {spacing_ms / loss.r:.0f} ms), {loss.good_loss:.2%} while good"
    )


def _tests(done: DirectionFit) -> str:
    loss = done.loss
    said = []
    if loss.against_independent_p is not None:
        said.append(f"independent: p {loss.against_independent_p:.2g}")
    for name, value in (("bursts", loss.burst_p), ("gaps", loss.gap_p)):
        said.append(f"{name}: " + (f"p {value:.2g}" if value is not None else "too few to test"))
    return "; ".join(said) if loss.losses else ""


def _reorder(done: DirectionFit) -> str:
    if done.condition.keep_order:
        return "order kept"
    return f"{done.condition.reorder.percent:g} % on top" if done.condition.reorder else "by delay"


def _router(found: RouterFit) -> Table:
    table = Table("", "measured", "fitted", title=f"to_host: {found.source}",
                  title_justify="left")  # fmt: skip
    table.add_row("stream", f"{found.stream}, {found.seconds:.0f} s", "")
    table.add_row("jitter (J of RFC 3550)", f"{found.jitter_ms:.3f} ms",
                  f"normal, {found.condition.jitter_ms:g} ms")  # fmt: skip
    table.add_row("missing chunks", f"{found.missing:.3%}",
                  "independent" if found.condition.loss else "none")  # fmt: skip
    return table


def _stretches(stretches: tuple[Stretch, ...]) -> Table:
    table = Table("from s", "direction", "packets", "median delay", "loss", "model",
                  title="the path changed", title_justify="left")  # fmt: skip
    for stretch in stretches:
        for way, done in stretch.directions.items():
            middle = f"{done.delay.measured_ms[1]:.2f} ms" if done.delay else "cut"
            table.add_row(f"{stretch.from_s:.1f}", way, str(len(done.samples.send_s)), middle,
                          f"{done.loss.losses / max(1, done.loss.packets):.2%}",
                          done.loss.model)  # fmt: skip
    return table
