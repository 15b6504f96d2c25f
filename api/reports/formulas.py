"""How each kind of figure of a report is calculated, as the answers document it."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from api.reports.document import ReportRows, ReportSection, figures_in, name, rows, same

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from api.answers import Name
    from api.reports.replies import Reply

CHINESE = Path(__file__).with_name("formulas.toml")
# A field of figures of many names.
ANY = "value"
GIVEN = name("给定、记录或计数的数值", "stated, recorded or counted")


def formulas(sections: Iterable[ReportSection], replies: Mapping[str, Reply]) -> ReportRows:
    """Return the formula of each kind of figure in sections, once, in their order."""
    by_address = {reply.address: reply for reply in replies.values()}
    lines: dict[tuple[str, str], list[Name]] = {}
    for line, figure in figures_in(sections):
        address, _, pointer = figure["address"].partition("#")
        subject = urlsplit(address).path.rpartition("/")[2]
        field = next(part for part in reversed(pointer.split("/")) if not part.isdecimal())
        if (subject, field) not in lines:
            label = name("数值", "Value") if field == ANY else line["label"]
            formula = by_address[address].formula(pointer)
            calculated = GIVEN if formula is None else wording_of(formula)
            lines[subject, field] = [label, same(f"{subject}/{field}"), calculated]
    return rows(
        name("计算方法", "How figures are calculated"),
        [name("指标", "Figure"), name("接口与字段", "Answer and field"),
         name("计算方法", "Calculated as")],
        list(lines.values()),
    )  # fmt: skip


def wording_of(formula: str) -> Name:
    """Return a formula in both languages; one without a translation in English alone."""
    return name(_chinese().get(formula, formula), formula)


@cache
def _chinese() -> dict[str, str]:
    return tomllib.loads(CHINESE.read_text(encoding="utf-8"))
