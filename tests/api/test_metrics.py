"""/metrics by the conventions of Prometheus: names, units, kinds and a help for each."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import ENTERPRISE, INGEST
from ingest.counters import DATA_HEALTH, HEALTH
from tests.support.certificates import write_certificate
from tests.support.small_park import NOW, S, add_samples, add_tags, health_tag, serving

pytest_plugins = ["tests.support.small_park"]
NO_BASE_UNITS = ("_s", "_ms", "_us", "_minutes", "_hours", "_days", "_percent", "_share", "_kb")


async def families(api):
    answer = await api.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    samples = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(samples) == len(set(samples))
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


async def test_every_metric_has_a_help_a_kind_and_a_base_unit(database, ids, db):
    at = await add_tags(db, [health_tag(name, "counter") for name in ("broker_dropped", "bytes")])
    for tag_id in at.values():
        await add_samples(db, tag_id, [NOW - 5 * S], [7])
    async with serving(database) as (api, _):
        await api.get("/api/v1/latest?tag=no/thing")
        metrics = await families(api)
    for name, family in metrics.items():
        assert re.fullmatch("(parktwin_(ingest|enterprise|api|database)|process)_[a-z_]+", name)
        assert len(family.documentation) > 5, name
        assert family.type in {"counter", "gauge", "histogram"}, name
        assert not name.endswith(NO_BASE_UNITS)
        assert not (family.type == "gauge" and name.endswith("_total"))
    assert metrics["parktwin_ingest_broker_dropped"].type == "counter"
    assert metrics["parktwin_ingest_lag_seconds"].samples[0].value == 0.25
    assert metrics["parktwin_database_up"].samples[0].value == 1
    assert metrics["parktwin_database_size_bytes"].samples[0].value > 1e6
    # A tag that does not exist was asked for, and the start of that answer is counted.
    buckets = metrics["parktwin_api_answer_start_seconds"].samples
    assert [s.value for s in buckets if s.labels.get("le") == "+Inf"] == [1]
    assert metrics["process_resident_memory_bytes"].samples[0].value > 1e6


def test_every_health_tag_has_a_help():
    assert {name.partition(".")[0] for name in HEALTH} == INGEST.keys()
    assert ENTERPRISE.keys() == DATA_HEALTH.keys()


async def test_the_data_of_each_enterprise_are_told_apart(database, ids, db):
    tags = [
        replace(health_tag("silent_gateways", "gauge"), owner=owner, scope=f"demo/{owner}")
        for owner in ("acme", "idle")
    ]
    for count, tag_id in enumerate((await add_tags(db, tags)).values()):
        await add_samples(db, tag_id, [NOW - 5 * S], [count])
    async with serving(database) as (api, _):
        family = (await families(api))["parktwin_enterprise_silent_gateways"]
    assert {s.labels["enterprise"]: s.value for s in family.samples} == {"acme": 0, "idle": 1}


async def test_a_database_that_is_away_is_a_metric_and_no_failure(database, ids):
    async with serving(database) as (api, context):
        await context.store.close()
        metrics = await families(api)
    assert metrics["parktwin_database_up"].samples[0].value == 0
    assert "parktwin_database_size_bytes" not in metrics
    assert metrics["parktwin_ingest_samples"].samples[0].value == 1234


@pytest.mark.parametrize("text", [None, "no certificate"])
async def test_the_end_of_the_certificate_is_a_metric(database, ids, tmp_path, text):
    write_certificate(tmp_path)
    if text is not None:
        (tmp_path / "cert.pem").write_text(text)
    files = {"http_tls_cert": tmp_path / "cert.pem", "http_tls_key": tmp_path / "key.pem"}
    async with serving(database, **files) as (api, _):
        family = (await families(api))["parktwin_api_certificate_expiry_timestamp_seconds"]
    (sample,) = family.samples
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).timestamp()
    assert sample.value == 0 if text else abs(sample.value - tomorrow) < 60
