import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from bcp_operator.api import names
from hypothesis import given
from hypothesis import strategies as st

DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
TENANTS = st.from_regex(r"\A[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?\Z")


@given(TENANTS, st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_every_child_name_is_a_dns_label_that_leaves_room_for_a_pod_suffix(tenant: str, enabled_at: datetime) -> None:
    children = [
        names.sync_cronjob(tenant),
        names.writer_lease(tenant),
        names.run_configmap(tenant),
        names.report_configmap(tenant),
        names.correlations_claim(tenant),
        names.job_at(tenant, enabled_at),
    ]
    assert all(DNS_LABEL.match(child) for child in children)
    assert len(names.job_at(tenant, enabled_at)) + len("-abcde") <= 63
    # the cronjob-controller adds 11 characters and refuses CronJob names above 52
    assert len(names.sync_cronjob(tenant)) <= 52


def test_job_at_depends_on_the_instant_alone() -> None:
    utc = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    berlin = utc.astimezone(timezone(timedelta(hours=1)))
    assert names.job_at("acme", utc) == names.job_at("acme", berlin) == "acme-sync-1795514400"


def test_job_at_refuses_a_time_without_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        names.job_at("acme", datetime(2026, 11, 24))


def test_labels_find_the_parts_of_one_tenant() -> None:
    assert names.labels("acme") == {
        "bcp-operator.io/tenant": "acme",
        "app.kubernetes.io/component": "sync",
        "app.kubernetes.io/managed-by": "bcp-operator",
    }
