"""docker-compose.yml, Dockerfile and .env.example agree with the settings, the roles and each other."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
import yaml

from tests.live import ROOT
from tracestore.environment import SETTINGS, read_environment
from tracestore.process.server import ROLES

NAMES = {setting.name for setting in SETTINGS}
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = {name: service for name, service in SERVICES.items() if "build" in service}


def fill_in(text: str) -> str:
    """Substitute as docker compose does, with "secret" for what .env must give."""
    return VARIABLE.sub(lambda match: match[3] if match[2] == "-" else "secret", text)


def test_the_services_of_server_mode_are_there() -> None:
    assert set(SERVICES) == {"clickhouse", "postgres", "redis", "web", "ingest", "worker"}


def test_each_role_runs_once_in_the_same_image() -> None:
    commands = [service["command"] for service in OWN.values()]

    assert sorted(command[-1] for command in commands) == sorted(ROLES)
    assert all(command[:-1] == ["python", "manage.py", "up", "--role"] for command in commands)
    assert len({service["image"] for service in OWN.values()}) == 1


@pytest.mark.parametrize("name", sorted(OWN))
def test_environment_names_only_known_settings_with_good_values(name: str) -> None:
    environment = {key: fill_in(value) for key, value in OWN[name]["environment"].items()}

    assert set(environment) <= NAMES
    values = read_environment(environment)
    assert values["TRACESTORE_HOST"] == "0.0.0.0"
    assert values["TRACESTORE_API_KEY"] == "secret"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_restarts_is_limited_and_is_checked(name: str) -> None:
    service = SERVICES[name]
    dockerfile = (ROOT / "Dockerfile").read_text()

    assert service["restart"] == "unless-stopped"
    assert service["mem_limit"]
    assert "healthcheck" in service or (name in OWN and "HEALTHCHECK" in dockerfile)


def test_volumes_are_declared_and_nobody_shares_one() -> None:
    mounts = [mount.split(":") for service in SERVICES.values() for mount in service.get("volumes", [])]
    named = [source for source, *_ in mounts if not source.startswith("./")]

    assert sorted(named) == sorted(COMPOSE["volumes"])
    assert all((ROOT / source).exists() for source, *_ in mounts if source.startswith("./"))


def test_dependencies_name_services() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)


def test_variables_without_a_default_stop_the_start_with_a_sentence_and_stand_in_the_example() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    example = dict(
        line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")
    )
    used = {match[1] for match in VARIABLE.finditer(text)}
    required = {match[1] for match in VARIABLE.finditer(text) if match[2] == "?"}

    assert used == set(example)
    assert all(example[name] == "" for name in required), "an example password would end up in production"
    assert {name for name in used if "PASSWORD" in name or "KEY" in name} == required


def test_image_sets_only_known_settings_and_copies_every_package() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    named = set(re.findall(r"\b(TRACESTORE_\w+)=", dockerfile))
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}

    assert named <= NAMES
    assert packages | {"templates"} == set(re.findall(r"^COPY (\w+) \1$", dockerfile, re.MULTILINE))


def test_clickhouse_configuration_is_xml_and_bounds_every_log_it_keeps() -> None:
    root = ElementTree.parse(ROOT / "docker" / "clickhouse.xml").getroot()

    assert root.tag == "clickhouse"
    for log in (element for element in root if element.tag.endswith("_log")):
        assert log.get("remove") == "1" or "INTERVAL" in (log.findtext("ttl") or "")
