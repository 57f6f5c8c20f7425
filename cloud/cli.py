"""The hosted side's command line: ``jianlian serve|intake|worker|mllp|migrate|demo|doctor|tenant|user|analyzer|release|audit``."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from common import english
from common.errors import JianlianError

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and run; errors are one Chinese line and exit code 2."""
    args = _parser().parse_args(argv)
    try:
        code: int = args.run(args)
    except JianlianError as exc:
        print(f"错误：{exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as exc:
        said = _database_away(exc)
        if said is None:
            raise
        print(f"错误：{said}", file=sys.stderr)
        return 2
    return code


def _database_away(exc: Exception) -> str | None:
    """A database that cannot be reached, in one line; None for anything else."""
    from sqlalchemy.exc import OperationalError  # a command that needs no database need not load it

    if not isinstance(exc, OperationalError):
        return None
    why = str(exc.orig).strip().splitlines()[-1]
    return f"数据库连不上（{why}）。请检查 database_url、owner_url 与数据库服务。"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jianlian", description="检联：检验科信息管理系统（云端）")
    parser.add_argument("--config", help="配置文件（TOML）；也可用环境变量 JIANLIAN_CONFIG")
    sub = parser.add_subparsers(required=True, metavar="命令")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        p = sub.add_parser(name, help=text, description=text)
        p.set_defaults(run=run)
        return p

    add("serve", _serve, "网页与接口（gunicorn）")
    add("intake", _intake, "接收各采集端的数据（MQTT）")
    add("worker", _worker, "后台任务：报告渲染、接口投递、定时任务")
    add("mllp", _mllp, "HIS 接口监听（MLLP，明文与 TLS）")
    migrate = add("migrate", _migrate, "升级数据库结构")
    migrate.add_argument("--check", action="store_true", help="只比较模型与数据库，不修改")
    doctor = add("doctor", _doctor, "检查配置、时钟、证书、磁盘、消息代理、数据库")
    doctor.add_argument("--json", action="store_true")
    english.add_switch(doctor)
    demo = add("demo", _demo, "在本机启动全套演示（虚构数据）")
    demo.add_argument("--json", action="store_true")
    demo.add_argument("--data", help="状态目录")
    demo.add_argument("--port", type=int, default=8443)
    demo.add_argument("--codes", action="store_true", help="只显示各人此刻的动态口令")
    _tenant_parser(add("tenant", _tenant, "医院（租户）"))
    _user_parser(add("user", _user, "账号"))
    _analyzer_parser(add("analyzer", _analyzer, "仪器接入"))
    _release_parser(add("release", _release, "采集端发布包"))
    audit = add("audit", _audit, "审计链").add_subparsers(dest="what", required=True)
    verify = audit.add_parser("verify", help="校验审计链，指出第一条断裂的记录")
    verify.add_argument("--tenant", help="医院代码；不写则全部")
    return parser


def _tenant_parser(p: argparse.ArgumentParser) -> None:
    sub = p.add_subparsers(dest="what", required=True)
    add = sub.add_parser("add", help="新建医院")
    add.add_argument("code")
    add.add_argument("name")
    add.add_argument("--host")
    add.add_argument("--site", type=int, default=1)
    sub.add_parser("list", help="列出医院")
    state = sub.add_parser("state", help="更改医院状态：试用、启用、只读（可查询打印）、关闭")
    state.add_argument("code")
    state.add_argument("to", choices=("active", "read_only", "closed"))
    edition = sub.add_parser("edition", help="更改医院的版本：完整版、标准版、基层版（不含的模块从菜单消失，数据不动）")
    edition.add_argument("code")
    edition.add_argument("to", choices=("full", "standard", "basic"))


def _user_parser(p: argparse.ArgumentParser) -> None:
    sub = p.add_subparsers(dest="what", required=True)
    add = sub.add_parser("add", help="新建账号（密码从终端或标准输入读取）")
    add.add_argument("tenant")
    add.add_argument("employee_no")
    add.add_argument("name")
    add.add_argument("--role", action="append", default=[])
    add.add_argument("--totp", action="store_true", help="启用动态口令，打印一次种子")


def _analyzer_parser(p: argparse.ArgumentParser) -> None:
    propose = p.add_subparsers(dest="what", required=True).add_parser("propose", help="试读录制的文件，列出各种读法和代码")
    propose.add_argument("file", type=Path)
    propose.add_argument("--encoding", help="字符集（gb18030、latin-1 …）；不写则自动")
    propose.add_argument("--json", action="store_true")
    propose.add_argument("--tenant", help="医院代码：保存为录制，并按该院项目给出建议（与 --analyzer 同用）")
    propose.add_argument("--analyzer", help="仪器编码")


def _release_parser(p: argparse.ArgumentParser) -> None:
    publish = p.add_subparsers(dest="what", required=True).add_parser("publish", help="登记厂家的采集端发布包（等待医院同意）")
    publish.add_argument("tenant", help="医院代码")
    publish.add_argument("manifest", type=Path)
    publish.add_argument("signature", type=Path)
    publish.add_argument("bundle", type=Path)
    publish.add_argument("--maker", type=Path, required=True, help="厂家公钥 release.pem")


def _serve(args: argparse.Namespace) -> int:
    from cloud.config import load
    from cloud.web.server import serve

    return serve(load(args.config))


def _intake(args: argparse.Namespace) -> int:
    import cloud.modules.tables  # noqa: F401  # every table known, or a foreign key to another module's cannot be resolved
    from cloud.config import load
    from cloud.db import awaited
    from cloud.db.session import Database
    from cloud.modules.edge.intake import run_intake
    from cloud.web import log

    settings = load(args.config)
    log.setup(settings.log_level)
    awaited.schema(settings.database_url, settings.schema_wait_s)
    run_intake(settings, Database(settings.database_url, secret=settings.secret))
    return 0


def _worker(args: argparse.Namespace) -> int:
    from cloud.config import load
    from cloud.worker import run_worker

    return run_worker(load(args.config))


def _mllp(args: argparse.Namespace) -> int:
    import cloud.modules.tables  # noqa: F401
    from cloud.config import load
    from cloud.db import awaited
    from cloud.db.session import Database
    from cloud.modules.interfaces.listener import run_mllp
    from cloud.web import log

    settings = load(args.config)
    log.setup(settings.log_level)
    awaited.schema(settings.database_url, settings.schema_wait_s)
    run_mllp(Database(settings.database_url, secret=settings.secret), settings)
    return 0


def _migrate(args: argparse.Namespace) -> int:
    from cloud import admin
    from cloud.config import load
    from cloud.db import migrate
    from cloud.modules.tables import METADATA
    from cloud.ports import s3

    settings = load(args.config)
    if args.check:
        found = migrate.differences(settings.owner_url, METADATA)
        for item in found:
            print(item)
        return 1 if found else 0
    migrate.upgrade(settings.owner_url, METADATA, settings.app_role)
    s3.make_ready(s3.open_store(settings))
    print("数据库结构已是最新。")
    for code, brought in admin.bring_up_roles(settings):
        for role, more in brought.added.items():
            print(f"{code}：角色 {role} 增加权限 {'、'.join(more)}")
        for role, more in brought.held_back.items():
            print(f"{code}：角色 {role} 已被医院更改，未授予 {'、'.join(more)}")
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from cloud.config import load
    from cloud.doctor import check

    lang = english.language(args.lang, os.environ)
    findings = [f.in_language(lang) for f in check(load(args.config))]
    if args.json:
        print(json.dumps([f.as_dict() for f in findings], ensure_ascii=False))
    else:
        for f in findings:
            print(f.line())
    return max((f.exit_code for f in findings), default=0)


def _demo(args: argparse.Namespace) -> int:
    from cloud.demo.__main__ import start

    return start(args)


def _tenant(args: argparse.Namespace) -> int:
    from cloud import admin
    from cloud.config import load
    from cloud.modules.platform.rules import TenantState

    settings = load(args.config)
    if args.what == "add":
        tenant_id = admin.add_tenant(settings, args.code, args.name, args.host, args.site)
        print(f"已建立医院 {args.name}（代码 {args.code}，编号 {tenant_id}）")
    elif args.what == "state":
        admin.set_tenant_state(settings, args.code, TenantState(args.to))
        print(f"医院 {args.code} 已改为 {args.to}")
    elif args.what == "edition":
        admin.set_edition(settings, args.code, args.to)
        print(f"医院 {args.code} 已改为 {args.to}")
    else:
        for row in admin.tenants(settings):
            print(f"{row.id}\t{row.code}\t{row.name}\t{row.status}\t{row.edition}\t{row.host or ''}")
    return 0


def _user(args: argparse.Namespace) -> int:
    from cloud import admin
    from cloud.config import load

    password = getpass.getpass("初始密码：") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    seed = admin.add_user(load(args.config), args.tenant, args.employee_no, args.name, password, tuple(args.role), args.totp)
    print(f"已建立账号 {args.employee_no}" + (f"；动态口令种子（只显示这一次）：{seed}" if seed else ""))
    return 0


def _analyzer(args: argparse.Namespace) -> int:
    import cloud.modules.tables  # noqa: F401
    from cloud import admin
    from cloud.config import load
    from cloud.modules.edge import terminal

    found = terminal.propose(args.file, args.encoding)
    print(terminal.as_json(found) if args.json else "\n".join(terminal.lines(found)))
    if args.tenant and args.analyzer:
        with admin.hospital(load(args.config), args.tenant) as uow:
            for line in terminal.keep(uow, args.file, args.analyzer, args.encoding):
                print(line, file=sys.stderr if args.json else sys.stdout)
    return 0


def _release(args: argparse.Namespace) -> int:
    import cloud.modules.tables  # noqa: F401
    from cloud import admin
    from cloud.config import load
    from cloud.modules.edge import updates
    from common import crypto

    manifest, signature, bundle = (part.read_bytes() for part in (args.manifest, args.signature, args.bundle))
    maker = crypto.load_public(args.maker.read_bytes())
    with admin.hospital(load(args.config), args.tenant) as uow:
        number = updates.publish(uow, manifest, signature, bundle, maker)
    print(f"已登记发布 {number}，等待医院在“采集端版本”页登记同意。")
    return 0


def _audit(args: argparse.Namespace) -> int:
    from cloud import admin
    from cloud.config import load

    bad = 0
    for code, count, broken in admin.verify_audit(load(args.config), args.tenant):
        if broken is None:
            print(f"{code}：{count} 条记录，链条完整")
        else:
            bad = 1
            print(f"{code}：第 {broken.seq} 条断裂（{broken.reason}），之前 {count} 条完整")
    return bad


if __name__ == "__main__":
    sys.exit(main())
