"""Keys and certificates: one authority for the cluster's own parts, another for the web servers of tests."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.cluster.settings import KUBERNETES_SERVICE_ADDRESS, NODE_ADDRESS, NODE_NAME

_LIFETIME = timedelta(days=365)
_BACKDATE = timedelta(minutes=5)  # clocks of pods and host may differ a little

APISERVER_HOSTS = (
    "127.0.0.1",
    NODE_ADDRESS,
    KUBERNETES_SERVICE_ADDRESS,
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A certificate authority with P-256 keys."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls, name: str) -> Authority:
        """Make a new authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = _key_usage(signs_certificates=True)
        certificate = (
            _builder(subject, subject, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, folder: Path, name: str) -> Authority:
        """Read an authority that `save` wrote."""
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())
        key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(certificate, key)

    def save(self, folder: Path, name: str) -> None:
        """Write certificate and key as `<name>.crt` and `<name>.key`."""
        write_pair(folder, name, Pair(self.pem, private_pem(self._key)))

    @property
    def pem(self) -> bytes:
        """The authority's certificate, PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def server(self, hosts: Sequence[str], common_name: str | None = None) -> Pair:
        """Issue a server certificate for host names and addresses."""
        names = [_general_name(host) for host in hosts]
        return self._issue(_subject(common_name or hosts[0], ()), ExtendedKeyUsageOID.SERVER_AUTH, names)

    def client(self, user: str, groups: Sequence[str] = ()) -> Pair:
        """Issue a client certificate: Kubernetes reads CN as the user and each O as a group."""
        return self._issue(_subject(user, groups), ExtendedKeyUsageOID.CLIENT_AUTH, [])

    def _issue(self, subject: x509.Name, purpose: x509.ObjectIdentifier, names: list[x509.GeneralName]) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(subject, self._certificate.subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Pair(certificate.public_bytes(serialization.Encoding.PEM), private_pem(key))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _subject(common_name: str, organizations: Sequence[str]) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM in the form every component reads (SEC 1)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner can read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)


def write_pair(folder: Path, name: str, pair: Pair) -> None:
    """Write `<name>.crt` and `<name>.key`."""
    write_private(folder / f"{name}.crt", pair.certificate)
    write_private(folder / f"{name}.key", pair.key)


def create_all(folder: Path) -> None:
    """Make every key and certificate a new cluster starts with; a complete folder is left alone."""
    if (folder / "complete").exists():
        return
    cluster = Authority.create("test cluster authority")
    cluster.save(folder, "ca")
    Authority.create("test web authority").save(folder, "web-ca")
    write_pair(folder, "apiserver", cluster.server(APISERVER_HOSTS, "kube-apiserver"))
    kubelet_hosts = ("127.0.0.1", NODE_ADDRESS, "localhost", NODE_NAME)
    write_pair(folder, "kubelet-serving", cluster.server(kubelet_hosts, f"system:node:{NODE_NAME}"))
    clients: dict[str, tuple[str, tuple[str, ...]]] = {
        "admin": ("admin", ("system:masters",)),
        "apiserver-kubelet": ("apiserver-kubelet", ("system:masters",)),
        "controller-manager": ("system:kube-controller-manager", ()),
        "scheduler": ("system:kube-scheduler", ()),
        "kubelet": (f"system:node:{NODE_NAME}", ("system:nodes",)),
        "proxy": ("system:kube-proxy", ()),
    }
    for name, (user, groups) in clients.items():
        write_pair(folder, name, cluster.client(user, groups))
    accounts = ec.generate_private_key(ec.SECP256R1())
    public = accounts.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_pair(folder, "service-accounts", Pair(public, private_pem(accounts)))
    (folder / "complete").touch()


def request(user: str, groups: Sequence[str]) -> tuple[bytes, bytes]:
    """Return a new key and a signing request for a client certificate, PEM both."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(_subject(user, groups)).sign(key, hashes.SHA256())
    return private_pem(key), csr.public_bytes(serialization.Encoding.PEM)
