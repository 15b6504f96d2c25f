"""Two reports of the same period told apart: the figures that differ, by their addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from typing_extensions import TypedDict

from api.answers import Name, Number, formula
from api.reports.document import ReportDocument, figures_of

if TYPE_CHECKING:
    from collections.abc import Mapping

# What of a figure is compared; its number is its place in the report.
COMPARED = ("value", "half_width", "uom", "completeness", "quality", "values", "missing", "reason")


class ChangedFigure(TypedDict):
    """A figure of two reports; null where one of them does not have it."""

    address: str
    label: Name
    uom: str
    before: Annotated[Number, formula("the figure in the report that was kept")]
    after: Annotated[Number, formula("the figure of the answer at `address` today")]


def changed_figures(before: ReportDocument, after: ReportDocument) -> list[ChangedFigure]:
    """Return the figures of tables and charts that two reports say differently."""
    old, new = _figures(before), _figures(after)
    return [
        {
            "address": address,
            "label": (new.get(address) or old[address])["label"],
            "uom": (new.get(address) or old[address])["uom"],
            "before": old[address]["value"] if address in old else None,
            "after": new[address]["value"] if address in new else None,
        }
        for address in dict.fromkeys([*old, *new])
        if _content(old.get(address)) != _content(new.get(address))
    ]


def _content(figure: Mapping[str, Any] | None) -> Any:
    return figure and [figure.get(each) for each in COMPARED]


def _figures(document: ReportDocument) -> dict[str, dict[str, Any]]:
    """Return the figures of a report by their addresses, with their labels."""
    result: dict[str, dict[str, Any]] = {
        figure["address"]: {**figure, "label": line["label"]}
        for line, figure in figures_of(document)
    }
    for section in document["sections"]:
        for block in section["blocks"]:
            if block["type"] == "chart":
                for series in block["series"]:
                    columns = (series["values"], series["half_widths"], series["completeness"],
                               series["quality"], series["pointers"])  # fmt: skip
                    for value, width, share, quality, pointer in zip(*columns, strict=True):
                        result.setdefault(
                            f"{block['address']}#{pointer}",
                            {"value": value, "half_width": width, "completeness": share,
                             "quality": quality, "label": series["label"], "uom": block["uom"]},
                        )  # fmt: skip
    return result
