"""What every tenant has and nobody can create: roles, security profiles, static lists (2.4; 5.1, lookup).

Their IDs differ from tenant to tenant here, also where the vendor's may not: what is mapped by name must survive that.
"""

from __future__ import annotations

from tests.systems.cxone.api import Call, Reply, route
from tests.systems.cxone.paging import acd_page, numbered_page
from tests.systems.cxone.tenant import Tenant

ROLES = ("Administrator", "Manager", "Agent")
MEDIA_TYPES = ("Phone Call", "Email", "Chat", "Work Item")
CLASSIFICATIONS = ("Contacted", "Not contacted", "Call back")
LOCATIONS = ("Head office", "Home")
ROUTES_OUT = ("Default route", "Premium route")


def furnish(tenant: Tenant) -> None:
    """Fill an empty tenant with what is there on its first day."""
    tenant.add("division", {"name": "Default", "status": "ACTIVE", "isDefault": True, "billingCode": tenant.new_int()})
    for name in ROLES:
        role = tenant.add("role", {"roleName": name, "internal": 1, "modifiable": 0, "status": "ACTIVE"})
        profile = {"securityProfileName": name, "roleId": role["roleId"], "isInternal": True, "dataRestrictions": []}
        tenant.add("securityProfile", profile)
    for name in MEDIA_TYPES:
        tenant.add("mediaType", {"mediaTypeName": name})
    for name in CLASSIFICATIONS:
        tenant.add("classification", {"classificationName": name})
    for name in LOCATIONS:
        tenant.add("location", {"locationName": name})
    for name in ROUTES_OUT:
        tenant.add("outboundRoute", {"routeDescription": name})
    tenant.add("phoneCode", {"transportTypeDesc": "SMS", "note": "Short code"})
    default = {"teamName": "Default Team", "isActive": True, "teamUuid": tenant.new_uuid()}
    tenant.add("team", {**default, "divisionNo": next(tenant.rows("division"))["divisionId"]})
    tenant.phone_numbers = [f"+1555{tenant.business_unit}{number:02d}" for number in range(4)]


@route("POST", "/authorization/v1/roles/search", host="userhub", cite="2.4 Role")
def roles(call: Call) -> Reply:
    """Roles; there is no public way to create one."""
    return numbered_page(call, list(call.tenant.rows("role")), "roles")


def _listing(path: str, cite: str, name: str, table: str, *, paged: bool = False) -> None:
    def handler(call: Call) -> Reply:
        rows = list(call.tenant.rows(table))
        return acd_page(call, rows, name) if paged else Reply({name: rows})

    route("GET", path, host="acd", cite=cite)(handler)


_listing("/security-profiles", "2.4 Security profile; client", "profiles", "securityProfile", paged=True)
_listing("/media-types", "2.4 Static; client", "mediaTypes", "mediaType")
_listing("/dispositions/classifications", "2.4 Static; client", "classificationResults", "classification", paged=True)
_listing("/phone-codes", "2.4 Static; client", "phoneCodes", "phoneCode")
_listing("/business-unit/outbound-routes", "2.4 Static; client", "outboundRoutes", "outboundRoute")
_listing("/locations", "5.1 lookup location; client", "locations", "location")


@route("GET", "/phone-numbers", host="acd", cite="2.4 Static; client")
def phone_numbers(call: Call) -> Reply:
    """Numbers that belong to this tenant and to no other."""
    return acd_page(call, [{"phonenumber": number} for number in call.tenant.phone_numbers], "phoneCollection")


@route("GET", "/business-unit", host="acd", cite="2.4 Business unit; client")
def business_unit(call: Call) -> Reply:
    """Limits and features, for comparison."""
    unit = {"businessUnitId": call.tenant.business_unit, "tenantId": call.tenant.tenant_id, "apiPublishedLimit": 1000}
    return Reply({"businessUnits": [unit]})


@route("GET", "/apiversion", host="acd", cite="2.3 versions; client")
def api_version(call: Call) -> Reply:
    """Which version an operation has."""
    asked = {"uri": call.query.get("searchUriText", ""), "verb": call.query.get("verb", "")}
    return Reply({"apiInfo": [{**asked, "version": 33}]})
