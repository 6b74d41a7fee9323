"""The models: what they take in, what they give out, and that they agree with those who read the same text."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bcp_operator.api.common import Model
from bcp_operator.api.conditions import Condition, merge
from bcp_operator.api.policy import CRON_PATTERN, SyncPolicySpec
from bcp_operator.api.tenant import RFC3339_PATTERN, BCPTenantSpec, BCPTenantStatus
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

T0 = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def system(side: str) -> dict[str, Any]:
    return {
        "profile": "scim",
        "tenantID": "acme",
        "endpoint": f"https://api.{side}.example/v2",
        "credentialsSecretRef": {"name": f"acme-{side}"},
        "loginURL": f"https://{side}.example/login",
    }


def spec(**more: Any) -> dict[str, Any]:
    login = {"url": "https://login.acme.example/", "routes": [{"name": "web", "ingress": {"name": "acme-login"}}]}
    return {"primary": system("one"), "secondary": system("two"), "login": login} | more


def condition(kind: str, status: str, at: datetime = T0, reason: str = "Because") -> Condition:
    return Condition.model_validate({"type": kind, "status": status, "reason": reason, "lastTransitionTime": at})


def test_the_least_a_tenant_needs() -> None:
    read = BCPTenantSpec.model_validate(spec())
    assert read.failover is None
    assert read.sync.enabled is False
    assert read.sync.store.sqlite is not None
    assert read.sync.store.sqlite.size == "1Gi"
    assert read.login.routes[0].ingress is not None
    assert read.login.routes[0].ingress.mode == "Managed"


def test_unknown_fields_are_dropped_as_the_api_server_drops_them() -> None:
    read = BCPTenantSpec.model_validate(spec(later="x", failover={"haste": "Great"}))
    assert read.failover is not None
    assert "haste" not in read.model_dump(by_alias=True)["failover"]


def test_an_empty_status_writes_nothing_but_empty_lists() -> None:
    written = BCPTenantStatus().model_dump(mode="json", by_alias=True, exclude_none=True)
    assert written == {"history": [], "routes": [], "claims": [], "runbook": [], "conditions": []}


def test_a_status_reads_back_as_it_was_written() -> None:
    status = BCPTenantStatus.model_validate(
        {"phase": "Primary", "activeLoginURL": "https://one.example/login", "conditions": [condition("Ready", "True")]}
    )
    written = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert written["conditions"][0]["lastTransitionTime"] == "2026-11-24T10:00:00Z"
    assert BCPTenantStatus.model_validate(written) == status


@pytest.mark.parametrize(
    "url",
    [
        "https://user@host.example/",
        "https://host.example/#part",
        'https://host.example/";return',
        "https://host.example/$uri",
        "https://host.example/{x}",
        "https://host.example/a\\b",
        "https://host.example/a b",
        "https://host.example/a\nb",
        "https://host.example/%zz",
        "https://host.example:0/",
        "https://host.example:65536/",
        "https://-host.example/",
        "https:///login",
        "ftp://host.example/",
        "javascript:alert(1)",
        "//host.example/",
    ],
)
def test_urls_that_could_mislead_a_proxy_or_a_user_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        BCPTenantSpec.model_validate(spec(primary=system("one") | {"loginURL": url}))


@pytest.mark.parametrize(
    "url", ["https://h/", "http://h.example:8080/a/b?x=1&y=%20", "https://[2001:db8::1]:443/x", "https://h.example"]
)
def test_ordinary_urls_are_taken(url: str) -> None:
    assert BCPTenantSpec.model_validate(spec(primary=system("one") | {"loginURL": url})).primary.login_url == url


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2999, 12, 31), timezones=st.timezones()).filter(
        lambda t: abs(t.utcoffset() or timedelta()) < timedelta(hours=24)
    )
)
def test_every_time_that_the_pattern_takes_is_read_as_the_same_instant(moment: datetime) -> None:
    offset = moment.utcoffset() or timedelta()
    text = moment.isoformat()
    if offset.total_seconds() % 60:  # historical offsets with seconds are not RFC 3339
        return
    assert re.match(RFC3339_PATTERN, text)
    assert TypeAdapter(datetime).validate_python(text) == datetime.fromisoformat(text)


@pytest.mark.parametrize("year", ["0000", "0001", "1999", "3000", "9999"])
def test_a_year_that_nobody_can_reckon_with_is_refused(year: str) -> None:
    """In the years 1 and 9999 a time zone leads out of the calendar."""
    assert re.match(RFC3339_PATTERN, f"{year}-12-31T23:59:59-23:59") is None


@given(st.from_regex(re.compile(RFC3339_PATTERN, re.ASCII), fullmatch=True).map(str.strip))
def test_the_pattern_takes_nothing_that_the_operator_could_not_read(text: str) -> None:
    year, month, day = (int(part) for part in text[:10].split("-"))
    try:
        datetime(year, month, day)
    except ValueError:
        return  # 30 February: the API server's own date-time check refuses it
    assert TypeAdapter(datetime).validate_python(text).tzinfo is not None


@given(st.from_regex(re.compile(CRON_PATTERN, re.ASCII), fullmatch=True).map(str.strip))
def test_what_the_cron_pattern_takes_is_cron_but_for_ranges_that_run_backwards(text: str) -> None:
    backwards = re.search(r"[0-9A-Z]-[0-9A-Z]", text) is not None
    stepped = "/" in text
    try:
        CronSim(text, T0)
    except Exception:
        assert backwards or stepped


@pytest.mark.parametrize(
    "cron", ["0 2 * * *", "*/15 0-6,20-23 1,15 * MON-FRI", "59 23 31 12 0", "0 0 1 JAN,JUL *", "0  4 * * 6"]
)
def test_ordinary_schedules_are_taken(cron: str) -> None:
    assert SyncPolicySpec.model_validate({"schedule": {"cron": cron}}).schedule is not None
    CronSim(cron, T0)


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "@daily",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 7",
        "* * * *",
        "CRON_TZ=UTC 0 2 * * *",
        "0 2 * * * *",
        "0 2 * * ?",
    ],
)
def test_what_is_no_five_field_schedule_is_refused(cron: str) -> None:
    with pytest.raises(ValidationError):
        SyncPolicySpec.model_validate({"schedule": {"cron": cron}})


@pytest.mark.parametrize("duration", ["", "h", "10", "1.5h", "-1h", "1m1h", "1h 1m", "1d", "100ms", "123456h"])
def test_what_is_no_duration_is_refused(duration: str) -> None:
    with pytest.raises(ValidationError):
        BCPTenantSpec.model_validate(spec(safety={"minSwitchInterval": duration}))


def test_job_parts_stay_as_kubernetes_has_them() -> None:
    job = {
        "resources": {"requests": {"cpu": 1, "memory": "128Mi"}, "limits": {"memory": "1.5Gi"}},
        "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
    }
    read = SyncPolicySpec.model_validate({"job": job}).job
    assert (read.resources, read.tolerations, read.node_selector) == (
        job["resources"],
        job["tolerations"],
        job["nodeSelector"],
    )


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    later = T0 + timedelta(minutes=5)
    old = [condition("Ready", "True"), condition("Stalled", "False"), condition("Gone", "True")]
    merged = merge(old, [condition("Stalled", "True", later), condition("Ready", "True", later, reason="Anew")])
    assert [(c.type, c.status, c.reason, c.last_transition_time) for c in merged] == [
        ("Ready", "True", "Anew", T0),
        ("Stalled", "True", "Because", later),
    ]


STATUSES = st.sampled_from(["True", "False", "Unknown"])
TYPES = st.sampled_from(["Ready", "Reconciling", "Stalled", "SyncFenced"])
CONDITIONS = st.dictionaries(TYPES, STATUSES)


@given(CONDITIONS, CONDITIONS, st.randoms())
def test_merging_twice_changes_nothing_and_order_does_not_matter(
    old: dict[str, str], new: dict[str, str], random: Any
) -> None:
    before = [condition(kind, status) for kind, status in old.items()]
    wanted = [condition(kind, status, T0 + timedelta(hours=1)) for kind, status in new.items()]
    merged = merge(before, wanted)
    random.shuffle(wanted)
    assert merge(before, wanted) == merged == merge(merged, wanted)
    assert {c.type: c.status for c in merged} == new
    for c in merged:
        assert (c.last_transition_time == T0) == (old.get(c.type) == c.status)


def test_every_model_is_frozen_and_camel_case() -> None:
    todo: list[type[Model]] = [Model]
    while todo:
        model = todo.pop()
        todo.extend(model.__subclasses__())
        assert model.model_config.get("frozen") is True
        for name, field in model.model_fields.items():
            assert "_" not in (field.alias or name)
