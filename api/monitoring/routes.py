"""Items of the online energy monitoring of enterprises by day or month."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, cast
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Query, Response

from api.answers import WindowRow, record
from api.calculation.pool import LongCalculationRoute
from api.consumption.measures import TOTAL, amounts_of
from api.consumption.routes import BasisChoice, read_consumption
from api.context import AppContext, Context
from api.encode import out, rfc3339
from api.energy import read_energy
from api.monitoring import files
from api.monitoring.answer import (
    KeyUserRow,
    Method,
    MonitoredItem,
    MonitoringAnswer,
    MonitoringRow,
)
from api.monitoring.statement import check_data, is_known, number_or_nan
from api.parameters import From, To
from api.problems import RESPONSES, invalid
from api.reports.routes import MEDIA_TYPES
from api.reports.wording import Language
from api.sums import read_sums, tags_of
from api.windows import ScopePath, WindowQuery, parse_query
from twin.accounts.accounts import Account
from twin.book.model import book_tags, limits
from twin.energy.consumption import Basis
from twin.energy.monitoring import VALUES, KeyUser, monitored_items
from twin.energy.prices import ELECTRICITY
from twin.model.park import inside
from twin.quality import NO_DATA

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=LongCalculationRoute)

DayWindow = Annotated[
    Literal["day", "month"], Query(description="length of a row, on the park's clock")
]
FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            MEDIA_TYPES[each]: {"schema": {"type": "string", "format": "binary"}}
            for each in ("csv", "xlsx")
        }
    }
}
NO_TAG = "no data: [[key_user]] of {} names no tag of it"
NO_METER = "no data: no meter of {}"
# Of a product: the item, the field of the energy, its completeness, its uom, what it is made of.
PRODUCT_ITEMS = (
    ("output", "mass_t", "mass_completeness", "t", ("mass",)),
    ("energy_per_tonne", "kgce_per_t", "kgce_per_t_completeness", "kgce/t",
     ("mass", "coal_equivalent")),
    ("electricity_per_tonne", "kwh_per_t", "kwh_per_t_completeness", "kWh/t",
     ("mass", "electricity")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _User:
    """An enterprise with its windows, and what makes rows of it."""

    context: Context
    query: WindowQuery
    least: float  # completeness that is asked for
    books: frozenset[str]

    def row(
        self, window: int, source: Mapping[str, Any], tags: Sequence[str], **own: Any
    ) -> MonitoringRow:
        """Return a row that has completeness, quality and gaps of another answer's row."""
        share = own.get("completeness", source["completeness"])
        return record(
            MonitoringRow,
            {**source, **own},
            scope=self.query.scope,
            code=monitored_items()[own["item"]]["code"],
            final=bool(self.query.edges[window + 1] <= self.query.expected_us),
            completeness=share,
            complete=None if not tags else bool(np.nan_to_num(number_or_nan(share)) >= self.least),
            method=self._method(tags),
            tags=list(tags),
            reason="" if is_known(own["value"]) else own["reason"] or _gaps(source),
            **{key: own[key] for key in ("item", "carrier", "product", "uom", "value", "value_ci")},
        )

    def _method(self, tags: Sequence[str]) -> Method:
        kinds = {each in self.books for each in tags}
        if len(kinds) > 1:
            return "mixed"
        return "none" if not kinds else "entered" if kinds.pop() else "metered"


def _gaps(source: Mapping[str, Any]) -> str:
    """Return why a value is not known where its answer has no sentence about it."""
    missing = source["missing"]
    return f"no data: {', '.join(missing)}" if missing else "no data"


@router.get("/{path:path}/online-monitoring")
async def read_online_monitoring(
    context: AppContext,
    path: ScopePath,
    window: DayWindow = "day",
    from_: From = None,
    to: To = None,
    basis: BasisChoice = "equivalent",
) -> MonitoringAnswer:
    """Return the items of the online energy monitoring (重点用能单位能耗在线监测) by enterprise.

    Every enterprise at or below the scope has every item: what is not known is null with its
    reason. Values are those of the meters and the books, not of the closed balances.
    """
    query = parse_query(context, path, window, from_, to)
    users = _enterprises(query)
    count, mend = len(users) * (len(query.edges) - 1), "a shorter range, or one enterprise"
    context.require_limit("to", count, "windows_max", "windows times enterprises", mend)
    books = frozenset(book_tags(query.network.park))
    rows: list[MonitoringRow] = []
    for scope in users:
        user = _User(context, replace(query, scope=scope), limits()["completeness"], books)
        rows += await _rows(user, basis, from_, to)
    # By window, then by enterprise, in the order of the items.
    rows.sort(key=lambda row: row["start"])
    return record(
        MonitoringAnswer,
        query,
        start=rfc3339(int(query.edges[0]), query.zone),
        end=rfc3339(int(query.edges[-1]), query.zone),
        basis=basis,
        items=rows,
        catalogue=[record(MonitoredItem, item) for item in monitored_items().values()],
        users=[_user_row(query, scope) for scope in users],
        statement=await check_data(context, query, users, rows),
        next=None,
    )


@router.get("/{path:path}/online-monitoring/file", responses=FILES)
async def read_online_monitoring_file(
    context: AppContext,
    path: ScopePath,
    window: DayWindow = "day",
    from_: From = None,
    to: To = None,
    basis: BasisChoice = "equivalent",
    format_: Annotated[Literal["csv", "xlsx"], Query(alias="format")] = "csv",
    lang: Annotated[Language, Query(description="language of the file")] = "zh",
) -> Response:
    """Return the items of the online energy monitoring as a file, their statement in it."""
    answer = await read_online_monitoring(context, path, window, from_, to, basis)
    name = quote("-".join(("energy", path, window, answer["start"][:10], lang)).replace("/", "-"))
    return Response(
        files.RENDER[format_](answer, lang),
        media_type=MEDIA_TYPES[format_],
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}.{format_}"},
    )


def _enterprises(query: WindowQuery) -> list[str]:
    """Return the enterprises at and below a scope; raises Problem 422 for a part of one."""
    scopes = query.network.park.scopes
    kinds = {each.id: each.kind for each in scopes}
    users = [s.id for s in scopes if s.kind == "enterprise" and inside(s.id, query.scope)]
    if not users:
        above = [s for s in kinds if inside(query.scope, s) and kinds[s] == "enterprise"]
        hint = f"ask for {above[0]}" if above else "the model has no enterprise in it"
        raise invalid(
            "path", f"{query.scope} has no enterprise that reports", hint=hint, part="path"
        )
    return users


def _user_row(query: WindowQuery, scope: str) -> KeyUserRow:
    known = query.network.park.scope(scope)
    assert known is not None
    return record(KeyUserRow, known, scope=scope, credit_code=_key_user(query, scope).credit_code)


def _key_user(query: WindowQuery, scope: str) -> KeyUser:
    """Return the row of an enterprise; an empty one where the model has none."""
    rows = (each for each in query.network.park.rows(KeyUser) if each.scope == scope)
    return next(rows, KeyUser(scope))


async def _rows(user: _User, basis: Basis, from_: From, to: To) -> list[MonitoringRow]:
    """Return the rows of an enterprise."""
    query, result = user.query, list[MonitoringRow]()
    used = await read_consumption(
        user.context, query.scope, cast("Any", query.window), from_, to, None,
        ["amount", "coal_equivalent"], "scope", basis,
    )  # fmt: skip
    made = await read_energy(user.context, query, basis, "measured")
    window = {rfc3339(edge, query.zone): n for n, edge in enumerate(query.edges.tolist())}
    result += _carrier_rows(user, window, used["items"]) or _unmetered(user)
    for row in made["items"]:
        if row["product"] != TOTAL:
            result += _product_rows(user, window[row["start"]], row)
    return result + await _value_rows(user)


def _carrier_rows(
    user: _User, window: Mapping[str, int], items: Iterable[Mapping[str, Any]]
) -> list[MonitoringRow]:
    """Return amount and coal equivalent of each carrier, and the sum of all."""
    network, scope = user.query.network, user.query.scope
    weights = amounts_of(network, scope)
    tags = {
        carrier: [network.tags[t].address for t in np.flatnonzero(weight).tolist()]
        for carrier, weight in weights.items()
    }
    tags[TOTAL] = list(dict.fromkeys(address for each in tags.values() for address in each))
    result = []
    for row in items:
        at, carrier = window[row["start"]], row["carrier"]
        coal = {
            "uom": "kgce", "value": row["coal_equivalent_kgce"],
            "value_ci": row["coal_equivalent_ci_kgce"], "product": "", "reason": row["reason"],
        }  # fmt: skip
        if carrier == TOTAL or len(weights) == 1:
            head = {"item": "comprehensive_energy", "carrier": ""}
            result.append(user.row(at, row, tags[carrier], **head, **coal))
        if carrier != TOTAL:
            amount = coal | {
                "uom": row["uom"],
                "value": row["amount"],
                "value_ci": row["amount_ci"],
            }
            head = {"carrier": carrier}
            result.append(user.row(at, row, tags[carrier], item="carrier", **head, **amount))
            result.append(
                user.row(at, row, tags[carrier], item="carrier_coal_equivalent", **head, **coal)
            )
    return result


def _blank(query: WindowQuery) -> list[WindowRow]:
    """Return windows of which nothing is known."""
    missing: list[list[str]] = [[] for _ in query.days]
    return query.rows(WindowRow, {"completeness": None, "quality": NO_DATA, "missing": missing})


def _unmetered(user: _User) -> list[MonitoringRow]:
    """Return the comprehensive energy of an enterprise without a meter: it is not known."""
    why = NO_METER.format(f"energy of {user.query.scope}")
    head = {"item": "comprehensive_energy", "carrier": "", "product": "", "uom": "kgce"}
    rows = _blank(user.query)
    return [
        user.row(window, row, [], **head, value=None, value_ci=None, reason=why)
        for window, row in enumerate(rows)
    ]


def _product_rows(user: _User, window: int, row: Mapping[str, Any]) -> list[MonitoringRow]:
    """Return output and energy per tonne of a product."""
    network, product = user.query.network, row["product"]
    result = []
    for item, field, share, uom, parts in PRODUCT_ITEMS:
        accounts = [Account(user.query.scope, product, part) for part in parts]
        known = all(account in network.accounts for account in accounts)
        tags = [network.tags[t].address for t in tags_of(network, accounts).tolist()]
        lacking = "" if known else NO_METER.format(f"{parts[-1]} of {product}")
        result.append(
            user.row(
                window,
                row,
                tags if known else [],
                item=item,
                carrier=ELECTRICITY if item == "electricity_per_tonne" else "",
                product=product,
                uom=uom,
                value=row[field],
                value_ci=row.get(f"{field}_ci"),
                completeness=row[share],
                reason=lacking or (row["reason"] if item == "energy_per_tonne" else ""),
            )
        )
    return result


async def _value_rows(user: _User) -> list[MonitoringRow]:
    """Return output value and value added, which the books have."""
    query, network = user.query, user.query.network
    given = _key_user(query, query.scope)
    at = {item: network.index.get(getattr(given, item), -1) for item in VALUES}
    tags = np.unique(np.array([t for t in at.values() if t >= 0], dtype=np.int64))
    sums = await read_sums(user.context, query, tags)
    blank = _blank(query)
    result = []
    for item, tag in at.items():
        columns = {"value": np.full(len(blank), np.nan), "ci": np.full(len(blank), np.nan)}
        trust: Sequence[Mapping[str, Any]] = blank
        uom, names = "CNY", list[str]()
        if tag >= 0:
            column = np.searchsorted(tags, [tag])
            amount, one = sums.amount[:, column[0]], network.tags[tag]
            weight = np.zeros(len(network.tags))
            weight[tag] = 1.0
            scale = one.scale, one.shift
            columns = {
                "value": out(amount, scale),
                "ci": out(sums.ci("", weight), (one.scale, 0.0)),
            }
            trust = query.rows(WindowRow, sums.trust(column, ~np.isnan(amount)))
            uom, names = one.uom, [one.address]
        why = "" if names else NO_TAG.format(query.scope)
        for window, row in enumerate(trust):
            value, ci = (float(columns[key][window]) for key in ("value", "ci"))
            result.append(
                user.row(
                    window,
                    row,
                    names,
                    item=item,
                    carrier="",
                    product="",
                    uom=uom,
                    value=value,
                    value_ci=ci,
                    reason=why,
                )
            )
    return result
