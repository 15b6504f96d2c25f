"""Settings of the API, from the environment; every limit is here."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from api.access.rights import ROLES, Role
from deploy.database.settings import Settings


class ProviderRule(BaseModel):
    """Who has a value of a claim gets an account of a role for a scope; empty = the whole park."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: str
    value: str
    role: Role
    scope: str = ""


RULES = TypeAdapter(tuple[ProviderRule, ...])


class ApiSettings(Settings):
    """Settings of the API; each field is the environment variable PARKTWIN_<NAME>."""

    http_host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    http_port: int = Field(8080, ge=1, le=65_535, description="port to listen on")
    hosts: str = Field(
        "",
        description="names of the api in the Host header, separated by commas; addresses,"
        " localhost and http_host need none; * lets every name in",
    )
    access: Literal["demo", "accounts"] = Field(
        "demo",
        description="accounts: only who has one comes in; demo: everybody on this machine does, and"
        " http_host must be this machine alone",
    )
    access_database_url: str = Field(
        "",
        description="the database as the role that has the accounts, which no other query then may"
        " read; empty = database_url",
    )
    audit_key: Path | None = Field(
        None, description="file with the key of the record of orders and ways in; none: no key"
    )
    http_tls_cert: Path | None = Field(
        None, description="certificate with its chain (PEM): the api serves https then"
    )
    http_tls_key: Path | None = Field(None, description="private key of the certificate (PEM)")
    hsts_days: int = Field(
        365, ge=0, le=3_650, description="who came by https comes by https only for [days]; 0: not"
    )
    trusted_proxies: str = Field(
        "",
        description="addresses and networks of proxies whose X-Forwarded-For, -Proto and -Host are"
        " believed, separated by commas; nobody else's are",
    )
    secret_key: Path | None = Field(
        None,
        description="file with the key that seals second factors in the database and sign-ins by a"
        " provider; without it there are neither",
    )
    second_factor_roles: str = Field(
        "", description="roles that need a second factor, separated by commas: administrator,…"
    )
    oidc_issuer: str = Field(
        "", description="address of an OpenID provider by which people come in as well; empty: none"
    )
    oidc_client_id: str = Field("", description="what the provider calls this twin")
    oidc_client_secret: Path | None = Field(
        None, description="file with the secret of the client; none: a public client, by PKCE alone"
    )
    login_notice: str = Field(
        "",
        max_length=2_000,
        description="text of the site above the fields of the sign-in: whose system it is, what is"
        " recorded",
    )
    oidc_name: str = Field("OpenID", min_length=1, description="the provider, on the button")
    oidc_scopes: str = Field("openid profile", description="scopes asked of the provider")
    oidc_account_claim: str = Field(
        "preferred_username", description="claim that names an account that is made"
    )
    oidc_rules: str = Field(
        "",
        description="who gets an account at the first sign-in, the first rule that fits, as JSON:"
        ' [{"claim": "groups", "value": "shift", "role": "operator", "scope": "park/acme"}, …];'
        " nobody without",
    )
    audit_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="rows of the record go after so long, by `parktwin audit trim`; 0 = never"
        " [days]",
    )
    cookie_secure: Literal["auto", "always", "never"] = Field(
        "auto", description="sessions by HTTPS only; auto: if they began by HTTPS"
    )
    session_idle_min: int = Field(
        60, ge=1, le=1_440, description="a session that is not used ends after [min]"
    )
    session_hours: int = Field(12, ge=1, le=168, description="longest session [h]")
    connections_max: int = Field(4_000, ge=10, description="connections at the same time")
    connections_host_max: int = Field(
        1_000, ge=5, description="connections of one remote address at the same time"
    )
    request_s: float = Field(
        20.0, gt=0, le=600, description="a request arrives whole in so long, or it is given up [s]"
    )
    answer_s: float = Field(
        60.0, gt=0, le=3_600, description="a client that takes no answer for so long is cut off [s]"
    )
    requests_client_max: int = Field(
        100,
        ge=5,
        description="requests of one account, or of a remote address without one, at the same time;"
        " live feeds do not count",
    )
    orders_minute: int = Field(
        600,
        ge=1,
        description="orders of one account, or of a remote address without one, in a minute, and at"
        " once after a pause",
    )
    body_bytes: int = Field(262_144, ge=1_024, description="longest body of a request [B]")
    pool_size: int = Field(8, ge=1, le=100, description="database connections for requests")
    query_timeout_s: float = Field(10.0, gt=0, le=300, description="longest database query [s]")
    live_clients_max: int = Field(1_000, ge=1, description="live feeds at the same time")
    live_clients_host_max: int = Field(
        200,
        ge=1,
        description="live feeds of one account, or of a remote address without one, at the same"
        " time",
    )
    keep_alive_s: float = Field(15.0, gt=0, description="comment on a silent live feed after [s]")
    poll_s: float = Field(1.0, gt=0, le=60, description="look for cycles without a wake-up [s]")
    history_points_max: int = Field(
        10_000, ge=10, le=1_000_000, description="points of one history answer"
    )
    history_tags_max: int = Field(16, ge=1, le=256, description="tags of one history answer")
    history_days_max: int = Field(7_320, ge=1, description="longest range of one history [days]")
    raw_rows_max: int = Field(
        50_000, ge=100, description="samples read for a history; beyond it minutes are read"
    )
    minute_days_max: int = Field(
        100, ge=1, description="history beyond this is read from hours [days]"
    )
    page_size_max: int = Field(1_000, ge=1, le=10_000, description="items of one page")
    windows_max: int = Field(1_500, ge=1, description="windows of one balance or energy answer")
    calculation_processes: int = Field(
        0,
        ge=0,
        le=64,
        description="processes that calculate answers, as many again for those that take seconds;"
        " 0: one fewer than there are processors, at least one",
    )
    calculations_max: int = Field(
        64, ge=1, description="requests that calculate, wait to, or are being sent, of all clients"
    )
    calculations_client_max: int = Field(
        16, ge=1, description="the same of one account, or of a remote address without one"
    )
    answer_kept_s: float = Field(
        2.0,
        ge=0,
        le=60,
        description="an answer up to 256 KiB that was calculated answers equal questions for [s]",
    )
    answers_shared_max: int = Field(
        1_000, ge=0, description="requests that wait for, or are being sent, an answer of another"
    )
    calculation_s: float = Field(30.0, gt=0, le=600, description="longest calculation [s]")
    calculation_values_max: int = Field(
        4_000_000, ge=1_000, description="values one calculation reads or solves for, as estimated"
    )
    explanation_s: float = Field(
        10.0,
        gt=0,
        le=300,
        description="longest search for the inputs of figures [s], after the question itself",
    )
    explained_figures_max: int = Field(
        200, ge=1, description="figures of one answer that are explained at once"
    )
    value_completeness: float = Field(
        0.5, ge=0, le=1, description="a ratio or balance has a value from this completeness on [1]"
    )
    verdict_completeness: float = Field(
        0.75, ge=0, le=1, description="a figure is judged from this completeness on [1]"
    )
    viewer_level: Literal["public", "park", "enterprise", "private"] = Field(
        "enterprise",
        description="what readers see: figures of this level of confidentiality and those before it"
        " (public, park: members of the park, enterprise: its operator, private)",
    )
    viewer_scopes: str = Field(
        "", description="scopes whose figures are the readers' own, separated by commas"
    )
    alarm_days_max: int = Field(100, ge=1, description="longest alarm summary [days]")
    shelve_minutes_max: int = Field(
        480, ge=1, le=10_080, description="longest shelving of an alarm [min]"
    )
    commands_max: int = Field(1_000, ge=1, description="commands that may wait for ingest")
    minute_delay_s: float = Field(
        15.0, ge=0, description="a minute is expected in the database this long after its end [s]"
    )
    scenario_hours_max: float = Field(72.0, gt=0, le=720, description="longest what-if [h]")
    scenario_steps_max: int = Field(2_000, ge=1, description="steps of one what-if")
    scenario_actions_max: int = Field(20, ge=1, le=100, description="plants one what-if changes")
    load_plan_values_max: int = Field(
        3_000, ge=1, le=20_000, description="loads of one load plan: units times intervals"
    )
    load_plan_s: float = Field(
        5.0, gt=0, le=60, description="longest search of a load plan; then the best so far [s]"
    )
    ready_cycle_age_s: float = Field(10.0, gt=0, description="ready: oldest newest cycle [s]")
    ready_lag_s: float = Field(60.0, gt=0, description="ready: largest lag of ingest [s]")
    simulation: Path | None = Field(
        None,
        description="folder in which a simulator of its own says its scenarios, set by"
        " `parktwin up --simulate`; then readers may switch them",
    )
    warn_queue_share: float = Field(
        0.5, gt=0, le=1, description="warn: the queue of the broker is this full [1]"
    )
    warn_disk_share: float = Field(
        0.9, gt=0, le=1, description="warn: the disk of the data is this full [1]"
    )

    @property
    def accounts_url(self) -> str:
        """The address of the database for who has the accounts."""
        return self.access_database_url or self.database_url

    @property
    def host_names(self) -> frozenset[str]:
        """The names in `hosts`, in lower case."""
        return frozenset(_words(self.hosts.lower()))

    @property
    def provider_rules(self) -> tuple[ProviderRule, ...]:
        """The rules in `oidc_rules`."""
        return RULES.validate_json(self.oidc_rules or "[]")

    @property
    def factor_roles(self) -> frozenset[str]:
        """The roles in `second_factor_roles`."""
        return frozenset(_words(self.second_factor_roles))

    @property
    def proxies(self) -> list[str]:
        """The addresses and networks in `trusted_proxies`."""
        return _words(self.trusted_proxies)

    @model_validator(mode="after")
    def _feeds(self) -> ApiSettings:
        # A live feed is a connection.
        if (
            self.live_clients_max > self.connections_max
            or self.live_clients_host_max > self.connections_host_max
        ):
            raise ValueError(
                "PARKTWIN_LIVE_CLIENTS_MAX and _HOST_MAX must not be above"
                " PARKTWIN_CONNECTIONS_MAX and _HOST_MAX"
            )
        return self

    @model_validator(mode="after")
    def _relations(self) -> ApiSettings:
        # A history that is answered raw has been read raw.
        if self.history_points_max > self.raw_rows_max:
            raise ValueError("PARKTWIN_HISTORY_POINTS_MAX must not be above PARKTWIN_RAW_ROWS_MAX")
        # A verdict is about a value.
        if self.value_completeness > self.verdict_completeness:
            raise ValueError(
                "PARKTWIN_VALUE_COMPLETENESS must not be above PARKTWIN_VERDICT_COMPLETENESS"
            )
        if (self.http_tls_cert is None) != (self.http_tls_key is None):
            raise ValueError("PARKTWIN_HTTP_TLS_CERT and PARKTWIN_HTTP_TLS_KEY go together")
        if unknown := self.factor_roles - set(ROLES):
            raise ValueError(
                f"PARKTWIN_SECOND_FACTOR_ROLES: no role is called {', '.join(sorted(unknown))}"
            )
        if self.factor_roles and self.secret_key is None:
            raise ValueError("PARKTWIN_SECOND_FACTOR_ROLES needs PARKTWIN_SECRET_KEY")
        if self.oidc_issuer and not (self.oidc_client_id and self.secret_key):
            raise ValueError(
                "PARKTWIN_OIDC_ISSUER needs PARKTWIN_OIDC_CLIENT_ID and PARKTWIN_SECRET_KEY"
            )
        try:
            RULES.validate_json(self.oidc_rules or "[]")
        except ValidationError as error:
            first = error.errors()[0]
            at = " ".join(map(str, first["loc"]))
            raise ValueError(f"PARKTWIN_OIDC_RULES: {at}: {first['msg']}") from None
        for proxy in self.proxies:
            # A name could be anybody's tomorrow.
            try:
                ip_network(proxy)
            except ValueError:
                raise ValueError(
                    f"PARKTWIN_TRUSTED_PROXIES: {proxy!r} is no address and no network"
                ) from None
        return self


def _words(text: str) -> list[str]:
    """Return the words of a list that is separated by commas."""
    return [word.strip() for word in text.split(",") if word.strip()]
