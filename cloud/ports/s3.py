"""Files that must stay as they were: reports and other documents, in S3 or in a local folder. The only importer of boto3.

Write-once: a key names one content for ever; putting the same bytes again is a repeat and changes nothing, putting others is refused.
Every key begins with its tenant (``t7/reports/…``), which ``files_of`` sees to, so that no caller can leave it out.

Errors: LocalError for our own misuse (a bad key, other bytes under a taken key, a missing or damaged file), PeerError for a store
that is away.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from common.errors import LocalError, PeerError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from cloud.config import Settings

_KEY = re.compile(r"t[0-9]+(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
_MAX_KEY = 512
START_S = 90.0


class FileStore(Protocol):
    """What callers may rely on, whatever the store."""

    def prepare(self) -> None:
        """Make the place for files where there is none yet; at an installation's migration."""

    def put(self, key: str, data: bytes) -> str:
        """Keep the bytes for good and return their SHA-256 in hex; back only when they are safe on disk or acknowledged."""

    def get(self, key: str, sha256: str | None = None) -> bytes:
        """The bytes; with ``sha256`` they are compared and damage is an error."""

    def exists(self, key: str) -> bool:
        """Whether the key is taken."""


class TenantFiles:
    """One tenant's part of a store: the same three verbs, keys without the tenant."""

    def __init__(self, store: FileStore, tenant_id: int) -> None:
        self._store = store
        self._prefix = f"t{tenant_id:d}/"

    def put(self, key: str, data: bytes) -> str:
        """See FileStore.put."""
        return self._store.put(self._prefix + key, data)

    def get(self, key: str, sha256: str | None = None) -> bytes:
        """See FileStore.get."""
        return self._store.get(self._prefix + key, sha256)

    def exists(self, key: str) -> bool:
        """See FileStore.exists."""
        return self._store.exists(self._prefix + key)


def files_of(store: FileStore, tenant_id: int) -> TenantFiles:
    """The part of the store that belongs to a tenant; the way modules reach files."""
    return TenantFiles(store, tenant_id)


class LocalStore:
    """A folder. A file appears whole under its name or not at all, also after a power cut."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Nothing to do: folders are made as files come."""

    def put(self, key: str, data: bytes) -> str:
        """See FileStore.put."""
        path = self._path(key)
        self._make_folders(path.parent)
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            # A hard link never replaces: of two writers one wins, and a content once there stays.
            os.link(temporary, path)
        except FileExistsError:
            return _same_or_refused(key, path.read_bytes(), data)
        finally:
            os.unlink(temporary)
            _sync_folder(path.parent)
        return _sha256(data)

    def get(self, key: str, sha256: str | None = None) -> bytes:
        """See FileStore.get."""
        try:
            data = self._path(key).read_bytes()
        except FileNotFoundError as error:
            raise _missing(key) from error
        return _undamaged(key, data, sha256)

    def exists(self, key: str) -> bool:
        """See FileStore.exists."""
        return self._path(key).is_file()

    def _path(self, key: str) -> Path:
        return self._folder / _checked(key)

    def _make_folders(self, folder: Path) -> None:
        new = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for each in new:
            _sync_folder(each.parent)


class S3Store:
    """A bucket. The condition ``If-None-Match: *`` makes the service refuse a taken key, so two writers cannot pass each other."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def prepare(self) -> None:
        """Make the bucket if it is missing. Raises PeerError."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.head_bucket(Bucket=self._bucket)
        except (BotoCoreError, ClientError) as error:
            if _status(error) != 404:
                raise _away(error) from error
            try:
                self._client.create_bucket(Bucket=self._bucket)
            except (BotoCoreError, ClientError) as refused:
                raise _away(refused) from refused

    def put(self, key: str, data: bytes) -> str:
        """See FileStore.put."""
        from botocore.exceptions import BotoCoreError, ClientError

        digest = _sha256(data)
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=_checked(key), Body=data, IfNoneMatch="*", ChecksumAlgorithm="SHA256", Metadata={"sha256": digest}
            )
        except ClientError as error:
            if _status(error) in (409, 412):
                return _same_or_refused(key, self.get(key), data)
            raise _away(error) from error
        except BotoCoreError as error:
            raise _away(error) from error
        return digest

    def get(self, key: str, sha256: str | None = None) -> bytes:
        """See FileStore.get."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            data = self._client.get_object(Bucket=self._bucket, Key=_checked(key))["Body"].read()
        except ClientError as error:
            if _status(error) == 404 and error.response.get("Error", {}).get("Code") != "NoSuchBucket":
                raise _missing(key) from error
            raise _away(error) from error
        except BotoCoreError as error:
            raise _away(error) from error
        return _undamaged(key, data, sha256)

    def exists(self, key: str) -> bool:
        """See FileStore.exists."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.head_object(Bucket=self._bucket, Key=_checked(key))
        except ClientError as error:
            if _status(error) == 404:
                return False
            raise _away(error) from error
        except BotoCoreError as error:
            raise _away(error) from error
        return True


def keeps_its_word(store: FileStore) -> bool:
    """Whether the store refuses other bytes under a taken key, for ``doctor``: some S3 look-alikes ignore the condition in silence."""
    key = "t0/probe/write-once"
    store.put(key, b"first") if not store.exists(key) else None
    try:
        store.put(key, b"second")
    except LocalError as error:
        return error.code == "file_taken"
    return False


def open_store(settings: Settings) -> FileStore:
    """The store the settings name: ``files = "local"`` or ``"s3"``. Raises LocalError for another word or a missing bucket."""
    if settings.files == "local":
        return LocalStore(settings.files_dir)
    if settings.files != "s3":
        raise LocalError("config_files", f"配置 files 只能是 local 或 s3，现在是“{settings.files}”。")
    if not settings.s3_bucket:
        raise LocalError("config_files", "配置 files = s3 时必须写明 s3_bucket。")
    return S3Store(_client(settings), settings.s3_bucket)


def make_ready(store: FileStore, seconds: float = START_S, pause: float = 1.0) -> None:
    """``prepare`` once the store answers: at an installation's first start it comes up beside us. Raises PeerError when it does not."""
    end = time.monotonic() + seconds
    while True:
        try:
            store.prepare()
        except PeerError:
            if time.monotonic() >= end:
                raise
            time.sleep(pause)
        else:
            return


_opened: list[FileStore] = []


def configure(settings: Settings) -> None:
    """Open the store of this process, once at its start, for those who are only handed a transaction (event handlers)."""
    _opened[:] = [open_store(settings)]


def current_store() -> FileStore:
    """The store of this process. Raises LocalError before ``configure``."""
    if not _opened:
        raise LocalError("config_files", "file store used before configure()")
    return _opened[0]


def _client(settings: Settings) -> S3Client:
    # Imported here: boto3 costs 20 MB and half a second, which a site with local files need not pay.
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint or None,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key or None,
        aws_secret_access_key=settings.s3_secret_key or None,
        config=Config(connect_timeout=5, read_timeout=30, retries={"max_attempts": 3, "mode": "standard"}, s3={"addressing_style": "path"}),
    )


def _checked(key: str) -> str:
    if len(key) > _MAX_KEY or not _KEY.fullmatch(key):
        raise LocalError("file_key", f"file key {key!r} is not of the form t<tenant>/<name>/…", key=key)
    return key


def _same_or_refused(key: str, kept: bytes, data: bytes) -> str:
    if kept != data:
        raise LocalError("file_taken", f"file {key} exists with other content and is never replaced", key=key)
    return _sha256(data)


def _undamaged(key: str, data: bytes, sha256: str | None) -> bytes:
    if sha256 is not None and _sha256(data) != sha256:
        raise LocalError("file_damaged", f"文件 {key} 与登记的哈希不一致，请勿使用，并通知信息科从备份恢复。", key=key)
    return data


def _missing(key: str) -> LocalError:
    return LocalError("file_missing", f"文件 {key} 不在文件库中，请通知信息科从备份恢复。", key=key)


def _away(error: Exception) -> PeerError:
    return PeerError("files_unreachable", f"文件库（S3）没有正常应答：{error}")


def _status(error: Exception) -> int:
    response = getattr(error, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
