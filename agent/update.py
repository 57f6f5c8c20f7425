"""Updates: two slots beside each other, the maker's signature, the hospital's consent, a trial, and the way back (RELIABILITY F20, M29 R1).

    releases/          in the data folder
      a/ b/            a release each: the unpacked bundle and `manifest.json` with its signature
      current          one letter: the slot that runs; absent: the program as it was installed
      trial.json       a slot on trial: its letter, version, how often it was started
      floor            the highest version ever confirmed: nothing below it is activated again

Nothing that runs is ever written to. `current` and `trial.json` are replaced in one step each, and `launch`, which the service manager
starts, is in no slot, so a kill at any file operation leaves a version that starts. A trial not confirmed in time, or that dies, is over.
"""

from __future__ import annotations

import base64
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent import log
from agent.config import DataDir, sync_folder, write_atomic
from common import crypto, release
from common.errors import JianlianError, PeerError

TRIES = 2  # starts a release on trial may take before it has confirmed itself
HEALTH_SECONDS = 90.0
MAKER = "release.pem"  # the maker's public key; laid down by the installer, never by the cloud
_MAX_FILES = 20_000
_log = log.get("update")


class UpdateRefused(PeerError):
    """A release that is not activated; the code says why."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A slot being tried."""

    slot: str
    version: str
    starts: int = 0


class Slots:
    """The folder `releases`."""

    def __init__(self, data: DataDir) -> None:
        self.root = data.root / "releases"
        self._data = data

    @property
    def current(self) -> str:
        """The slot in use, empty for the installed program."""
        return self._read("current") if self._read("current") in ("a", "b") else ""

    @property
    def floor(self) -> tuple[int, ...]:
        """No version below this is activated."""
        try:
            return release.number(self._read("floor"))
        except release.ReleaseError:
            return (0, 0, 0, 0)

    def trial(self) -> Trial | None:
        """The slot on trial."""
        try:
            raw = json.loads(self._read("trial.json"))
            return Trial(str(raw["slot"]), str(raw["version"]), int(raw["starts"])) if raw["slot"] in ("a", "b") else None
        except (ValueError, KeyError, TypeError):
            return None

    def _read(self, name: str) -> str:
        try:
            return (self.root / name).read_text().strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def maker(self) -> crypto.PublicKey:
        """Whose signature counts. Raises UpdateRefused."""
        try:
            return crypto.load_public(self._data.file(MAKER).read_bytes())
        except (OSError, crypto.CryptoError) as error:
            raise UpdateRefused("update.maker", "本机没有厂家公钥 release.pem，不能更新") from error

    # --- in

    def check(self, order: dict[str, Any], now: datetime) -> release.Manifest:
        """The manifest of an order that may be carried out. Raises UpdateRefused, ReleaseError."""
        try:
            text, signature = str(order["manifest"]).encode(), base64.b64decode(str(order["signature"]), validate=True)
            consent = dict(order["consent"])
        except (KeyError, TypeError, ValueError) as error:
            raise UpdateRefused("update.consent", "没有医院同意记录的更新不会启用") from error
        found = release.read(text, signature, self.maker(), now)
        if not _consented(consent, found):
            raise UpdateRefused("update.consent", "没有医院同意记录的更新不会启用")
        return found

    def stage(self, manifest: release.Manifest, text: bytes, signature: bytes, bundle: bytes, running: str) -> Trial:
        """Unpack into the slot that is not in use and put it on trial. Raises UpdateRefused."""
        if release.number(manifest.version) <= max(self.floor, release.number(running)):
            raise UpdateRefused("update.downgrade", f"{manifest.version} 版不比现用版本新")
        if len(bundle) != manifest.size or crypto.sha256_hex(bundle) != manifest.sha256:
            raise UpdateRefused("update.bundle", "更新包与清单不符")
        slot = "b" if self.current == "a" else "a"
        self.root.mkdir(mode=0o700, exist_ok=True)
        self._end_trial()
        folder = self.root / slot
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
        packed = self.root / "bundle.zip"
        write_atomic(packed, bundle)
        try:
            _unpack(packed, folder)
        finally:
            packed.unlink(missing_ok=True)
        signed = {"manifest": text.decode(), "signature": base64.b64encode(signature).decode(), "files": _digest(folder)}
        write_atomic(folder / "manifest.json", json.dumps(signed).encode())
        sync_folder(folder)
        trial = Trial(slot, manifest.version)
        self._write_trial(trial)
        return trial

    # --- start, health, way back

    def choose(self) -> tuple[Path | None, Trial | None]:
        """What to start now: a slot's folder (None: the installed program), and the trial when it is one. Counts the start first."""
        trial = self.trial()
        if trial is not None and (trial.starts >= TRIES or not self.whole(trial.slot)):
            _log.error("the new version did not confirm itself: back to the one before", version=trial.version)
            self._note_failure(trial)
            self._end_trial()
            trial = None
        if trial is not None:
            trial = Trial(trial.slot, trial.version, trial.starts + 1)
            self._write_trial(trial)
            return self.root / trial.slot, trial
        current = self.current
        return (self.root / current, None) if current and self.whole(current) else (None, None)

    def confirm(self, version: str) -> None:
        """The version on trial works: it is the current one from this moment."""
        trial = self.trial()
        if trial is None or trial.version != version:
            return
        write_atomic(self.root / "current", trial.slot.encode())
        write_atomic(self.root / "floor", version.encode())
        self._end_trial()
        _log.info("version confirmed", version=version)

    def give_up(self) -> None:
        """The version on trial does not work."""
        trial = self.trial()
        if trial is not None:
            self._note_failure(trial)
            self._end_trial()

    def whole(self, slot: str) -> bool:
        """True when a slot holds exactly what was unpacked into it."""
        folder = self.root / slot
        try:
            signed = json.loads((folder / "manifest.json").read_bytes())
            return bool(signed["files"] == _digest(folder))
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def failed(self) -> str:
        """The version that was tried last and did not work."""
        return self._read("failed")

    def _note_failure(self, trial: Trial) -> None:
        write_atomic(self.root / "failed", trial.version.encode())

    def _write_trial(self, trial: Trial) -> None:
        raw = {"slot": trial.slot, "version": trial.version, "starts": trial.starts}
        write_atomic(self.root / "trial.json", json.dumps(raw).encode())

    def _end_trial(self) -> None:
        if (self.root / "trial.json").exists():
            (self.root / "trial.json").unlink()
            sync_folder(self.root)


def _unpack(packed: Path, folder: Path) -> None:
    """Files of a bundle; one that would leave the folder, or is no file, refuses the whole. Raises UpdateRefused."""
    try:
        with zipfile.ZipFile(packed) as archive:
            entries = archive.infolist()
            if len(entries) > _MAX_FILES or sum(entry.file_size for entry in entries) > 4 * release.MAX_BUNDLE:
                raise UpdateRefused("update.bundle", "更新包过大")
            for entry in entries:
                target = (folder / entry.filename).resolve()
                if not target.is_relative_to(folder.resolve()) or entry.external_attr >> 28 == 0xA or "\\" in entry.filename:
                    raise UpdateRefused("update.bundle", "更新包内的路径不可信")
                if entry.is_dir():
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(target, archive.read(entry))
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise UpdateRefused("update.bundle", "更新包解不开") from error


def _digest(folder: Path) -> str:
    """One hash over names and contents; compiled files that Python leaves beside them do not count."""
    parts = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != "manifest.json" and "__pycache__" not in name:
            parts.append(f"{name}\n{crypto.sha256_hex(path.read_bytes())}\n")
    return crypto.sha256_hex("".join(parts).encode())


class Updater:
    """The running agent's part: takes an offer, fetches, stages, asks for the restart; and confirms itself when it is on trial."""

    def __init__(self, data: DataDir, version: str, fetch: Callable[[str], bytes], restart: Callable[[], None]) -> None:
        self.slots = Slots(data)
        self._version = version
        self._fetch = fetch
        self._restart = restart
        self.state = ""
        self.on_trial = (trial := self.slots.trial()) is not None and trial.version == version

    def take(self, order: dict[str, Any]) -> None:
        """Carry out an offer; called in a thread, for it downloads. What is wrong is told in `state`, nothing else changes."""
        try:
            found = self.slots.check(order, datetime.now(UTC))
            if found.version == self._version:
                raise UpdateRefused("update.again", f"{found.version} 版已在使用")
            bundle = self._fetch(found.version)
            signature = base64.b64decode(str(order["signature"]))
            self.slots.stage(found, str(order["manifest"]).encode(), signature, bundle, self._version)
        except (JianlianError, OSError) as error:
            self.state = str(error)
            _log.error("update refused", error=getattr(error, "code", type(error).__name__))
            return
        self.state = f"{found.version} 版已就绪，正在重新启动试用"
        _log.info("update staged", version=found.version)
        self._restart()

    def second(self, age: float, *, healthy: bool) -> None:
        """Each second while on trial: confirm when healthy, give up when it takes too long."""
        if not self.on_trial:
            return
        if healthy:
            self.slots.confirm(self._version)
            self.on_trial = False
        elif age > HEALTH_SECONDS:
            self.on_trial = False
            self.slots.give_up()
            _log.error("not healthy in time: back to the version before", version=self._version)
            self._restart()


def _consented(consent: dict[str, Any], manifest: release.Manifest) -> bool:
    """The cloud's signed order names the laboratory's consent to this very version."""
    named = all(str(consent.get(name) or "").strip() for name in ("id", "person", "at"))
    return named and consent.get("version") == manifest.version
