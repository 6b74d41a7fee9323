"""`kubectl bcp status`: which system is live, how fresh the other one is, and what needs attention."""

import argparse
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from .cluster import read_tenants

__all__ = ["add_parser", "describe", "summary", "table"]

Object = dict[str, Any]

# True is bad news; every other condition is bad news when it is not True.
_TRUE_IS_BAD = {"Stalled", "IntentConflict", "SyncGuarded", "ApprovalPending"}
# Not known yet before the first sync, and never known without one.
_MAY_BE_UNKNOWN = {"RecoveryPointFresh", "CorrelationHealthy", "SyncGuarded"}


def add_parser(verbs: Any) -> None:
    """Add the verb to the subparsers of the command line."""
    parser = verbs.add_parser(
        "status",
        help="which system is live, how fresh the other one is, what needs attention",
        epilog="exit codes: 0 all is fine, 1 a tenant needs attention, 2 it could not be read or was asked wrongly",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one BCPTenant in detail; none = a table of all")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-n", "--namespace", help="namespace; none = that of the current context")
    where.add_argument("-A", "--all-namespaces", action="store_true", help="all namespaces")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text", help="text (default) or json")
    parser.add_argument("--context", help="kubeconfig context; none = the current one")
    parser.set_defaults(run=_run, parser=parser)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.name and arguments.all_namespaces:
        arguments.parser.error("NAME and --all-namespaces exclude each other")
    tenants = read_tenants(
        arguments.name,
        namespace=arguments.namespace,
        all_namespaces=arguments.all_namespaces,
        context=arguments.context,
    )
    summaries = [summary(tenant, datetime.now(UTC)) for tenant in tenants]
    if arguments.output == "json":
        print(json.dumps(summaries[0] if arguments.name else summaries, indent=2))
    elif arguments.name:
        print(describe(summaries[0]))
    else:
        print(table(summaries) if summaries else "no BCPTenants here")
    return 1 if any(item["attention"] for item in summaries) else 0


def summary(tenant: Object, now: datetime) -> Object:
    """Reduce a BCPTenant to what this command shows; fields that status does not have are None."""
    status = tenant.get("status") or {}
    sync = status.get("sync") or {}
    login = (tenant.get("spec") or {}).get("login") or {}
    return {
        "namespace": tenant["metadata"]["namespace"],
        "name": tenant["metadata"]["name"],
        "phase": status.get("phase"),
        "activeSystem": status.get("activeSystem"),
        "loginURL": login.get("url"),
        "activeLoginURL": status.get("activeLoginURL"),
        "lastRun": sync.get("lastRun"),
        "nextSyncTime": sync.get("nextSyncTime"),
        "heldBy": sync.get("heldBy"),
        "recoveryPointAgeSeconds": _age_seconds(sync.get("lastSuccessTime"), now),
        "readiness": status.get("readiness"),
        "divergence": status.get("divergence"),
        "operation": status.get("operation"),
        "lastOperation": status.get("lastOperation"),
        "attention": attention(tenant),
    }


def attention(tenant: Object) -> list[Object]:
    """List the conditions that are not fine, each as {type, status, reason, message}."""
    status = tenant.get("status") or {}
    conditions = status.get("conditions") or []
    if not conditions:
        return [_entry("Ready", "Unknown", "NoStatus", "the operator has not looked at this tenant yet")]
    found = [
        _entry(item["type"], item["status"], item.get("reason", ""), item.get("message", ""))
        for item in conditions
        if not _is_fine(item, status)
    ]
    seen = status.get("observedGeneration")
    newest = tenant["metadata"].get("generation")
    if seen is not None and newest is not None and seen < newest:
        found.append(_entry("Ready", "Unknown", "NotObserved", "the operator has not seen the latest change yet"))
    return found


def _entry(kind: str, status: str, reason: str, message: str) -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _is_fine(condition: Object, status: Object) -> bool:
    kind, value = condition["type"], condition["status"]
    on_secondary = status.get("activeSystem") == "Secondary"
    if kind == "Reconciling" or (kind == "SyncFenced" and status.get("operation")):
        return True
    if kind == "SyncFenced":
        # A fence belongs to the secondary's time: with users on the primary it stops the sync for nothing,
        # and without it a run could write to the system they work in.
        return bool((value == "True") == on_secondary)
    if kind == "RecoveryPointFresh" and on_secondary:
        return True  # nothing can be copied now; its age is shown all the same
    if kind in _TRUE_IS_BAD:
        return bool(value == "False" or (value == "Unknown" and kind in _MAY_BE_UNKNOWN))
    return bool(value == "True" or (value == "Unknown" and kind in _MAY_BE_UNKNOWN))


def table(summaries: Iterable[Object]) -> str:
    """Render one line per tenant."""
    rows = [("NAMESPACE", "NAME", "ACTIVE", "PHASE", "RECOVERY POINT", "LAST OPERATION", "ATTENTION")]
    for item in summaries:
        rows.append(
            (
                item["namespace"],
                item["name"],
                item["activeSystem"] or "Unknown",
                item["phase"] or "-",
                _age(item["recoveryPointAgeSeconds"]),
                _operation_short(item["lastOperation"]),
                ", ".join(entry["type"] for entry in item["attention"]) or "-",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def describe(item: Object) -> str:
    """Render one tenant in detail."""
    lines = [
        f"{item['name']} in namespace {item['namespace']}",
        _line("active system", f"{item['activeSystem'] or 'Unknown'} ({item['phase'] or 'no status yet'})"),
        _line("login URL", f"{item['loginURL']} -> {item['activeLoginURL'] or 'unknown'}"),
        _line("recovery point", _age(item["recoveryPointAgeSeconds"], " old")),
        _line("last sync", _run_text(item["lastRun"])),
        _line("next sync", _next_text(item)),
        _line("would miss", _readiness_text(item["readiness"])),
        *([_line("changed there", _divergence_text(item["divergence"]))] if _away(item) else []),
        _line("last operation", _operation_text(item["lastOperation"])),
    ]
    if item["operation"]:
        running = item["operation"]
        lines.append(_line("under way", f"{running['type']}, step {running['step']}, since {running['startTime']}"))
    for entry in item["attention"]:
        lines.append(_line("attention", f"{entry['type']}={entry['status']} {entry['reason']}: {entry['message']}"))
    return "\n".join(lines)


def _line(label: str, text: str) -> str:
    return f"  {label:<16}{text}"


def _readiness_text(readiness: Object | None) -> str:
    """What users would miss in the secondary."""
    if readiness is None:
        return "not known yet"
    types = readiness.get("unsyncedTypes") or []
    named = f" ({', '.join(types)})" if types else ""
    return (
        f"{readiness['usersWithoutLogin']} users without login, {len(types)} types not synced{named}, "
        f"{readiness['unresolved']} references that lead nowhere"
    )


def _away(item: Object) -> bool:
    """Users are on the secondary, or on their way back."""
    return item["divergence"] is not None or item["activeSystem"] == "Secondary"


def _divergence_text(divergence: Object | None) -> str:
    """What was changed in the secondary, which the way back would lose."""
    if divergence is None:
        return "not looked at yet: set spec.sync.trigger to the time of now"
    words = [
        f"{divergence[word]} {word}" for word in ("changed", "added", "removed", "unclear") if divergence.get(word)
    ]
    seen = "changed" in divergence
    parts = [
        {"Unknown": "not known", "Running": "being looked at"}.get(divergence["result"], ""),
        (", ".join(words) or "nothing") if seen else "",
        f"as of {divergence['time']}" if divergence.get("time") else "",
        f"see ConfigMap {divergence['report']}" if divergence.get("report") else "",
        divergence.get("message", ""),
    ]
    return ", ".join(part for part in parts if part)


def _run_text(run: Object | None) -> str:
    if not run:
        return "none yet"
    counts = ", ".join(f"{count} {what}" for what, count in (run.get("counts") or {}).items() if count)
    parts = [run["result"], run.get("startTime"), _seconds(run.get("seconds")), counts, run.get("message")]
    return ", ".join(part for part in parts if part)


def _next_text(item: Object) -> str:
    if item["heldBy"]:
        return f"held by {item['heldBy']}"
    return str(item["nextSyncTime"] or "none")


def _operation_short(operation: Object | None) -> str:
    if not operation:
        return "-"
    return f"{operation['type']} {operation['result']}" + _labelled(" ", operation.get("rtoSeconds"))


def _operation_text(operation: Object | None) -> str:
    if not operation:
        return "none yet"
    stamped = "" if operation.get("initiatorVerified") else " (unverified)"
    who = f"by {operation['initiator']}{stamped}" if operation.get("initiator") else ""
    who += f", approved by {operation['approvedBy']}" if operation.get("approvedBy") else ""
    bound = " at most" if operation.get("startTimeBound") else ""
    age = operation.get("recoveryPointAgeSeconds")
    parts = [
        f"{operation['type']} {operation['result']} at {operation['endTime']}",
        who,
        _labelled(f"RTO{bound} ", operation.get("rtoSeconds")),
        f"recovery point was {_age(age)} old" if age is not None else "",
        operation.get("message", ""),
    ]
    return ", ".join(part for part in parts if part)


def _labelled(label: str, seconds: float | None) -> str:
    return "" if seconds is None else f"{label}{_seconds(seconds)}"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f} s"


def _age_seconds(time: str | None, now: datetime) -> float | None:
    if not time:
        return None
    return max(0.0, (now - datetime.fromisoformat(time.replace("Z", "+00:00"))).total_seconds())


def _age(seconds: float | None, suffix: str = "") -> str:
    """Render an age in its two largest units, e.g. 1d 3h."""
    if seconds is None:
        return "none"
    left = int(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) + suffix
