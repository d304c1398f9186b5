"""What the lab's pages have in common: templates, style, and the data that their scripts read."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def rendered(package: str, template: str, **told: Any) -> str:
    """A template in the folder `package` of screamlab as a page that opens offline."""
    environment = Environment(
        loader=PackageLoader("screamlab", package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    return environment.get_template(template).render(style=own("report.css"), **told)


def own(name: str) -> Markup:
    """A file of the report's own, as it is: style or script."""
    return Markup(resources.files("screamlab.report").joinpath(name).read_text(encoding="utf-8"))


def embedded(data: Any) -> Markup:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.6g}".replace(",", " ")
