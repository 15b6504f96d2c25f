"""Table ``[[forward]]``: outlets whose values go on to an authority, and what is said of them.

An item is a code of HJ 212 with its fields in the unit of the code, and a flag. What is not known
has a flag and no field: nothing stands in for a value.

References
----------
.. [1] HJ 212-2017, Annex B (codes), Annex C (flags of intervals: normal where three quarters are),
   §6.6 (fields Rtd, Min, Avg, Max, Cou, Zs…).
.. [2] HJ 76-2017, Appendix B: valid hours of a day; means and masses of valid hours.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from twin import quality as q
from twin.arrays import F64, HOUR_S, MINUTE_S, U8, ratio
from twin.emissions.outlets import Hours, Outlet, evaluate, outlets_of
from twin.emissions.validity import STOPPED, needed, normal_s
from twin.model.gateways import MN
from twin.model.rows import RowFault, cell, table
from twin.reference import load as load_reference
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from twin.model.park import Park

CODE = re.compile(r"[aw]\d{5}\Z")
NORMAL, STOPPED_FLAG, NO_DATA_FLAG, FAULT_FLAG = "N", "F", "B", "D"


@table
class ForwardSpec:
    """An outlet whose values go on to an authority, under the MN it has there."""

    outlet: str = cell("text")
    mn: str = cell("text")
    password: str = cell("text", default="")
    # Code of each pollutant, where it is not the usual one; empty = it is not sent.
    codes: dict[str, str] = cell("each any", default_factory=dict)
    minutes: int = cell("count", default=10)  # of an interval of command 2051
    # Whether simulated values may go there: to a test address only.
    simulated: bool = cell("flag", default=False)
    source: str = cell("any", default="")
    note: str = cell("any", default="")


class Forward(NamedTuple):
    """A row with its outlet and the codes of what is sent."""

    spec: ForwardSpec
    outlet: Outlet
    system: str  # ST of its packets
    codes: dict[str, str]  # of pollutants
    states: dict[str, str]  # of columns of the outlet: flow, temperature, …

    @property
    def tags(self) -> tuple[str, ...]:
        """Addresses of all tags that are read."""
        return tuple(dict.fromkeys([*self.outlet.measured_by, *self.outlet.tags.values()]))


class TagPieces(NamedTuple):
    """What is stored of a tag in H pieces of time, (H,) each."""

    mean: F64  # [SI] NaN = not known
    valid_s: F64  # [s] it is valid for
    low: F64  # [SI]
    high: F64  # [SI]
    quality: U8


class ForwardItem(NamedTuple):
    """A code with its fields in its unit, and the flag of all of them."""

    code: str
    fields: dict[str, float]
    flag: str


def forwards_of(park: Park) -> tuple[Forward, ...]:
    """Return what a model sends on."""
    outlets = {outlet.id: outlet for outlet in outlets_of(park)}
    return tuple(_forward(row, outlets[row.outlet]) for row in park.rows(ForwardSpec))


def _forward(row: ForwardSpec, outlet: Outlet) -> Forward:
    known = load_reference("cems")["forward"][outlet.kind]
    codes = {name: row.codes.get(name, _usual_code(outlet, name)) for name in outlet.names}
    return Forward(
        row,
        outlet,
        known["system"],
        {name: code for name, code in codes.items() if code},
        {
            column: code
            for column, code in known["codes"].items()
            if (outlet.flow_tags if column == "flow" else column in outlet.tags)
            and not _is_absolute(outlet, column)
        },
    )


def _is_absolute(outlet: Outlet, column: str) -> bool:
    """Return whether a pressure counts from zero: the code is of one against the atmosphere."""
    return column == "pressure" and bool(np.isnan(outlet.barometric))


def _usual_code(outlet: Outlet, name: str) -> str:
    """Return the code of a pollutant by its symbol; empty where there is none."""
    letter = "w" if outlet.kind == "drain" else "a"
    for code, row in load_reference("pollutants").items():
        if code.startswith(letter) and name in (code, *row.get("symbols", ())):
            return str(code)
    return ""


def check_forwards(park: Park) -> Iterator[RowFault]:
    """Yield rows of no outlet, with an MN twice, or with codes that there are not."""
    outlets = {outlet.id: outlet for outlet in outlets_of(park)}
    allowed = load_reference("cems")["forward"]["minutes"]["allowed"]
    seen = set[str]()
    for row in park.rows(ForwardSpec):
        outlet = outlets.get(row.outlet)
        if outlet is None:
            yield RowFault(row, f"there is no outlet {row.outlet!r}", "outlet")
            continue
        if not MN.match(row.mn) or row.mn in seen:
            yield RowFault(row, f"mn {row.mn!r} is of another row, or none", "mn")
        seen.add(row.mn)
        if row.minutes not in allowed:
            yield RowFault(row, f"minutes is one of {', '.join(map(str, allowed))}", "minutes")
        for name, code in row.codes.items():
            if name not in outlet.names:
                yield RowFault(row, f"codes: {name} is not one of the pollutants", "codes")
            elif code and (not CODE.match(str(code)) or code not in load_reference("pollutants")):
                yield RowFault(row, f"codes: {code!r} is no code with a unit we know", "codes")
        for name in outlet.names:
            if not (_usual_code(outlet, name) or name in row.codes):
                text = f'{name} has no usual code: add codes = {{ "{name}" = "a…" }}, or ""'
                yield RowFault(row, text, "codes")


@cache
def _flags() -> dict[int, str]:
    """Return the flag of each quality that has one."""
    result: dict[int, str] = {}
    for flag, row in load_reference("cems")["flag"].items():
        reason = getattr(q, row["reason"].upper()) if row["reason"] else q.GOOD
        result.setdefault(q.WORDS[row["severity"]] | reason, flag)
    return result


def flag_of_quality(code: int) -> str:
    """Return the data flag of a quality.

    Parameters
    ----------
    code : int
        quality [code]; whether it is simulated does not matter

    Returns
    -------
    str
        the flag that has this quality [1]_; our own doubt about a value is none of the monitor's,
        so that other uncertain values are normal, and other bad ones faults
    """
    plain = int(code) & ~q.SIMULATED
    usual = FAULT_FLAG if plain >= q.BAD else NORMAL
    return _flags().get(plain, usual)


def interval_items(
    forward: Forward, pieces: Mapping[str, TagPieces], duration_s: F64, least: int
) -> list[ForwardItem]:
    """Return the items of an interval that is made of H pieces of time.

    Parameters
    ----------
    forward
        with the outlet whose values are sent
    pieces : by address
        of all `Forward.tags`
    duration_s : (H,) float64 [s]
        of the pieces: one of an interval of minutes or an hour, the hours of a day
    least : int
        valid pieces that make the interval normal

    Returns
    -------
    list of ForwardItem
        means over the valid pieces, without any over what there is; masses and volumes are sums
        over valid pieces [2]_, null where none is; a flag of each [1]_
    """
    # Three quarters of a piece make it valid, whatever its length.
    scale = HOUR_S / duration_s
    mean = {address: each.mean for address, each in pieces.items()}
    valid_s = {address: each.valid_s * scale for address, each in pieces.items()}
    hours = evaluate(forward.outlet, mean, valid_s, duration_s)
    items = [
        _pollutant(forward, pieces, hours, name, least) for name in forward.outlet.names
        if name in forward.codes
    ]  # fmt: skip
    return items + [
        _flow(forward, pieces, hours, duration_s, least) if column == "flow"
        else _state(forward, pieces[forward.outlet.tags[column]], column, duration_s, least)
        for column in forward.states
    ]  # fmt: skip


def _pollutant(
    forward: Forward, pieces: Mapping[str, TagPieces], hours: Hours, name: str, least: int
) -> ForwardItem:
    outlet, code = forward.outlet, forward.codes[name]
    p = outlet.names.index(name)
    works = hours.state != STOPPED
    there = ~np.isnan(hours.concentration[p]) & works
    good = there & hours.measured[p]
    used = good if good.any() else there
    weight = np.where(used, hours.flow if outlet.kind == "drain" else 1.0, 0.0)
    values = {
        "Avg": _mean(hours.concentration[p], weight),
        "ZsAvg": np.nan if np.isnan(outlet.oxygen_reference) else _mean(hours.corrected[p], weight),
    }
    if outlet.analysers[p].plain:
        tag = pieces[outlet.analysers[p].tags[0]]
        values |= {"Min": _least(tag.low[used]), "Max": -_least(-tag.high[used])}
    fields = _in_uom(code, values)
    counted = hours.valid[p] | ~works
    if counted.any():
        fields["Cou"] = float(np.where(counted, hours.emission[p], 0.0).sum())
    if not works.any():
        return ForwardItem(code, fields, STOPPED_FLAG)
    is_normal = np.count_nonzero(good | ~works) >= least
    analysed = [pieces[address].quality for address in outlet.shown_by(name)]
    return ForwardItem(code, fields, NORMAL if is_normal else _interval_flag(analysed))


def _flow(
    forward: Forward, pieces: Mapping[str, TagPieces], hours: Hours, duration_s: F64, least: int
) -> ForwardItem:
    code, tags = forward.states["flow"], forward.outlet.flow_tags
    known = ~np.isnan(hours.flow)
    fields = _in_uom(code, {"Avg": _mean(hours.flow, np.where(known, duration_s, 0.0))})
    if known.any():
        fields["Cou"] = float(np.where(known, hours.flow * duration_s, 0.0).sum())
    share = np.min([pieces[each].valid_s / duration_s for each in tags], axis=0, initial=1.0)
    is_normal = bool(tags) and np.count_nonzero(known & (share >= _normal_share())) >= least
    qualities = [pieces[each].quality for each in tags]
    return ForwardItem(code, fields, NORMAL if is_normal else _interval_flag(qualities))


def _state(
    forward: Forward, tag: TagPieces, column: str, duration_s: F64, least: int
) -> ForwardItem:
    code, known = forward.states[column], ~np.isnan(tag.mean)
    values = {
        "Avg": _mean(tag.mean, np.where(known, duration_s, 0.0)),
        "Min": _least(tag.low[known]), "Max": -_least(-tag.high[known]),
    }  # fmt: skip
    good = known & (tag.valid_s / duration_s >= _normal_share())
    is_normal = np.count_nonzero(good) >= least
    return ForwardItem(code, _in_uom(code, values),
                       NORMAL if is_normal else _interval_flag([tag.quality]))  # fmt: skip


def instant_items(
    forward: Forward, value: Mapping[str, float], quality: Mapping[str, int]
) -> list[ForwardItem]:
    """Return the items of this moment.

    Parameters
    ----------
    forward
        with the outlet whose values are sent
    value : float [SI] by address
        newest values; NaN = none that still holds
    quality : int [code] by address
        their qualities

    Returns
    -------
    list of ForwardItem
        Rtd, and ZsRtd at the reference oxygen, with the flag of the worst tag of each [1]_
    """
    outlet, one = forward.outlet, np.ones(1)
    known = {a: np.array([v if quality[a] < q.BAD else np.nan]) for a, v in value.items()}
    hours = evaluate(outlet, known, dict.fromkeys(value, HOUR_S * one), one)

    def flag(addresses: Sequence[str]) -> str:
        return _worst_flag([np.array([quality[a]], np.uint8) for a in addresses])

    items = []
    for name, code in forward.codes.items():
        p = outlet.names.index(name)
        values = {"Rtd": hours.concentration[p, 0]}
        if not np.isnan(outlet.oxygen_reference):
            values["ZsRtd"] = hours.corrected[p, 0]
        letter = STOPPED_FLAG if hours.state[0] == STOPPED else flag(outlet.shown_by(name))
        items.append(ForwardItem(code, _in_uom(code, values), letter))
    for column, code in forward.states.items():
        current = hours.flow[0] if column == "flow" else known[outlet.tags[column]][0]
        tags = outlet.flow_tags if column == "flow" else (outlet.tags[column],)
        items.append(ForwardItem(code, _in_uom(code, {"Rtd": current}), flag(tags)))
    return items


def needed_pieces(*, day: bool) -> int:
    """Return how many pieces make an interval normal.

    Parameters
    ----------
    day : bool
        whether its pieces are the hours of a day; else it is one piece

    Returns
    -------
    int
        20 hours of a day [2]_, or the one
    """
    return needed("day") if day else 1


def _normal_share() -> float:
    return normal_s() / MINUTE_S


def _mean(column: F64, weight: F64) -> float:
    """Return a weighted mean; NaN where nothing has a weight."""
    used = np.where(weight > 0, np.nan_to_num(column), 0.0)
    kept = np.where(np.isnan(column), 0.0, weight)
    return float(ratio(np.sum(used * kept), np.sum(kept)))


def _least(column: F64) -> float:
    known = column[~np.isnan(column)]
    return float(known.min()) if len(known) else np.nan


def _in_uom(code: str, values: Mapping[str, Any]) -> dict[str, float]:
    """Return known values in the unit of a code."""
    row = load_reference("pollutants")[code]
    scale, shift = compile_uom(row["uom"], row["quantity"])
    return {name: float((value - shift) / scale) for name, value in values.items()
            if not np.isnan(value)}  # fmt: skip


def _worst_flag(qualities: Sequence[U8]) -> str:
    """Return the flag of the worst of some qualities; that of no data without any."""
    worst = [int((each & ~np.uint8(q.SIMULATED)).max()) for each in qualities if len(each)]
    return flag_of_quality(max(worst)) if worst else NO_DATA_FLAG


def _interval_flag(qualities: Sequence[U8]) -> str:
    """Return the flag of an interval that is not normal: too little of it is enough for a fault."""
    flag = _worst_flag(qualities)
    return FAULT_FLAG if flag == NORMAL else flag
