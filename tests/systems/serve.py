"""Serves one rented system for the tests and the demo: somebody else's server, plus what a vendor has around it.

Runs in its own environment (`requirements.txt` beside this file: scim2-server and Kinto), never in the project's. Around the real
server it puts only a login page that names the system, a health page, an access log on standard output and the state from a dump.
scim2-server has no option to load a dump and logs no machine-readable access lines, hence this launcher.

With `--snapshots` a test can have the directory's state kept and brought back: PUT and POST /snapshots/<name>; new IDs then
follow from names, so that the same run makes the same requests.

    python serve.py scim  --name PRIMARY --port 8080 --token-file token --dump world.json
    python serve.py kinto --name PRIMARY --port 8080 --dump buckets.json
"""

from __future__ import annotations

import argparse
import base64
import html
import io
import json
import logging
import sys
import uuid
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Environ = dict[str, Any]
App = Callable[[Environ, Any], Iterable[bytes]]

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Log in to {name}</title></head>
<body><h1>Log in to {name}</h1>
<form method="post"><label>User name <input name="username"></label> <label>Password <input name="password" type="password"></label>
<button>Log in</button></form></body></html>
"""


def scim(token: str, dump: list[dict[str, Any]], without: set[str], snapshots: str = "") -> App:
    """scim2-server over its own in-memory storage, filled with the resources of a dump (ids as given).

    `without` names features that its ServiceProviderConfig doesn't offer, and that it then refuses: bulk, patch, etag, filter.
    `snapshots`: not empty = with snapshots, and IDs that follow from it and from names.
    """
    from scim2_server.memory import InMemoryStorage  # type: ignore[import-not-found]
    from scim2_server.testserver.application import BearerTokenApplication  # type: ignore[import-not-found]
    from scim2_server.utils import load_default_provider  # type: ignore[import-not-found]

    provider = load_default_provider()
    for feature in without:
        getattr(provider.config, feature).supported = False
    types = {t.name: t for t in provider.resource_types}
    storage = InMemoryStorage()
    if snapshots:
        storage.generate_id = lambda kind, made: _identifier(snapshots, kind, made, storage.resources)
    with provider:
        models = {name: provider.model_for(t) for name, t in types.items()}
        storage.resources = [models[r["meta"]["resourceType"]].model_validate(r) for r in dump]
    app: App = BearerTokenApplication(storage, provider, bearer_tokens=[token])
    return _keeping(app, storage) if snapshots else app


def _identifier(seed: str, kind: Any, made: Any, present: list[Any]) -> str:
    """An ID that is the same in every run, and another one for each entity of one name."""
    name = _name(made)
    twins = sum(1 for other in present if type(other) is type(made) and _name(other) == name)
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{seed}/{kind.name}/{name}/{twins}").hex


def _name(resource: Any) -> Any:
    return getattr(resource, "user_name", None) or resource.display_name


def _keeping(app: App, storage: Any) -> App:
    """PUT /snapshots/<name> keeps the state, POST brings it back."""
    kept: dict[str, list[Any]] = {}

    def serve(environ: Environ, start_response: Any) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        if not path.startswith("/snapshots/"):
            return app(environ, start_response)
        with storage.lock:
            if environ["REQUEST_METHOD"] == "PUT":
                kept[path] = [resource.model_copy(deep=True) for resource in storage.resources]
            else:
                storage.resources = [resource.model_copy(deep=True) for resource in kept[path]]
        start_response("204 No Content", [])
        return []

    return serve


def kinto(password: str, dump: dict[str, dict[str, list[dict[str, Any]]]]) -> App:
    """Kinto with in-memory backends; the dump holds buckets, their collections and their records, owned by user `bcp`."""
    import kinto as kinto_package  # type: ignore[import-not-found]

    warnings.filterwarnings("ignore", message="HTTPS is not enabled")
    app: App = kinto_package.main(
        {},
        **{
            "includes": "",
            "storage_backend": "kinto.core.storage.memory",
            "cache_backend": "kinto.core.cache.memory",
            "permission_backend": "kinto.core.permission.memory",
            "userid_hmac_secret": "only for tests",
            "multiauth.policies": "basicauth",
            "bucket_create_principals": "system.Authenticated",
            "paginate_by": "100",
        },
    )
    for bucket, collections in dump.items():
        _put(app, password, f"/v1/buckets/{bucket}", {})
        for collection, records in collections.items():
            base = f"/v1/buckets/{bucket}/collections/{collection}"
            _put(app, password, base, {})
            for record in records:
                _put(app, password, f"{base}/records/{record['id']}", record)
    return app


def _put(app: App, password: str, path: str, data: dict[str, Any]) -> None:
    body = json.dumps({"data": data}).encode()
    basic = base64.b64encode(f"bcp:{password}".encode()).decode()
    environ: Environ = {
        "REQUEST_METHOD": "PUT",
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "HTTP_AUTHORIZATION": f"Basic {basic}",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    answered: list[str] = []
    b"".join(app(environ, lambda status, headers, exc_info=None: answered.append(status)))
    if not answered[0].startswith("20"):
        raise SystemExit(f"restoring {path} from the dump failed: {answered[0]}")


def around(app: App, name: str, write: Callable[[str], None]) -> App:
    """The vendor's login page and health page beside the API, and one access line per request: `ACCESS GET /path?query 200 agent`."""
    page = PAGE.format(name=html.escape(name)).encode()

    def serve(environ: Environ, start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        query = environ.get("QUERY_STRING", "")
        target = f"{path}?{query}" if query else path

        def logged(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            agent = environ.get("HTTP_USER_AGENT") or "-"
            write(f"ACCESS {environ['REQUEST_METHOD']} {target} {status.split(maxsplit=1)[0]} {agent}\n")
            return start_response(status, headers, *rest)

        if path == "/login":
            logged("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(page)))])
            return [page]
        if path == "/health":
            logged("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
            return [b"ok\n"]
        return app(environ, logged)

    return serve


def _line(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main() -> None:
    """Serve until killed; the first line on standard output is `LISTENING <port>`."""
    parser = argparse.ArgumentParser(description="One rented system for the tests and the demo.")
    parser.add_argument("kind", choices=["scim", "kinto"])
    parser.add_argument("--name", required=True, help="what its login page calls it, e.g. PRIMARY")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 = any free port")
    parser.add_argument(
        "--token-file", type=Path, required=True, help="bearer token (scim), or password of user bcp (kinto)"
    )
    parser.add_argument("--dump", type=Path, help="JSON state to start with")
    parser.add_argument("--without", default="bulk", help="SCIM features that are not offered, separated by commas")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--snapshots", action="store_true", help="scim only: keep and bring back states, fixed IDs")
    args = parser.parse_args()

    from waitress.server import create_server  # type: ignore[import-untyped]

    logging.basicConfig(level=logging.WARNING)
    token = args.token_file.read_text().strip()
    if args.kind == "scim":
        without = set(filter(None, args.without.split(",")))
        dump = json.loads(args.dump.read_text()) if args.dump else []
        app = scim(token, dump, without, args.name if args.snapshots else "")
    else:
        app = kinto(token, json.loads(args.dump.read_text()) if args.dump else {})
    server = create_server(
        around(app, args.name, _line),
        host=args.host,
        port=args.port,
        threads=args.threads,
        trusted_proxy="*",  # links in answers (SCIM's location, Kinto's Next-Page) must name what the caller called
        trusted_proxy_headers="x-forwarded-proto x-forwarded-host x-forwarded-port",
    )
    _line(f"LISTENING {server.effective_port}\n")
    server.run()


if __name__ == "__main__":
    main()
