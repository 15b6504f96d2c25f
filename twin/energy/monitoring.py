"""Table ``[[key_user]]``: enterprises that report to the online energy monitoring (重点用能单位).

The row says who reports and which tags of the books have the values that no meter gives. The items
of a report, and their codes, are a reference table.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from twin.model.park import owner_of
from twin.model.rows import RowFault, cell, table
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.model.park import Park

# GB 32100: capital letters without I, O, S, V and Z.
CREDIT_CODE = re.compile(r"[0-9A-HJ-NPQRTUWXY]{18}\Z")
# Columns that name a tag of money, by the item they are the value of.
VALUES = ("output_value", "value_added")


@table
class KeyUser:
    """An enterprise whose energy is reported online."""

    scope: str = cell("scope")
    # Unified social credit code (统一社会信用代码).
    credit_code: str = cell("text", default="")
    output_value: str = cell("tag money", default="")
    value_added: str = cell("tag money", default="")
    source: str = cell("any", default="")
    note: str = cell("any", default="")


def monitored_items() -> dict[str, dict[str, Any]]:
    """Return the items of a report by their id, in the order of the reference table."""
    return {row["id"]: row for row in load_reference("online_monitoring")["item"]}


def monitoring_rules() -> dict[str, dict[str, Any]]:
    """Return what is asked of the data of a report, by its id."""
    return {row["id"]: row for row in load_reference("online_monitoring")["rule"]}


def check_key_users(park: Park) -> Iterator[RowFault]:
    """Yield rows of no enterprise, with a wrong code, or with values of another enterprise."""
    kinds = {scope.id: scope.kind for scope in park.scopes}
    owners = {tag.address: tag.owner for tag in park.tags}
    for row in park.rows(KeyUser):
        if kinds.get(row.scope) != "enterprise":
            yield RowFault(row, "is of an enterprise", "scope")
            continue
        if row.credit_code and not CREDIT_CODE.match(row.credit_code):
            text = f"credit_code {row.credit_code!r}: 18 digits and capitals without I, O, S, V, Z"
            yield RowFault(row, text, "credit_code")
        for column in VALUES:
            address = getattr(row, column)
            if address and owners[address] != owner_of(row.scope, kinds):
                yield RowFault(row, f"{column}: {address!r} is of another enterprise", column)
