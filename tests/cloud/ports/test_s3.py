"""File stores: the same promises from a local folder and from S3 over real HTTP (moto's server)."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from cloud.config import Settings
from cloud.ports.s3 import FileStore, LocalStore, S3Store, files_of, keeps_its_word, make_ready, open_store
from common.errors import LocalError, PeerError

SETTINGS = Settings(database_url="postgresql://x", secret="00" * 32)
DATA = "检验报告".encode() * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(scope="module")
def s3_settings() -> Iterator[Settings]:
    """Settings for a running S3 server with one bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = replace(
        SETTINGS, files="s3", s3_endpoint=f"http://{host}:{port}", s3_bucket="reports", s3_access_key="key", s3_secret_key="secret"
    )
    client = boto3.client(
        "s3", endpoint_url=settings.s3_endpoint, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )
    client.create_bucket(Bucket="reports")
    yield settings
    server.stop()


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    """Each kind of store in turn, made the way the product makes it."""
    if request.param == "local":
        return open_store(replace(SETTINGS, data_dir=str(tmp_path)))
    return open_store(request.getfixturevalue("s3_settings"))


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key no other test uses; the S3 server is shared."""
    return f"t7/reports/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()}.pdf"


def test_settings_choose_the_store(s3_settings: Settings, tmp_path: Path) -> None:
    assert isinstance(open_store(replace(SETTINGS, data_dir=str(tmp_path))), LocalStore)
    assert isinstance(open_store(s3_settings), S3Store)
    for wrong in (replace(SETTINGS, files="ftp"), replace(SETTINGS, files="s3", s3_bucket="")):
        with pytest.raises(LocalError) as caught:
            open_store(wrong)
        assert caught.value.code == "config_files"


def test_what_is_put_comes_back_with_its_hash(store: FileStore, key: str) -> None:
    assert not store.exists(key)
    assert store.put(key, DATA) == DIGEST
    assert store.exists(key)
    assert store.get(key) == DATA == store.get(key, DIGEST)


def test_the_same_bytes_again_are_a_repeat_and_others_are_refused(store: FileStore, key: str) -> None:
    store.put(key, DATA)
    assert store.put(key, DATA) == DIGEST
    with pytest.raises(LocalError) as caught:
        store.put(key, DATA + b"!")
    assert caught.value.code == "file_taken"
    assert store.get(key) == DATA


def test_of_many_writers_with_different_bytes_exactly_one_wins(store: FileStore, key: str) -> None:
    contents = [f"content {number}".encode() * 100 for number in range(8)]
    outcomes: list[bytes | None] = []
    start = threading.Barrier(len(contents))

    def write(content: bytes) -> None:
        start.wait()
        try:
            store.put(key, content)
            outcomes.append(content)
        except LocalError:
            outcomes.append(None)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [outcome for outcome in outcomes if outcome is not None]
    assert len(outcomes) == len(contents) and len(winners) == 1
    assert store.get(key) == winners[0]


def test_an_empty_file_is_a_file(store: FileStore, key: str) -> None:
    store.put(key, b"")
    assert store.exists(key) and store.get(key) == b""
    with pytest.raises(LocalError):
        store.put(key, b"x")


def test_a_missing_file_is_named(store: FileStore, key: str) -> None:
    with pytest.raises(LocalError) as caught:
        store.get(key)
    assert caught.value.code == "file_missing" and key in str(caught.value)


def test_damage_is_seen(store: FileStore, key: str) -> None:
    store.put(key, DATA)
    with pytest.raises(LocalError) as caught:
        store.get(key, hashlib.sha256(b"other").hexdigest())
    assert caught.value.code == "file_damaged"


def test_tenants_with_the_same_key_never_meet(store: FileStore, key: str) -> None:
    name = key.removeprefix("t7/")
    one, two = files_of(store, 7), files_of(store, 8)
    one.put(name, b"one")
    assert not two.exists(name)
    two.put(name, b"two")
    assert (one.get(name), two.get(name)) == (b"one", b"two")
    assert store.get(f"t7/{name}") == b"one" and store.get(f"t8/{name}") == b"two"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "reports/x.pdf",
        "t7",
        "t7/",
        "/t7/x",
        "t7/../t8/x",
        "t7/a/../../x",
        "t7/./x",
        "t7//x",
        "t7/.hidden",
        "t7/a b",
        "t7/报告",
        "tx/x",
        "t7/x\n",
    ]
    + ["t7/" + "x" * 600],
)
def test_a_key_outside_the_grammar_is_refused_by_every_verb(store: FileStore, bad: str) -> None:
    for verb in (lambda: store.put(bad, b"x"), lambda: store.get(bad), lambda: store.exists(bad)):
        with pytest.raises(LocalError) as caught:
            verb()
        assert caught.value.code == "file_key"


def test_a_tenant_cannot_step_out_of_its_folder(store: FileStore) -> None:
    with pytest.raises(LocalError):
        files_of(store, 7).put("../t8/reports/x", b"x")


def test_both_stores_keep_their_word_and_a_careless_one_is_found_out(store: FileStore) -> None:
    assert keeps_its_word(store)
    assert keeps_its_word(store)

    class Careless:
        """Replaces what it holds, as a service does that ignores the condition."""

        def __init__(self) -> None:
            self.held: dict[str, bytes] = {}

        def prepare(self) -> None:
            return None

        def put(self, key: str, data: bytes) -> str:
            self.held[key] = data
            return ""

        def get(self, key: str, sha256: str | None = None) -> bytes:
            return self.held[key]

        def exists(self, key: str) -> bool:
            return key in self.held

    assert not keeps_its_word(Careless())


def test_a_store_that_is_away_is_the_peers_fault(s3_settings: Settings) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = open_store(replace(s3_settings, s3_endpoint=f"http://127.0.0.1:{unused.getsockname()[1]}"))
        for verb in _verbs(away):
            with pytest.raises(PeerError) as caught:
                verb()
            assert caught.value.code == "files_unreachable"


def test_a_bucket_that_is_not_there_is_no_missing_file(s3_settings: Settings) -> None:
    wrong = open_store(replace(s3_settings, s3_bucket="nobodys"))
    for verb in _verbs(wrong)[:2]:
        with pytest.raises(PeerError):
            verb()


def test_a_new_installation_gets_its_bucket(s3_settings: Settings, tmp_path: Path) -> None:
    fresh = open_store(replace(s3_settings, s3_bucket="new-hospital"))
    for _again in range(2):
        fresh.prepare()
    assert fresh.put("t1/reports/x.pdf", DATA) == DIGEST
    open_store(replace(SETTINGS, data_dir=str(tmp_path))).prepare()


def test_a_local_file_is_synced_before_put_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes before the name, and the name's folder last: what a power cut leaves is the whole file or none."""
    steps: list[str] = []
    real_fsync, real_link = os.fsync, os.link

    def fsync(handle: int) -> None:
        steps.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        real_fsync(handle)

    def link(source: str, target: Path) -> None:
        steps.append("name")
        real_link(source, target)

    store = LocalStore(tmp_path / "files")
    store.put("t1/reports/first.pdf", b"1")
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", link)
    store.put("t1/reports/second.pdf", b"2")
    assert steps == ["file", "name", "folder"]
    steps.clear()
    store.put("t1/new/third.pdf", b"3")
    assert steps == ["folder", "file", "name", "folder"]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            store.put("t1/reports/x.pdf", DATA)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert store.put("t1/reports/x.pdf", DATA) == DIGEST


def _verbs(store: FileStore) -> list[Callable[[], object]]:
    return [lambda: store.put("t1/x", b"x"), lambda: store.get("t1/x"), lambda: store.exists("t1/x")]


def test_a_store_that_comes_up_after_us_is_waited_for(s3_settings: Settings) -> None:
    class Late(S3Store):
        asked = 0

        def prepare(self) -> None:
            type(self).asked += 1
            if self.asked < 3:
                raise PeerError("files_unreachable", "not yet")
            super().prepare()

    made = open_store(replace(s3_settings, s3_bucket="first-start"))
    assert isinstance(made, S3Store)
    make_ready(Late(made._client, "first-start"), pause=0.01)
    assert Late.asked == 3 and made.put("t7/a", b"1")
    with pytest.raises(PeerError):
        make_ready(open_store(replace(s3_settings, s3_endpoint="http://127.0.0.1:1")), seconds=0)
