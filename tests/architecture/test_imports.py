"""Who may import what. Each rule is also shown to notice when it is broken."""

import pytest

from tests.support import import_rules as rules
from tests.support.sources import parse, sources


def test_pure_code_is_pure() -> None:
    assert [problem for source in sources() for problem in rules.impure(source)] == []


def test_layers_and_doors() -> None:
    assert [problem for source in sources() for problem in rules.layers(source)] == []


def test_modules_meet_where_they_declared() -> None:
    assert list(rules.between_modules(sources())) == []


def test_no_module_depends_on_itself() -> None:
    assert rules.cycles(rules.declared(sources())) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("common/values.py", "import random"),
        ("common/values.py", "from os import path"),
        ("common/values.py", "def f():\n    import logging"),
        ("common/values.py", "from datetime import datetime\nx = datetime.now()"),
        ("common/values.py", "x = open('a')"),
        ("common/values.py", "from agent import config"),
        ("cloud/modules/qc/rules.py", "from sqlalchemy import select"),
        ("cloud/modules/qc/rules.py", "import uuid\nx = uuid.uuid4()"),
        ("cloud/modules/qc/rules.py", "from cloud.db import session"),
    ],
)
def test_impure_code_is_noticed(path: str, text: str) -> None:
    assert list(rules.impure(parse(path, text)))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("cloud/modules/qc/service.py", "from flask import g"),
        ("cloud/modules/qc/views.py", "import sqlalchemy as sa"),
        ("cloud/modules/qc/views.py", "from sqlalchemy.orm import Session"),
        ("agent/app.py", "import serial"),
        ("agent/app.py", "from paho.mqtt import client"),
        ("cloud/intake.py", "import paho.mqtt.client as mqtt"),
    ],
)
def test_a_wrong_layer_is_noticed(path: str, text: str) -> None:
    assert list(rules.layers(parse(path, text)))


def test_private_parts_and_undeclared_use_are_noticed() -> None:
    files = [
        parse("cloud/modules/a/__init__.py", "MODULE = Module('a', depends=('b',))"),
        parse("cloud/modules/b/__init__.py", "MODULE = Module('b', depends=('a',))"),
        parse("cloud/modules/c/__init__.py", "MODULE = Module('c')"),
        parse("cloud/modules/a/service.py", "from cloud.modules.b.models import Row"),
        parse("cloud/modules/a/queries.py", "from cloud.modules.c import service"),
        parse("cloud/modules/a/views.py", "from ..b import queries"),
    ]
    assert [problem.split(" ", 1)[1] for problem in rules.between_modules(files)] == [
        "reaches into b.models",
        "uses c, which a does not declare",
    ]
    assert rules.cycles(rules.declared(files)) == ["a", "b"]


def test_imports_for_the_type_checker_do_not_count() -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from flask import Flask"
    assert not list(rules.layers(parse("cloud/modules/qc/service.py", text)))
