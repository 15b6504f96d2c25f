"""The sections of a report: which figures of which answers stand in them, in which order."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from api.answers import Name
from api.reports.document import (
    NOTHING,
    ReportLine,
    ReportSection,
    name,
    rows,
    same,
    table,
)
from api.reports.exchange import pairing
from api.reports.names import dotted
from api.reports.replies import Field, Reply, field, line
from api.reports.wording import (
    decimals_of,
    joined,
    listed,
    number_text,
    plain_text,
    sentence,
    share_text,
    time_text,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from api.reports.document import FigureTable, ReportChart, ReportRows
    from api.reports.names import ReportNames

    Replies = Mapping[str, Reply]
    Block = FigureTable | ReportRows | ReportChart

PRODUCT = (
    field("mass_t", "产量", "Output", "t"),
    field("energy_kwh", "电力消费量", "Electricity used", "MWh", 1e-3),
    field("energy_kgce", "综合能耗（当量值）", "Comprehensive energy", "tce", 1e-3),
    field("kwh_per_t", "单位产品电耗", "Electricity per tonne", "kWh/t"),
    field("kgce_per_t", "单位产品综合能耗", "Energy per tonne", "kgce/t"),
)
PER_TONNE = PRODUCT[-1:]
CELLS = (
    field("dc_kwh_per_t", "直流电耗", "Direct current per tonne", "kWh/t"),
    field("current_efficiency", "电流效率", "Current efficiency", "%", 100),
    field("k_v_m2_ka", "K 值", "K", "V·m²/kA"),
)
TIER = (
    field("kwh_per_t", "铝液综合交流电耗", "AC electricity of molten aluminium", "kWh/t"),
    field("surcharge_cny_per_kwh", "阶梯加价", "Surcharge of the tier", "CNY/kWh"),
)
CONVERSION = (
    field("supplied_kgce", "投入能量", "Energy taken", "tce", 1e-3),
    field("delivered_kgce", "产出能量", "Energy delivered", "tce", 1e-3),
    field("efficiency", "转换效率", "Efficiency", "%", 100),
)
CHLORINE = (
    field("production_t", "产氯量", "Chlorine made", "t"),
    field("consumption_t", "用氯量", "Chlorine used", "t"),
    field("import_t", "外购", "Brought in", "t"),
    field("export_t", "外销", "Sent out", "t"),
    field("vent_t", "排放", "Vented", "t"),
    field("inventory_t", "期末库存", "Stock at the end", "t"),
    field("inventory_change_t", "库存变化", "Change of the stock", "t"),
    field("unaccounted_t", "未计量差额", "Unaccounted", "t"),
    field("k1", "液氯就地消化率 K1", "Local use of liquid chlorine, K1", "%", 100),
    field("k2", "氯就地消化率 K2", "Local use of chlorine, K2", "%", 100),
    field("chlor_alkali_balance", "氯碱平衡率", "Chlor-alkali balance", "%", 100),
)
BYPRODUCT = (
    field("make_t", "产生量", "Made", "t"),
    field("use_t", "利用量", "Used", "t"),
    field("import_t", "外购", "Brought in", "t"),
    field("export_t", "外销", "Sent out", "t"),
    field("vent_t", "放空", "Vented", "t"),
    field("unaccounted_t", "未计量差额", "Unaccounted", "t"),
)
TRANSFER = (
    field("agreed_t", "协议量", "Agreed", "t"),
    field("sent_t", "发出量", "Sent", "t"),
    field("received_t", "收到量", "Received", "t"),
)
OUTLET = (
    field("corrected_mg_m3", "排放浓度（折算）", "Concentration, at reference", "mg/m³"),
    field("mass_kg", "排放量", "Mass emitted", "kg"),
    field("hours_above", "超标小时数", "Hours above the limit", "h"),
    field("capture", "在线监测数据捕获率", "Capture of the monitor", "%", 100),
)
# Of waste water, whose codes begin so, nothing is corrected and litres are usual.
WATER = "w"
IN_WATER = (
    field("corrected_mg_m3", "排放浓度", "Concentration", "mg/L", 1e-3),
    *OUTLET[1:],
)
PERMIT = (
    field("permit_t", "许可排放量", "Permit of the year", "t"),
    field("emitted_t", "年初至今排放量", "Emitted this year", "t"),
    field("share", "占许可量", "Share of the permit", "%", 100),
    field("forecast_t", "按此速率的年末排放量", "At the end of the year, at this rate", "t"),
)
CARBON = (
    field("scope1_t", "范围一", "Scope 1", "tCO₂"),
    field("scope2_t", "范围二（按位置）", "Scope 2, by location", "tCO₂"),
    field("total_t", "合计（按位置）", "Total, by location", "tCO₂"),
    field("scope2_market_t", "范围二（按市场）", "Scope 2, by the market", "tCO₂"),
    field("green_share", "外购电中的绿电占比", "Green share of bought electricity", "%", 100),
)
FOOTPRINT = (field("kg_per_t", "碳足迹（从摇篮到大门）", "Footprint, cradle to gate", "kgCO₂/t"),)
MATURITY = (
    field("control_share", "自控率", "Automatic control", "%", 100),
    field("interlock_share", "联锁投用率", "Interlocks in service", "%", 100),
    field("availability", "数据可用率", "Availability of data", "%", 100),
    field("doubtful_share", "存疑数据占比", "Doubtful data", "%", 100),
    field("substituted_share", "替代数据占比", "Substituted data", "%", 100),
)
BALANCE = (
    field("chi2", "整体检验 χ²", "Global test χ²", "1"),
    field("test", "最大单项检验 |z|", "Greatest single test |z|", "1"),
)
PASSED = {
    window: field("passed_share", f"校核通过率（按{zh}）", f"{en} that pass the test", "%", 100)
    for window, (zh, en) in {
        "hour": ("小时", "Hours"), "day": ("日", "Days"), "month": ("月", "Months"),
    }.items()
}  # fmt: skip
LOOP = {
    "made": name("产生量", "Made"),
    "imported": name("外来量", "Brought in"),
    "used": name("利用量", "Used"),
    "sent_out": name("送出量", "Sent out"),
    "vented": name("排空", "Vented"),
    "stored": name("存量变化", "Put into stock"),
    "unaccounted": name("未计量差额", "Unaccounted"),
}
LOOP_RATE = field("rate", "循环利用率", "Rate of the loop", "%", 100)
ALARMS = (
    field("annunciations", "报警次数", "Annunciations", "1"),
    field("busy_share", "超过可承受频率的时间占比", "Time above the bearable rate", "%", 100),
)
RATE = field("mean", "平均报警频率（每 10 min）", "Mean rate, in ten minutes", "1")
FLOOD = field("share", "报警泛滥时间占比", "Time in an alarm flood", "%", 100)
COMPONENTS = ("chlorine", "hydrogen")
ROWS_MAX = 50
NO_DATA = "no data"
NUMBERS = "一二三四"


def missing_reply(reply: Reply) -> list[ReportLine]:
    """Return the line of an answer that there is not."""
    if not reply.problem:
        return []
    return [line(name("无数据", "no data"), None, sentence(reply.problem))]


def group(label: Name, lines: list[ReportLine]) -> list[ReportLine]:
    """Return lines under a head; nothing without any."""
    return [line(label, None), *lines] if lines else []


def having(row: Mapping[str, Any], fields: Iterable[Field]) -> list[Field]:
    """Return the fields of which a row has a value, or a tag that is missing."""
    return [
        each
        for each in fields
        if row.get(each.field) is not None or row.get("missing") or _expected(row, each.field)
    ]


def _expected(row: Mapping[str, Any], key: str) -> bool:
    """Return whether a field without a value is one the model could have."""
    words = key.rsplit("_", 1)
    share = row.get(f"{key}_completeness", row.get(f"{words[0]}_completeness"))
    return share is not None


def section(title: Name, blocks: Iterable[Block | None], *texts: Name) -> ReportSection:
    """Return a section of the blocks that have something in them."""
    kept = [each for each in blocks if each is not None and _is_full(each)]
    return {"title": title, "texts": [text for text in texts if text["en"]], "blocks": kept}


def _is_full(block: Block) -> bool:
    content = {"figures": "lines", "rows": "rows", "chart": "series"}[block["type"]]
    return bool(block[content])  # type: ignore[literal-required]


def boundary(replies: Replies, names: ReportNames) -> ReportSection:
    """Return scope, period, sources and how far the data can be trusted."""
    lines: list[ReportLine] = []
    unseen: list[list[Name]] = []
    for component in COMPONENTS:
        reply, finer = replies[f"balance.{component}"], replies[f"balance.{component}.finer"]
        for pointer, row in reply.rows():
            limits = [f"χ²\u00a0{row['chi2_limit']:.1f}", f"z\u00a0{row['test_limit']:.2f}"]
            state = "balanced" if row["consistent"] else "open"
            checked = joined(
                word(state), name(f"限值 {'，'.join(limits)}", f"limits {', '.join(limits)}")
            )
            if row["dof"] == 0:
                checked = sentence(row["reason"])
            remarks = {"chi2": checked, "test": checked}
            tests = reply.lines(pointer, row, BALANCE, remarks) if row["dof"] else []
            passed = finer.lines("", finer.body, [PASSED[finer.window]]) if finer.body else []
            title = name(f"{word(component)['zh']}平衡", f"{word(component)['en']} balance")
            lines += group(title, [*tests, *passed, *missing_reply(finer)])
            streams = [names.stream(each) for each in finer.body.get("unobservable", ())]
            unseen.append([title, listed(streams) if streams else name("无", "none")])
    trust = [
        [word(label) if label in COMPONENTS else name(*label.split("|")), same(share_text(share)),
         listed([same(tag) for tag in tags]) if tags else name("无", "none")]
        for label, share, tags in _trust(replies)
    ]  # fmt: skip
    return section(
        name("范围、期间与数据质量", "Scope, period and quality of the data"),
        [
            rows(
                name("数据覆盖情况", "How far the data reach"),
                [name("科目", "Subject"), name("完整率", "Completeness"),
                 name("缺数据的位号（最差在前）", "Tags with gaps, the worst first")],
                trust,
            ),
            table(name("平衡校核", "Checks of balances"), lines),
            rows(name("不可观测的物流（无计量，平衡也不能推出）",
                      "Streams that neither a meter nor a balance tells"),
                 [name("平衡", "Balance"), name("物流", "Streams")], unseen),
            _detections(replies["detections"], names),
        ],
        name(
            "数值来自计量仪表、台账和由其导出的位号；每个数值附有单位、期间、95% 置信区间、完整率和"
            "质量，编号可查到计算公式和输入。缺失数据不按零计，也不外推。",
            "Figures come from meters, books and what follows from them. Each has its unit, period,"
            " 95 % interval, completeness and quality, and a number that leads to its explanation. "
            "Missing data are never zero, and nothing is extrapolated.",
        ),
    )  # fmt: skip


def _trust(replies: Replies) -> list[tuple[str, float | None, list[str]]]:
    """Return the completeness of the main subjects of a report and the tags they lack."""
    result = []
    for _, row in replies["energy"].rows():
        if row["product"] == "total":
            result.append(("能源|Energy", row["completeness"], row["missing"][:6]))
    for key, label in (("chlorine", "氯|Chlorine"), ("emissions", "排放口|Outlets")):
        known_rows = [row for _, row in replies[key].rows() if row["completeness"] is not None]
        if known_rows:
            worst = min(known_rows, key=lambda row: row["completeness"])
            result.append((label, worst["completeness"], worst["missing"][:6]))
    return result


def _detections(reply: Reply, names: ReportNames) -> ReportRows:
    columns = [name("时间", "Time"), name("组分", "Component"), name("可疑计量", "Suspects"),
               name("形态", "Shape"), name("检验值", "Test")]  # fmt: skip
    lines = [
        [
            same(time_text(row["time"])),
            word(row["component"]),
            listed(
                [
                    same(each["tag"]) if each.get("tag") else names.stream(each.get("id") or "")
                    for each in row["streams"]
                ]
            ),
            word(row["shape"]),
            same(number_text(row["test"], 1)),
        ]
        for _, row in reply.rows()
    ]
    return rows(name("检出的显著误差", "Gross errors detected"), columns, lines)


def _mark(reply: Reply, row: Mapping[str, Any], key: str) -> Name:
    """Return where a figure stands against benchmark and baseline, and how far these hold."""
    marks = [
        each
        for each in reply.body.get("references", ())
        if (each["product"], each["index"], each["applies"]) == (row["product"], key, True)
    ]
    if not marks or row["position"] is None:
        return NOTHING
    mark = marks[0]
    state, standard = word("verified" if mark["verified"] else "unverified"), mark["standard"]
    best, least = plain_text(mark["benchmark"]), plain_text(mark["baseline"])
    texts = name(
        f"标杆 {best}，基准 {least}（{standard}，{state['zh']}）",
        f"benchmark {best}, baseline {least} ({standard}, {state['en']})",
    )
    return joined(word(row["position"]), texts)


def energy(
    replies: Replies, members: Sequence[tuple[str, Name]], names: ReportNames
) -> ReportSection:
    """Return production and energy, per product, in total and by enterprise."""
    reply, lines = replies["energy"], list[ReportLine]()
    for pointer, row in reply.rows():
        remarks = {key: _mark(reply, row, key) for key in ("kgce_per_t", "kwh_per_t")}
        # The total has no mass.
        of = having(row, PRODUCT if row["product"] != "total" else PRODUCT[1:3])
        lines += group(word(row["product"]), reply.lines(pointer, row, of, remarks))
    products = [row["product"] for _, row in reply.rows() if row.get("kgce_per_t") is not None]
    daily = replies["energy.finer"]
    charts = [
        daily.chart(
            name(f"{made['zh']}单位产品综合能耗", f"Energy per tonne of {made['en'].lower()}"),
            PER_TONNE, form="lines", where={"product": product},
        )
        for product, made in [(each, word(each)) for each in products[:2]]
    ]  # fmt: skip
    total = daily.chart(name("综合能耗", "Comprehensive energy"), PRODUCT[2:3],
                        where={"product": "total"})  # fmt: skip
    return section(
        name("生产与能源", "Production and energy"),
        [
            table(name("产量、能耗与单耗", "Output, energy and energy per tonne"),
                  lines + missing_reply(reply)),
            total,
            *charts,
            _ranking(replies, members, products),
            table(name("铝用电阶梯", "Price tier of aluminium"), _tiers(replies["tariffs"])),
            _rows_table(replies["heat"], name("能量转换", "Conversion of energy"), CONVERSION,
                        "scope", names.scope, "verdict"),
            _rows_table(replies["electrolysers"],
                        name("电解槽（期末日）", "Electrolysers on the last day"), CELLS,
                        "electrolyser", partial(names.row, "electrolyser"), "efficiency_verdict")
            if "electrolysers" in replies else None,
        ],
    )  # fmt: skip


def _ranking(
    replies: Replies, members: Sequence[tuple[str, Name]], products: Sequence[str]
) -> FigureTable:
    """Return energy per tonne by enterprise, the best first where the intervals tell them apart."""
    lines: list[ReportLine] = []
    for product in products if len(members) > 1 else ():
        entries = [
            line(label, replies[f"energy.{path}"].figure(pointer, row, PER_TONNE[0]))
            for path, label in members
            for pointer, row in replies[f"energy.{path}"].rows()
            if row["product"] == product
        ]
        if len(entries) > 1:
            entries.sort(key=_value_of)
            lines += group(word(product), entries)
    return table(
        name("各企业单位产品综合能耗（由低到高）", "Energy per tonne by enterprise, lowest first"),
        lines,
    )


def _value_of(each: ReportLine) -> float:
    figure = each["figure"]
    return float("inf") if figure is None or figure["value"] is None else figure["value"]


def _tiers(reply: Reply) -> list[ReportLine]:
    lines: list[ReportLine] = []
    for pointer, row in reply.rows():
        limit = plain_text(row["line_kwh_per_t"])
        limits = name(f"基准线 {limit} kWh/t", f"line {limit} kWh/t")
        lines += reply.lines(pointer, row, TIER, {"kwh_per_t": limits})
    return lines


def _rows_table(
    reply: Reply,
    title: Name,
    fields: Sequence[Field],
    key: str,
    naming: Callable[[str], Name],
    verdict: str = "",
) -> FigureTable:
    """Return a table with a group of lines for each row of an answer."""
    lines: list[ReportLine] = []
    for pointer, row in reply.rows():
        remark = word(row[verdict]) if verdict and row.get(verdict) else NOTHING
        of = having(row, fields)
        last = of[-1].field if of else ""
        lines += group(naming(row[key]), reply.lines(pointer, row, of, {last: remark}))
    return table(title, lines)


def balances(replies: Replies, names: ReportNames) -> ReportSection:
    """Return the balances of chlorine and of the other by-products, and the exchange of them."""
    reply, lines = replies["chlorine"], list[ReportLine]()
    for pointer, row in reply.rows():
        lines += reply.lines(pointer, row, having(row, CHLORINE))
    others = replies["byproducts"]
    media: list[ReportLine] = []
    for pointer, row in others.rows():
        media += group(word(row["medium"]), others.lines(pointer, row, having(row, BYPRODUCT)))
    chart = chlorine_chart(replies)
    return section(
        name("物料平衡与副产互供", "Balances and exchange of by-products"),
        [
            table(name("氯平衡", "Chlorine"), lines + missing_reply(reply)),
            chart,
            table(name("副产物", "By-products"), media + missing_reply(others)),
            _rows_table(replies["ledger"], name("互供台账", "Exchange ledger"), TRANSFER,
                        "transfer", names.transfer, "verdict"),
            pairing(replies["pairing"], names),
        ],
    )  # fmt: skip


def chlorine_chart(replies: Replies) -> ReportChart | None:
    """Return chlorine made and used over the period."""
    title = name("氯的产生与利用", "Chlorine made and used")
    return replies["chlorine.finer"].chart(title, CHLORINE[:2])


def loops(replies: Replies) -> ReportSection:
    """Return how far energy, water, salt, waste and heat go round."""
    reply, lines = replies["loops"], list[ReportLine]()
    unknown: dict[str, list[Name]] = {}
    for pointer, row in reply.rows():
        fields = [
            Field(key, label, row["uom"])
            for key, label in LOOP.items()
            if row.get(key) is not None or row.get(f"{key}_completeness") is not None
        ]
        if not any(row.get(each.field) is not None for each in fields):
            unknown.setdefault(row.get("reason") or NO_DATA, []).append(row["name"])
            continue
        entries = reply.lines(pointer, row, fields)
        if row.get("rate") is not None:
            entries += reply.lines(pointer, row, [LOOP_RATE])
        lines += group(row["name"], entries)
    return section(
        name("资源循环", "Loops"),
        [
            table(name("能源、水、盐、废物与余热", "Energy, water, salt, waste and waste heat"),
                  lines + missing_reply(reply)),
            rows(name("本期没有数据的循环", "Loops without data in this period"),
                 [name("循环", "Loops"), name("原因", "Reason")],
                 [[listed(names), sentence(reason)] for reason, names in unknown.items()]),
        ],
    )  # fmt: skip


def safety(replies: Replies) -> ReportSection:
    """Return major hazard sources by their design, and the load of the alarms."""
    reply = replies["chlorine"]
    hazards = [
        [row["name"] or same(row["id"]), _hazard_level(row["design_maximum"]["level"]),
         same("–" if row["design_maximum"]["r"] is None
              else number_text(row["design_maximum"]["r"], 1)),
         word("verified" if row["design_maximum"]["verified"] else "unverified")]
        for _, row in reply.rows("hazards")
    ]  # fmt: skip
    alarms = replies["alarms"]
    top = [
        [row["name"] or same(row["id"]), same(row["count"]), same(share_text(row["share"]))]
        for _, row in alarms.rows("top")
    ]
    chattering = [[same(each)] for each in alarms.body.get("chattering", ())]
    return section(
        name("安全", "Safety"),
        [
            rows(
                name("重大危险源（按设计最大量，GB 18218）",
                     "Major hazard sources by design, GB 18218"),
                [name("单元", "Unit"), name("级别", "Level"), name("R 值", "R"),
                 name("依据", "Basis")],
                hazards,
            ),
            table(name("报警绩效", "Performance of the alarms"),
                  _alarm_lines(alarms) + missing_reply(alarms)),
            rows(name("最频繁的报警", "Most frequent alarms"),
                 [name("报警", "Alarm"), name("次数", "Count"), name("占比", "Share")], top),
            rows(name("抖动报警（反复触发和恢复）", "Chattering alarms, which come and go"),
                 [name("报警", "Alarm")], chattering),
        ],
    )  # fmt: skip


def _hazard_level(level: int | None) -> Name:
    return same("–") if level is None else name(f"{NUMBERS[level - 1]}级", f"level {level}")


def _alarm_lines(reply: Reply) -> list[ReportLine]:
    """Return the load of the alarms against what an operator can cope with."""
    body = reply.body
    if not body:
        return []
    rate, flood = body["rate"], body["flood"]
    bearable = name(
        f"可接受 ≤ {rate['acceptable']:g}，最多 {rate['manageable']:g}",
        f"acceptable ≤ {rate['acceptable']:g}, at most {rate['manageable']:g}",
    )
    lines = [
        *reply.lines("", body, ALARMS[:1]),
        *reply.lines("/rate", rate, [RATE], {"mean": bearable}),
        *reply.lines("", body, ALARMS[1:]),
        *reply.lines("/flood", flood, [FLOOD], {"share": _goal("≤", flood["goal"])}),
    ]
    for pointer, row in reply.rows("mix") if body["annunciations"] else ():
        kind = word(row["priority"])
        label = name(f"{kind['zh']}优先级报警占比", f"Share of priority {kind['en'].lower()}")
        of = Field("share", label, "%", 100)
        lines += reply.lines(pointer, row, [of], {"share": _goal("≈", row["goal"])})
    return lines


def _goal(sign: str, share: float) -> Name:
    return name(f"目标 {sign} {share:.0%}", f"goal {sign} {share:.0%}")


def environment(replies: Replies, names: ReportNames, totals: Sequence[Block]) -> ReportSection:
    """Return outlets, permits and their use by month, greenhouse gases and footprints."""
    reply, lines = replies["emissions"], list[ReportLine]()
    for pointer, row in reply.rows():
        limit = row["limit"]
        of = IN_WATER if (row["code"] or "").startswith(WATER) else OUTLET
        remark = word(row["verdict"]) if row["verdict"] else NOTHING
        if limit is not None:
            state = word("verified" if limit["verified"] else "unverified")
            most = plain_text(limit["value"] * of[0].factor)
            bound = name(f"限值 {most}（{state['zh']}）", f"limit {most} ({state['en']})")
            remark = joined(remark, bound)
        head = dotted([names.row("outlet", row["outlet"]), row["name"] or same(row["pollutant"])])
        lines += group(head, reply.lines(pointer, row, of, {"corrected_mg_m3": remark}))
    permits: list[ReportLine] = []
    for pointer, row in reply.rows("permits"):
        state = word("verified" if row["verified"] else "unverified")
        source = sentence(row["source"])
        remarks = {"share": word(row["verdict"]), "permit_t": joined(state, source)}
        head = names.permit("", [row["outlet"]], row["pollutant"], row["year"])
        permits += group(head, reply.lines(pointer, row, PERMIT, remarks))
    return section(
        name("环境与碳", "Environment and carbon"),
        [
            table(name("排放口", "Outlets"), lines + missing_reply(reply)),
            table(name("许可排放量使用情况", "Use of the permits"), permits),
            *totals,
            *_carbon(replies, names),
            _rows_table(replies["footprints"], name("产品碳足迹", "Footprints of products"),
                        FOOTPRINT, "plant", names.scope),
        ],
    )  # fmt: skip


def _carbon(replies: Replies, names: ReportNames) -> list[Block | None]:
    reply, lines, parts = replies["emissions"], list[ReportLine](), list[ReportLine]()
    for pointer, row in reply.rows("carbon/items"):
        remark = sentence(row["reason"])
        lines += reply.lines(pointer, row, CARBON, {"scope2_t": remark})
        for at, source in enumerate(row["sources"]):
            if abs(source["scope"]) != 1:
                continue
            # What is captured or bound is taken off.
            off = source["scope"] < 0
            of = field("co2_t", "排放", "Emission", "tCO₂", -1.0 if off else 1.0)
            known = {**source, "start": row["start"], "end": row["end"],
                     "completeness": row["completeness"], "quality": row["quality"]}  # fmt: skip
            figure = reply.figure(f"{pointer}/sources/{at}", known, of)
            parts.append(line(names.carbon(source["source"]), figure, word(source["kind"])))
        if parts:
            whole = line(CARBON[0].label, reply.figure(pointer, row, CARBON[0]))
            parts = with_sum(parts, whole)
    chart = replies["emissions.finer"].chart(
        name("二氧化碳排放（范围一、二）", "Carbon dioxide, scope 1 and 2"),
        CARBON[:2],
        key="carbon/items",
    )
    return [
        table(name("温室气体", "Greenhouse gases"), lines),
        table(name("范围一的构成", "Sources of scope 1"), parts),
        chart,
    ]


def with_sum(parts: list[ReportLine], whole: ReportLine) -> list[ReportLine]:
    """Return lines and their sum, which says that it is one where it is to the last digits."""
    values = [each["figure"]["value"] for each in parts if each["figure"] is not None]
    total = whole["figure"]["value"] if whole["figure"] is not None else None
    known = [value for value in values if value is not None]
    if total is not None and abs(sum(known) - total) <= 1e-9 * max(map(abs, [*known, total])):
        whole["sums"] = len(parts)
    return [*parts, whole]


def maturity(replies: Replies) -> ReportSection:
    """Return how far meters, control and data are, and what would take them further."""
    reply, lines = replies["maturity"], list[ReportLine]()
    following: list[list[Name]] = []
    meters: list[list[Name]] = []
    for pointer, row in reply.rows():
        fields = [each for each in MATURITY if each.field in row]
        # Its reason is about the level, which changes with the day of asking.
        lines += group(row["name"], reply.lines(pointer, {**row, "reason": ""}, fields))
        meters += [[row["name"], *_meters(each)] for each in row["meters"]]
        # What is due by a day changes while the period stays.
        following += [
            [row["name"], _next_step(each), same(each["count"])]
            for each in row["next"]
            if each["kind"] != "calibration"
        ]
    return section(
        name("数字化成熟度", "Digital maturity"),
        [
            table(name("计量、控制与数据", "Meters, control and data"),
                  lines + missing_reply(reply)),
            rows(name("计量器具配备（GB 17167）", "Meters that are to be there, GB 17167"),
                 [name("企业", "Enterprise"), name("能源", "Carrier"), name("用能级别", "Users"),
                  name("应装", "Required"), name("已接入", "Connected"), name("接入率", "Share"),
                  name("标准要求", "Standard"), name("结论", "Verdict")], meters),
            rows(name("下一步措施（效果大的在前）", "What to do next, the greatest effect first"),
                 [name("企业", "Enterprise"), name("措施", "Measure"), name("数量", "Count")],
                 following),
        ],
    )  # fmt: skip


def _meters(row: Mapping[str, Any]) -> list[Name]:
    """Return how many meters of a carrier a class of users has, of those it is to have."""
    met = word("undecided" if row["met"] is None else "met" if row["met"] else "not_met")
    return [
        word(row["carrier"]), word(row["users"]), same(row["required"]), same(row["connected"]),
        same(share_text(row["connected_share"])), same(share_text(row["least_share"])), met,
    ]  # fmt: skip


def _next_step(measure: Mapping[str, Any]) -> Name:
    """Return the words of a measure, those of what it is about in both languages."""
    head, colon, about = measure["zh"].partition(": ")
    words = "、".join(word(each)["zh"] for each in about.split(", ")) if colon else ""
    return name(f"{head}：{words}" if words else head, measure["en"])


def benefit(replies: Replies, marks: Sequence[Block]) -> ReportSection:
    """Return the evaluation of the enterprises by land and resources, and parks side by side."""
    reply, lines = replies["evaluation"], list[ReportLine]()
    score = field("score", "得分", "Score", "1")
    for rule_pointer, rule in reply.rows():
        for at, row in enumerate(rule["enterprises"]):
            pointer = f"{rule_pointer}/enterprises/{at}"
            graded = row["class"] or "–"
            remark = name(f"类别 {graded}", f"class {graded}")
            indicators = {each["id"]: each for each in rule["indicators"]}
            entries = reply.lines(pointer, row, [score], {"score": remark})
            for i, each in enumerate(row["indicators"]):
                of = Field("value", indicators[each["id"]]["name"] or same(each["id"]), each["uom"])
                entries += reply.lines(f"{pointer}/indicators/{i}", each, [of])
            lines += group(row["name"], entries)
    return section(
        name("亩均效益与对标", "Benefit per land, and benchmark"),
        [table(name("评价结果", "Evaluation"), lines + missing_reply(reply)), *marks],
        name("评价为本期末已结束的最近一个自然年。",
             "The evaluation is that of the calendar year that was over last."),
    )  # fmt: skip


def _target_name(row: Mapping[str, Any], names: ReportNames) -> Name:
    """Return the name of a target with its scope and the year it is due."""
    own, scope = row["name"] or same(row["id"]), names.scope(row["scope"])
    due = row["due_on"][:4] if row["due_on"] else ""
    return name(
        f"{own['zh']}（{'，'.join(filter(None, (scope['zh'], due)))}）",
        f"{own['en']} ({', '.join(filter(None, (scope['en'], due)))})",
    )


def measures(replies: Replies, names: ReportNames) -> ReportSection:
    """Return the targets with what is short of them: what asks for measures first."""
    reply, lines, unknown = replies["targets"], list[ReportLine](), list[list[Name]]()
    order = {"not_met": 0, "undecided": 1, "met": 2}
    for pointer, row in sorted(reply.rows(), key=lambda each: order.get(each[1]["verdict"], 3)):
        label = _target_name(row, names)
        if row["value"] is None:
            inputs = [each for each in row["no_data"][:2] if each not in row["reason"]]
            unknown.append([label, sentence(row["reason"]), sentence("; ".join(inputs))])
            continue
        uom = {"1": "", "%": "%"}.get(row["uom"], f" {row['uom']}")
        goal = same("–") if row["goal"] is None else same(
            f"{word(row['sense'])['zh']} {plain_text(row['limit'])}{uom}")  # fmt: skip
        short = NOTHING
        if row["verdict"] == "not_met" and row["shortfall"]:
            shortfall = number_text(row["shortfall"], decimals_of(row["shortfall"], None))
            short = name(f"差距 {shortfall}{uom}", f"short by {shortfall}{uom}")
        state = word(row["state"])
        remark = joined(state, name(f"目标 {goal['zh']}", f"goal {goal['en']}"), short)
        of = Field("value", label, row["uom"])
        lines += reply.lines(pointer, row, [of], {"value": remark})
    return section(
        name("目标、问题与措施", "Targets, weak points and measures"),
        [
            table(name("政策目标完成情况（未达到的在前）", "Targets, those not met first"),
                  lines + missing_reply(reply)),
            rows(name("本期没有数值的目标", "Targets without a value in this period"),
                 [name("目标", "Target"), name("原因", "Reason"),
                  name("缺少的输入", "Missing inputs")],
                 unknown),
            _retrofits(replies["retrofits"], names),
        ],
    )  # fmt: skip


def _retrofits(reply: Reply, names: ReportNames) -> ReportRows:
    """Return the retrofits of electrolysers as stated: what meters say of them is of today."""
    lines = [
        [names.row("electrolyser", row["electrolyser"]),
         same(row["planned_on"] or "–"), same(row["done_on"] or "–"),
         _stated(row["promised_kwh_t"], "kWh/t"), _stated(row["cost_cny"], "CNY"),
         same(row["evidence"])]
        for _, row in reply.rows() if row["retrofit"] is not None
    ]  # fmt: skip
    return rows(
        name("零极距改造计划（按模型所列）", "Zero-gap retrofits, as the model states them"),
        [name("电解槽", "Electrolyser"), name("计划日期", "Planned"), name("完成日期", "Done"),
         name("承诺节电", "Saving promised"), name("费用", "Cost"), name("依据", "Evidence")],
        lines,
    )  # fmt: skip


def factors(replies: Replies, names: ReportNames, product: str = "") -> ReportRows:
    """Return the factors and marks the figures rest on, with their provenance.

    Of a product the marks of no other.
    """
    power, marks = (replies["energy"].body.get(key, ()) for key in ("electricity", "references"))
    lines = [
        _factor(word("electricity"), _stated(row["kgce_per_kwh"], "kgce/kWh"), row, row["standard"])
        for row in power
    ]
    uoms = {"kgce_per_t": "kgce/t", "kwh_per_t": "kWh/t"}
    for row in marks:
        if row["applies"] and product in ("", row["product"]):
            both = f"{plain_text(row['benchmark'])} / {plain_text(row['baseline'])}"
            value = same(f"{both} {uoms[row['index']]}")
            lines.append(_factor(row["name"], value, row, row["standard"]))
    for _, row in replies["emissions"].rows("carbon/factors") if "emissions" in replies else ():
        source = row["standard"] or row["source"] or ""
        lines.append(_factor(names.carbon(row["of"]), _parameters(row["figures"]), row, source))
    lines += [
        _factor(row["name"], _stated(row["value"], row["uom"]), row, row["source"])
        for _, row in (replies["chlorine"].rows("references") if "chlorine" in replies else ())
    ]
    return rows(
        name("因子与参考值", "Factors and reference values"),
        [name("名称", "Name"), name("数值", "Value"), name("出处", "Source"),
         name("可信度", "Confidence"), name("状态", "State")],
        lines,
    )  # fmt: skip


def _stated(value: float | None, uom: str) -> Name:
    return same("–" if value is None else f"{plain_text(value)} {uom}".replace(" day", " d"))


def _parameters(figures: Mapping[str, str]) -> Name:
    """Return the figures of a factor, with their names where they are several."""
    if len(figures) == 1:
        return same(*figures.values())
    parts = [(word(key), figure) for key, figure in figures.items()]
    texts = [name(f"{of['zh']} {figure}", f"{of['en']} {figure}") for of, figure in parts]
    return joined(*texts)


def _factor(label: Name, value: Name, row: Mapping[str, Any], source: str | None) -> list[Name]:
    text = sentence(source or "")
    if row.get("year"):
        text = name(f"{text['zh']}（{row['year']} 年）", f"{text['en']} ({row['year']})")
    state = word("verified" if row["verified"] else "unverified")
    return [label, value, text, word(row["confidence"]), state]


def stocks(replies: Replies) -> ReportSection:
    """Return the stocks of chlorine at the start and the end of a shift."""
    reply, lines = replies["chlorine.stocks"], list[ReportLine]()
    labels = (name("接班时液氯库存", "Chlorine in stock at the start"),
              name("交班时液氯库存", "Chlorine in stock at the end"))  # fmt: skip
    for (pointer, row), label in zip(reply.rows()[-2:], labels, strict=False):
        if row["inventory_t"] is not None or row["missing"]:
            lines += reply.lines(pointer, row, [Field("inventory_t", label, "t")])
    return section(
        name("交接库存", "Stocks handed over"),
        [table(name("液氯", "Liquid chlorine"), lines + missing_reply(reply))],
    )


def key_figures(replies: Replies) -> ReportSection:
    """Return what a shift made and used."""
    power, chlorine = replies["energy"], replies["chlorine"]
    lines: list[ReportLine] = []
    for pointer, row in power.rows():
        of = having(row, PRODUCT if row["product"] != "total" else PRODUCT[1:3])
        lines += group(word(row["product"]), power.lines(pointer, row, of))
    others: list[ReportLine] = []
    for pointer, row in chlorine.rows():
        others += chlorine.lines(pointer, row, having(row, CHLORINE))
    return section(
        name("本班主要指标", "Key figures of the shift"),
        [
            table(name("产量与能耗", "Output and energy"), lines + missing_reply(power)),
            table(name("氯平衡", "Chlorine"), others + missing_reply(chlorine)),
            chlorine_chart(replies),
        ],
    )


def events(replies: Replies, names: ReportNames) -> ReportSection:
    """Return alarms, what operators did, and what was found and made anew in a shift."""
    journal = [
        [same(time_text(row["time"])), row["name"] or same(row["alarm"]),
         word(row["before"]), word(row["after"]),
         same("–" if row["value"] is None else f"{row['value']:.5g} {row['uom'] or ''}".strip()),
         same(row["by"] or ""), same(row["reason"] or "")]
        for _, row in reversed(replies["journal"].rows())
    ]  # fmt: skip
    orders = [
        [same(time_text(row["created"])), same(row["kind"]), same(row["by"] or ""),
         same(row["error"] or "")]
        for _, row in replies["commands"].rows()
    ]  # fmt: skip
    quiet = name("本班没有报警状态变化。", "No alarm changed its state in this shift.")
    return section(
        name("事件", "Events"),
        [
            rows(name("报警与确认", "Alarms and answers to them"),
                 [name("时间", "Time"), name("报警", "Alarm"), name("原状态", "From"),
                  name("新状态", "To"), name("数值", "Value"), name("人员", "By"),
                  name("说明", "Reason")], journal),
            rows(name("操作指令", "Orders"),
                 [name("时间", "Time"), name("指令", "Order"), name("人员", "By"),
                  name("未执行的原因", "Refused because")], orders),
            _detections(replies["detections"], names),
            _corrected(replies["restatements"]),
        ],
        NOTHING if journal else quiet,
    )  # fmt: skip


def _corrected(reply: Reply) -> ReportRows:
    """Return samples that were corrected."""
    lines = [
        [same(row["tag"]), same(time_text(row["time"])),
         *(same("–" if row[key] is None else f"{row[key]:.6g} {row['uom']}")
           for key in ("before", "after")),
         same(time_text(row["corrected"]))]
        for _, row in reply.rows("corrections")
    ]  # fmt: skip
    return rows(
        name("更正的样本", "Corrected samples"),
        [name("位号", "Tag"), name("时间", "Time"), name("原值", "Before"), name("现值", "Now"),
         name("更正时间", "Corrected")],
        lines[:ROWS_MAX],
    )  # fmt: skip
