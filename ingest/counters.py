"""What ingest counts about itself; stored as tags ``<root>/ingest.*`` and charted like any."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from twin.margins import compile_margins
from twin.model.park import Tag
from twin.reconciliation.estimates import compile_estimates

if TYPE_CHECKING:
    from twin.accounts.network import Network
    from twin.model.park import Park

REASONS = {
    "rejected": (
        "bad_json",
        "bad_cbor",
        "bad_version",
        "must_understand",
        "bad_name",
        "bad_frame",
        "bad_segment",
        "bad_crc",
        "bad_flag",
        "bad_qn",
        "bad_cn",
        "bad_password",
        "unknown_mn",
        "bad_shape",
        "bad_time",
        "no_time",
        "bad_quality",
        "wrong_type",
        "wrong_uom",
        "not_finite",
        "too_large",
        "bad_topic",
        "unknown_enterprise",
        "bad_protobuf",
        "no_birth",
        "stale_death",
        "unknown_gateway",
        "refused_by_store",
        "crashed",
    ),
    "quarantined": ("unknown_tag", "other_enterprise", "future", "past"),
    # Stored, and uncertain or bad: see `twin.validation.assess` and `ingest.cycle.gateways`.
    "flagged": ("rate_of_change", "stuck", "unit_error", "clock_skew"),
    # Connections of HJ 212 data loggers that were ended or not taken.
    "loggers": ("silent", "slow", "evicted", "refused", "forbidden", "untrusted"),
    # Packets to an authority: taken, refused, too old to be sent, connections lost, and how often
    # simulated values were kept back.
    "forward": ("sent", "refused", "lost", "disconnected", "simulated"),
    # Alarms outside the control room: messages, alarms in them, attempts that failed, alarms that
    # nobody was told of, and how often simulated ones were kept back.
    "notify": ("sent", "alarms", "failed", "dropped", "simulated"),
    # Of senders that the model does not know: messages of those not listed, values under names not
    # listed, and how often the budget of the look at foreign topics was spent.
    "contacts": ("full", "names", "paused"),
}
COUNTERS = (
    "messages",
    "bytes",
    "samples",
    "duplicates",
    "corrections",
    "late",
    "restated",
    "dropped",
    "spooled",
    "cycles",
    "retries",
    "reconnects",
    "taken_over",
    "sessions_lost",  # at the broker, with what it kept for us
    "spikes",
    "transient",
    "rebirths",
    "broker_dropped",  # by the broker itself, for any of its sessions, since its start
    "broker_refused",  # by the broker: to topics that are not the sender's own
    "clock_set_back",
    "log_suppressed",  # lines of the log beyond PARKTWIN_LOG_MINUTE
    "archived",  # rows of files that were written
    "archive_omitted",  # rows that were deleted instead
    "archive_failed",
    *(f"{group}.{reason}" for group, reasons in REASONS.items() for reason in reasons),
)
GAUGES = {
    "lag": ("time", "s"),
    "cycle_duration": ("time", "s"),
    "inbox": ("count", ""),
    "spool": ("count", ""),  # messages
    "alarm_rate": ("count", ""),  # annunciations in the last ten minutes
    "broker_messages": ("count", ""),  # held by the broker
    "broker_bytes": ("count", ""),
    "broker_clients": ("count", ""),
    "broker_queue": ("fraction", ""),  # of what the broker queues for one session
    "disk_used": ("fraction", ""),  # of the disk of the data
    "backup_age": ("time", "s"),  # since the newest backup of the data folder
    "forward_owed": ("count", ""),  # intervals that the authority does not have yet
    "notify_owed": ("count", ""),  # alarms that somebody is still to be told of
    "suspects": ("count", ""),  # streams and nodes in detections of the balance monitor
}
STATES = ("connected", "alarm_flood")
HEALTH = (*COUNTERS, *GAUGES, *STATES)
# Of the data of each enterprise, ``<enterprise>/ingest.*``: what is computed by
# `ingest.cycle.gateways`.
DATA_HEALTH = {
    "timeliness": ("fraction", ""),
    "completeness": ("fraction", ""),
    "duplicate_share": ("fraction", ""),
    "skew": ("time", "s"),
    "reject_share": ("fraction", ""),
    "health": ("fraction", ""),
    "silent_gateways": ("count", ""),
    "late_share": ("fraction", ""),  # of its tags, see `twin.validation.lateness`
}


class Counters(Counter[str]):
    """Counts since the start; one name for each entry of `COUNTERS`."""


def health_tags(root: str, gap_s: float) -> tuple[Tag, ...]:
    """Return the tags of ingest's own health, in the order of `HEALTH`."""
    return (
        *(_tag(root, root, name, ("count", ""), "counter", gap_s) for name in COUNTERS),
        *(_tag(root, root, name, what, "gauge", gap_s) for name, what in GAUGES.items()),
        *(_tag(root, root, name, ("state", ""), "state", gap_s) for name in STATES),
    )


def data_owners(park: Park) -> dict[str, str]:
    """Return who has measured tags, with its scope: enterprises, and parks with own tags."""
    owners = {tag.owner for tag in park.tags if tag.source == "measured"}
    scopes = {
        scope.id.rpartition("/")[2]: scope.id
        for scope in park.scopes
        if scope.kind in ("region", "park", "enterprise")
    }
    return {owner: scopes.get(owner, park.id) for owner in sorted(owners)}


def own_tags(network: Network) -> tuple[Tag, ...]:
    """Return the tags ingest adds to those of the network: estimates, margins and health."""
    park = network.park
    return (
        *compile_estimates(network).tags,
        *compile_margins(network).tags,
        *health_tags(park.id, park.gap_s),
        *(
            _tag(owner, scope, name, what, "gauge", park.gap_s)
            for owner, scope in data_owners(park).items()
            for name, what in DATA_HEALTH.items()
        ),
    )


def _tag(owner: str, scope: str, name: str, what: tuple[str, str], kind: str, gap_s: float) -> Tag:
    quantity, uom = what
    return Tag(
        tag=f"ingest.{name}",
        owner=owner,
        scope=scope,
        quantity=quantity,
        uom=uom,
        kind=kind,
        scale=1.0,
        shift=0.0,
        description=f"ingest: {name.replace('_', ' ').replace('.', ', ')}",
        source="derived",
        gap_s=gap_s,
    )
