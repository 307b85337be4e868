"""Owns the local OpenID issuer: signed tokens for the people of `staff.yaml`, no passwords, so for one machine only."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML

from deploy.local.state import write_private

STAFF_FILE = Path(__file__).with_name("staff.yaml")
TOKEN_LIFETIME = timedelta(hours=12)

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def staff() -> Mapping[str, Mapping[str, Any]]:
    """The people the local issuer knows: subject → claims (`name`, `roles`)."""
    known: Mapping[str, Mapping[str, Any]] = YAML(typ="safe").load(STAFF_FILE.read_text(encoding="utf-8"))
    return known


def application(issuer: str, key_file: Path) -> Application:
    """The issuer as a WSGI application which calls itself `issuer` whatever address it is reached by.

    Its key is kept in `key_file`, so that a restarted issuer does not make all tokens worthless.
    """
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # Loopback only.
    with warnings.catch_warnings():
        import authlib.deprecate  # noqa: F401 - at its first import it puts a filter of its own before others

        warnings.simplefilter("ignore")  # The mock uses names that its own library has deprecated.
        import flask
        from oidc_provider_mock import User, app

        key = _kept_key(key_file)
        users = [User(sub=subject, claims=dict(claims)) for subject, claims in staff().items()]
        provider = app(user_claims=users, access_token_max_age=TOKEN_LIFETIME)

    def use_the_kept_key() -> None:
        flask.g.oidc_provider_mock_storage.jwk = key

    provider.before_request(use_the_kept_key)
    host = urlsplit(issuer).netloc

    def as_issuer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer: Iterable[bytes] = provider.wsgi_app(environ | {"HTTP_HOST": host}, start_response)
        return answer

    return as_issuer


def _kept_key(path: Path) -> Any:
    """The key of earlier starts; made anew where missing or broken, for all that is lost are tokens of a day."""
    from authlib.jose import RSAKey

    try:
        return RSAKey.import_key(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        key = RSAKey.generate_key(is_private=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, json.loads(key.as_json(is_private=True)))
        return key


def main() -> None:
    """`python -m deploy.local.issuer --issuer URL --port P --key-file F`."""
    arguments = argparse.ArgumentParser(description="A local OpenID issuer for the people of staff.yaml.")
    arguments.add_argument("--issuer", required=True)
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=9400)
    arguments.add_argument("--key-file", type=Path, required=True)
    given = arguments.parse_args()

    import werkzeug.serving

    server = werkzeug.serving.make_server(
        given.host, given.port, application(given.issuer, given.key_file), threaded=True
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.serve_forever()


if __name__ == "__main__":
    main()
