"""One authoritative name server: asked for a record, told to change it, and its refusals in plain words.

Everything goes over TCP: an answer can't be forged from outside, and an update needs no second way for its size.
"""

import binascii
from dataclasses import dataclass
from typing import NoReturn

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from bcp_operator.kube.client import Object
from bcp_operator.observe.connect import Unresolved, checked_address
from bcp_operator.systems.hosts import HostPolicy, HostRefused

from .base import RouteChanged, RouteError

__all__ = ["Cname", "NameServer", "tsig_key"]

TIMEOUT_SECONDS = 3.0
ALGORITHMS = {name: dns.name.from_text(name) for name in ("hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")}
# A prerequisite of the update did not hold: somebody changed the record since it was observed.
_CHANGED = frozenset({dns.rcode.NXRRSET, dns.rcode.YXRRSET, dns.rcode.YXDOMAIN, dns.rcode.NXDOMAIN})


@dataclass(frozen=True)
class Cname:
    """What the server says of a name: its CNAME, or that there is none and whether other records are in the way."""

    target: dns.name.Name | None
    ttl_seconds: int | None
    others: bool


def tsig_key(secret: Object | None, name: str) -> dns.tsig.Key:
    """The key in a Secret: keyName, algorithm (e.g. hmac-sha256) and secret (base64, as in named.conf).

    Raises RouteError that names what is wrong, never the value.
    """
    data = (secret or {}).get("data") or {}
    try:
        texts = {key: binascii.a2b_base64(value).decode().strip() for key, value in data.items()}
    except (ValueError, TypeError):
        raise RouteError(f"Secret {name} can't be decoded") from None
    missing = [key for key in ("keyName", "algorithm", "secret") if not texts.get(key)]
    if missing:
        raise RouteError(f"Secret {name} needs the keys keyName, algorithm and secret; missing: {', '.join(missing)}")
    algorithm = ALGORITHMS.get(texts["algorithm"].lower().rstrip("."))
    if algorithm is None:
        raise RouteError(f"Secret {name}: algorithm has to be one of {', '.join(ALGORITHMS)}")
    try:
        value = binascii.a2b_base64(texts["secret"], strict_mode=True)
        return dns.tsig.Key(dns.name.from_text(texts["keyName"]), value, algorithm)
    except (ValueError, dns.exception.DNSException):
        raise RouteError(f"Secret {name}: keyName has to be a DNS name and secret base64, as in named.conf") from None


class NameServer:
    """The primary name server of a zone, by host or host:port."""

    def __init__(self, server: str, zone: str, hosts: HostPolicy) -> None:
        self.server = server
        self._hosts = hosts
        try:
            self.zone = dns.name.from_text(zone)
        except dns.exception.DNSException:
            raise RouteError(f"zone {zone!r} is not a DNS name") from None

    async def cname(self, name: dns.name.Name) -> Cname:
        """Ask for the CNAME. Raises RouteError: no answer, or the server does not speak for the zone."""
        answer = await self._query(name, dns.rdatatype.CNAME)
        for rrset in answer.answer:
            if rrset.name == name and rrset.rdtype == dns.rdatatype.CNAME:
                return Cname(rrset[0].target, rrset.ttl, others=False)
        others = False
        if answer.rcode() != dns.rcode.NXDOMAIN:
            addresses = [await self._query(name, kind) for kind in (dns.rdatatype.A, dns.rdatatype.AAAA)]
            others = any(found.answer for found in addresses)
        return Cname(None, None, others)

    async def swap(
        self, key: dns.tsig.Key, name: dns.name.Name, old: dns.name.Name | None, new: dns.name.Name, ttl_seconds: int
    ) -> None:
        """Replace the CNAME in one message, on the condition that it still is `old` (None: no record of any type).

        There is never a moment without the record. Raises RouteChanged when the condition does not hold, RouteError
        when the server refuses or does not answer; the update may have been carried out in the latter case.
        """
        update = dns.update.UpdateMessage(self.zone, keyring=key)
        if old is None:
            update.absent(name)
        else:
            update.present(name, "CNAME", old.to_text())
        update.replace(name, ttl_seconds, "CNAME", new.to_text())
        answer = await self._send(update)
        rcode = answer.rcode()
        if rcode in _CHANGED:
            raise RouteChanged(f"{name} is not what it was ({dns.rcode.to_text(rcode)})")
        if rcode != dns.rcode.NOERROR:
            self._refused(rcode, name, key)

    async def _query(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.message.Message:
        query = dns.message.make_query(name, kind)
        query.flags &= ~dns.flags.RD
        answer = await self._send(query)
        rcode = answer.rcode()
        if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise RouteError(f"name server {self.server} answers {dns.rcode.to_text(rcode)} for {name}")
        if not answer.flags & dns.flags.AA:
            raise RouteError(f"name server {self.server} is not authoritative for {self.zone}: name its primary server")
        return answer

    async def _send(self, message: dns.message.Message) -> dns.message.Message:
        try:
            address, port = await checked_address(self._hosts, self.server, 53)
            return await dns.asyncquery.tcp(message, address, port=port, timeout=TIMEOUT_SECONDS)
        except (HostRefused, Unresolved) as error:
            raise RouteError(f"name server: {error}") from None
        except dns.tsig.PeerBadKey:
            # Knot says so too when it knows the key and its ACL does not let it do this.
            text = "does not know the TSIG key, or does not let it change this name: check keyName and the server's acl"
            raise RouteError(f"name server {self.server} {text}") from None
        except (dns.tsig.PeerBadSignature, dns.tsig.BadSignature):
            raise RouteError(f"name server {self.server} has another TSIG secret: check secret and algorithm") from None
        except (dns.tsig.PeerBadTime, dns.tsig.BadTime):
            raise RouteError(f"name server {self.server} has another time: set the clocks right") from None
        except dns.exception.Timeout:
            raise RouteError(f"name server {self.server} did not answer within {TIMEOUT_SECONDS:g} s") from None
        except (OSError, EOFError):
            raise RouteError(f"name server {self.server} can't be reached over TCP") from None
        except dns.exception.DNSException as error:
            raise RouteError(f"name server {self.server} answers badly ({type(error).__name__})") from None

    def _refused(self, rcode: dns.rcode.Rcode, name: dns.name.Name, key: dns.tsig.Key) -> NoReturn:
        help_ = {
            dns.rcode.REFUSED: f"grant key {key.name} the CNAME of {name} (BIND: update-policy)",
            dns.rcode.NOTAUTH: f"it is not authoritative for {self.zone}, or does not know key {key.name}",
            dns.rcode.NOTZONE: f"{name} is not in zone {self.zone}",
            dns.rcode.NOTIMP: "it takes no dynamic updates",
            dns.rcode.SERVFAIL: "it failed: see its log",
        }.get(rcode, "see its log")
        raise RouteError(f"name server {self.server} refuses the update with {dns.rcode.to_text(rcode)}: {help_}")
