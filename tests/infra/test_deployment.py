"""What can be checked of containers and services without an engine: schemas, references, commands, settings."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloud import cli, config
from cloud.modules.edge import enrolment
from tests.flows.stack import eventually
from tests.support import brokers
from tests.support.sources import REPO

INFRA = REPO / "infra"
COMPOSE = INFRA / "compose.yaml"
UNITS = sorted((INFRA / "systemd").glob("jianlian-*"))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return loaded


def test_compose_fits_its_schema() -> None:
    command = [str(REPO / ".venv/bin/check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    if not Path(command[0]).exists():
        command[0] = shutil.which("check-jsonschema") or pytest.skip("check-jsonschema is not installed")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_refers_to_what_exists(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if "build" in service:
            assert (INFRA / service["build"]["context"] / service["build"]["dockerfile"]).is_file(), name
        assert set(service.get("secrets", ())) <= set(compose["secrets"]), name
        assert set(service.get("depends_on", ())) <= set(compose["services"]), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (INFRA / source).exists() if source.startswith((".", "/dev/")) else source in compose["volumes"], volume


def test_only_web_can_make_agents(compose: dict[str, Any]) -> None:
    keys = {
        n: "/dev/null:/pki/ca/ca.key:ro" in s["volumes"] for n, s in compose["services"].items() if "pki:/pki:ro" in s.get("volumes", ())
    }
    assert keys == dict.fromkeys(("migrate", "intake", "worker", "mllp"), True)
    assert [n for n, s in compose["services"].items() if "pki:/pki" in s.get("volumes", ())] == ["pki", "web"]


def test_compose_waits_for_what_a_first_start_needs(compose: dict[str, Any]) -> None:
    """While the database's image runs the first start's scripts it answers on its socket only: a look there would be too early."""
    assert compose["services"]["postgres"]["healthcheck"]["test"][:4] == ["CMD", "pg_isready", "-h", "127.0.0.1"]
    assert {"postgres", "minio"} <= set(compose["services"]["migrate"]["depends_on"])


def test_compose_pins_images_and_holds_no_secret(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert re.search(r":[\w.-]*\d", service["image"]), f"{name}: image without a version"
        for key, value in (service.get("environment") or {}).items():
            assert not re.search("PASSWORD|SECRET|TOKEN", key) or str(value).startswith("/run/secrets/"), f"{name}: {key}"


def test_only_doors_for_outsiders_are_published(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"mosquitto": ["8883:8883"], "web": ["443:8443"], "mllp": ["2576:2576"]}


def test_commands_of_services_exist(compose: dict[str, Any]) -> None:
    verbs = [s["command"][0] for s in compose["services"].values() if "jianlian-cloud" in s["image"] and "entrypoint" not in s]
    for unit in UNITS:
        verbs += re.findall(r"^ExecStart=/opt/jianlian/bin/jianlian (\S+)", unit.read_text(), re.M)
    known = set(cli._parser()._subparsers._group_actions[0].choices)  # type: ignore[union-attr,arg-type]  # argparse has no public way
    assert verbs
    assert set(verbs) <= known


def test_dockerfiles_copy_what_exists() -> None:
    for name in ("Dockerfile.cloud", "Dockerfile.agent"):
        text = (REPO / name).read_text(encoding="utf-8")
        assert "USER jianlian" in text
        assert "--require-hashes" in text
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.M):
            for source in sources.split():
                assert (REPO / source).exists(), f"{name}: {source}"


def test_example_settings_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tree in ("make-secrets.sh", "jianlian.example.toml"):
        shutil.copy(INFRA / tree, tmp_path)
    done = subprocess.run(["bash", str(tmp_path / "make-secrets.sh")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "secrets" / "jianlian.toml"
    # Nobody but the owner comes to the files; the users inside the containers, each given one of them, can read theirs.
    assert made.parent.stat().st_mode & 0o077 == 0 and all(f.stat().st_mode & 0o777 == 0o444 for f in made.parent.iterdir())
    assert not re.search(r"@[A-Z_]+@", made.read_text())
    for name in list(os.environ):
        if name.startswith("JIANLIAN_"):
            monkeypatch.delenv(name)
    settings = config.load(str(made))
    assert len(settings.secret) == 64
    # Agents are sent to the door that is published, also where only the name was written down; our own listener stays inside.
    for named in (settings, replace(settings, mqtt_public_host="lis.example.org")):
        assert enrolment.public_broker(named) == ("lis.example.org", 8883) and settings.mqtt_port == 8884
    assert subprocess.run(["bash", str(tmp_path / "make-secrets.sh")], capture_output=True).returncode != 0


def as_user(uid: int, *files: Path) -> list[bool]:
    """Which files a user can read."""
    code = "import os,sys\nos.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))\nprint([os.access(f, os.R_OK) for f in sys.argv[2:]])"
    done = subprocess.run([sys.executable, "-c", code, str(uid), *map(str, files)], capture_output=True, text=True, check=True)
    return [word == "True" for word in done.stdout.strip(" []\n").split(", ")]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to hand files to other users")
def test_the_compose_setup_lays_keys_for_whom_they_are(compose: dict[str, Any]) -> None:
    """The service `pki` as compose runs it, only with another folder: what each container's user can read, and the broker starts on it."""
    shell, options, script, name = compose["services"]["pki"]["entrypoint"]
    with tempfile.TemporaryDirectory(prefix="jl-pki-", dir="/var/tmp") as folder:
        pki = Path(folder) / "pki"
        os.chmod(folder, 0o755)
        script = script.replace("$$", "$").replace("/pki", str(pki)).replace("python ", f"{sys.executable} ")
        done = subprocess.run([shell, options, script, name, "lis.example.org"], capture_output=True, text=True, cwd=REPO)
        assert done.returncode == 0, done.stderr
        cloud, broker = 10001, int(compose["services"]["mosquitto"]["user"].split(":")[0])
        secret = [pki / "web.key", pki / "ca/ca.key", pki / "cloud-signing.key", pki / "jianlian-cloud.key"]
        told = [pki / "ca/ca.pem", pki / "ca/crl.pem", pki / "mqtt.pem"]
        assert as_user(cloud, *secret, *told) == [True] * 7
        assert as_user(broker, *secret) == [False] * 4
        assert as_user(broker, pki / "mqtt.key", *told) == [True] * 4
        assert as_user(12345, *secret, pki / "mqtt.key") == [False] * 5


def test_the_broker_starts_anew_when_somebody_was_revoked(tmp_path: Path) -> None:
    crl, config, port = tmp_path / "crl.pem", tmp_path / "mosquitto.conf", brokers.free_port()
    crl.write_text("1")
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n" + ("user root\n" if os.getuid() == 0 else ""))
    assert brokers.MOSQUITTO is not None, "the set-up installs mosquitto"
    path = f"{Path(brokers.MOSQUITTO).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "CRL": str(crl), "CONFIG": str(config), "EVERY": "0.1"}
    with subprocess.Popen(["sh", str(INFRA / "mosquitto/run.sh")], env=environment, stderr=subprocess.DEVNULL) as running:
        try:
            eventually(lambda: answers(port), what="the broker listens")
            assert running.poll() is None
            crl.write_text("1, and another")
            assert running.wait(30) is not None  # whoever keeps it running starts it again, with the new list
            eventually(lambda: not answers(port), what="every session is cut")
        finally:
            running.terminate()


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_service_files_are_sound(tmp_path: Path) -> None:
    names = []
    for unit in UNITS:
        text = re.sub(r"/opt/jianlian/bin/\S+", "/bin/true", unit.read_text(encoding="utf-8"))
        name = unit.name.replace("@.", "@1.")
        (tmp_path / unit.name).write_text(text)
        names.append(str(tmp_path / name))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *names], capture_output=True, text=True)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "jianlian" in line]
    assert ours == []


def test_a_broken_service_file_would_be_noticed(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    (tmp_path / "jianlian-bad.service").write_text("[Service]\nExecStart=nowhere/at/all\nRestart=sometimes\n")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(tmp_path / "jianlian-bad.service")], capture_output=True, text=True)
    assert "jianlian-bad" in done.stdout + done.stderr


def test_nginx_lets_nobody_but_itself_speak_of_certificates_and_addresses() -> None:
    """What the program believes of a front (certificates.py, front.py) is overwritten in every place that hands requests on."""
    conf = re.sub(r"#.*", "", (INFRA / "nginx" / "jianlian.conf").read_text())
    places = re.findall(r"location [^{]*\{([^}]*)\}", conf)
    assert len(places) == conf.count("proxy_pass") == 1
    assert "underscores_in_headers" not in conf and "ssl_verify_client      optional_no_ca" in conf
    for place in places:
        said = dict(re.findall(r"proxy_set_header +(\S+) +(.+);", place))
        assert said["X-Client-Cert"] == "$jianlian_card" and "include /etc/nginx/jianlian-front-key.conf" in place
        assert (said["X-Forwarded-For"], said["Forwarded"]) == ("$remote_addr", '""')
