"""Owns what each service finds in its environment; a service is given its own database's address and no other's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.dependencies import Addresses
from shared.clock import ENVIRONMENT_VARIABLE as CLOCK_VARIABLE


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What services are started with; ports by service."""

    addresses: Addresses
    ports: Mapping[str, int]
    state_dir: Path
    clock_file: Path | None
    access_secret: str

    def of_service(self, service: str, inherited: Mapping[str, str]) -> dict[str, str]:
        """The environment of one service: what is inherited, without other services' secrets, and what was chosen."""
        secrets = ("_DATABASE_URL", "RELEVE_ACCESS_SECRET")
        kept = {name: value for name, value in inherited.items() if not name.endswith(secrets)}
        chosen = {
            "RELEVE_STATE_DIR": str(self.state_dir),
            "RELEVE_KAFKA_BOOTSTRAP_SERVERS": self.addresses.kafka,
            "RELEVE_OIDC_ISSUER": self.addresses.issuer,
            f"RELEVE_{service.upper()}_PORT": str(self.ports[service]),
            f"RELEVE_{service.upper()}_DATABASE_URL": self.addresses.databases[service],
        }
        if "RELEVE_PUBLIC_URL" not in inherited:
            chosen["RELEVE_PUBLIC_URL"] = f"http://127.0.0.1:{self.ports['intake']}"
        if service == "intake":
            chosen["RELEVE_ACCESS_SECRET"] = self.access_secret
        if service == "notify":
            chosen["RELEVE_SMTP_URL"] = self.addresses.smtp
        if self.clock_file is not None:
            chosen[CLOCK_VARIABLE] = str(self.clock_file)
        return kept | chosen
