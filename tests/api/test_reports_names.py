"""Names in reports: what answers tell by an id or a path, in the words of the park model."""

from pathlib import Path

import pytest

from api.reports.names import ReportNames
from twin.loading import load_park

DEMO = Path(__file__).parents[2] / "deploy/parks/liaocheng"
XINFA, LUXI = "liaocheng/chiping/xinfa", "liaocheng/gaoxin/luxi"


@pytest.fixture(scope="module")
def park():
    return load_park(DEMO)


def test_a_scope_or_row_of_another_enterprise_stands_with_the_name_of_it(park):
    names = ReportNames(park, "liaocheng")
    assert names.scope(f"{XINFA}/caustic") == {
        "zh": "信发（示例）·烧碱装置", "en": "Xinfa (demo) · Caustic plant",
    }  # fmt: skip
    assert names.row("outlet", "xinfa-power-stack")["zh"] == "信发（示例）·自备电厂烟囱"
    assert names.scope(XINFA)["zh"] == "信发（示例）"
    own = ReportNames(park, XINFA)
    assert own.scope(f"{XINFA}/caustic")["zh"] == "烧碱装置"
    assert own.row("electrolyser", "xinfa-E-1101")["en"] == "Electrolyser E-1101"
    assert own.scope(f"{LUXI}/caustic")["en"] == "Luxi (demo) · Caustic plant"


def test_a_stream_is_called_by_its_ends_and_a_transfer_by_what_goes_where(park):
    names = ReportNames(park, XINFA)
    assert names.stream("xinfa-hcl-vcm") == {
        "zh": "氯化氢总管 → 氯乙烯合成（氯化氢）",
        "en": "HCl header → VCM synthesis (hydrogen chloride)",
    }  # fmt: skip
    assert names.stream("xinfa-pvc")["zh"] == "聚合 → 外部市场（聚氯乙烯）"
    assert names.stream(f"{XINFA}/caustic/electrolysis:faraday")["zh"] == "电解·电解产生"
    arrow = names.transfer("acid-luxi-steel")
    assert " → " in arrow["zh"]
    assert "luxi" not in arrow["en"]


def test_a_source_of_carbon_is_a_row_or_a_carrier_and_a_permit_what_it_is_of(park):
    names = ReportNames(park, XINFA)
    assert [names.carbon(each)["zh"] for each in ("xinfa-carbide", "coal")] == ["外购电石", "煤"]
    assert (
        names.permit(XINFA, ["xinfa-power-stack"], "SO2", 2026)["zh"]
        == "自备电厂烟囱·二氧化硫（2026 年）"
    )
    assert names.permit(XINFA, [], "SO2", 2026)["en"] == "Xinfa (demo) · Sulphur dioxide (2026)"


def test_what_the_model_does_not_know_keeps_its_id(park):
    names = ReportNames(park, "liaocheng")
    assert names.scope("liaocheng/gone")["zh"] == "liaocheng/gone"
    for name_of in (names.stream, names.transfer, lambda id_: names.row("outlet", id_)):
        assert name_of("gone")["zh"] == "gone"
