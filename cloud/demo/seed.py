"""Fill a new database with the demo's hospitals. Runs once; a later start only moves addresses that changed."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from cloud import admin
from cloud.config import Settings
from cloud.db import migrate
from cloud.db.session import Actor, Database, UnitOfWork
from cloud.demo import agents, analyzer_data, autoverify, catalog_data, fitness, formulas, guests, people_data
from cloud.demo.analyzer_data import Instrument
from cloud.demo.state import Account, State
from cloud.modules.catalog import models as catalog
from cloud.modules.edge import configuration
from cloud.modules.edge import models as edge
from cloud.modules.edge import service as enrolment
from cloud.modules.interfaces import models as interfaces
from cloud.modules.interfaces import service as interface_service
from cloud.modules.orders import models as orders
from cloud.modules.orders import names, private
from cloud.modules.platform import service as platform
from cloud.modules.platform import workstations
from cloud.modules.queue import models as queue
from cloud.modules.tables import METADATA

SEEDER = Actor("demo")
HALL = "1F"
CHINA = ZoneInfo("Asia/Shanghai")


def schema(settings: Settings) -> dict[str, int]:
    """Bring the database up to date, as `jianlian migrate` does, and register the hospitals, one after the other so that each keeps its
    number from demo to demo; their ids by code."""
    migrate.upgrade(settings.owner_url, METADATA, settings.app_role)
    return {h.code: admin.add_tenant(settings, h.code, h.name, h.host, h.site) for h in people_data.HOSPITALS}


def hospital(settings: Settings, state: State, ports: Mapping[str, int], code: str, tenant_id: int) -> str:
    """Make what of a hospital is missing; the code its agent is enrolled with ("" when that is done)."""
    hospital = next(h for h in people_data.HOSPITALS if h.code == code)
    db = Database(settings.database_url, secret=settings.secret)
    try:
        with db.tenant(tenant_id, SEEDER) as uow:
            if uow.s.execute(select(catalog.Section.id)).first() is None:
                _hospital(uow, settings, hospital, [a for a in state.accounts() if a.tenant == hospital.code])
        with db.tenant(tenant_id, SEEDER) as uow:
            fitness.seed(uow)
            guests.seed(uow)
            formulas.seed(uow)
            autoverify.seed(uow)
            _addresses(uow, state, hospital, ports)
            if agents.enrolled(state, hospital.code):
                return ""
            agent = uow.s.execute(select(edge.Agent).where(edge.Agent.uuid == _uuid(hospital.code))).scalar_one()
            return enrolment.enrolment_code(uow, agent.id, settings)
    finally:
        db.dispose()


def _hospital(uow: UnitOfWork, settings: Settings, hospital: people_data.Hospital, accounts: list[Account]) -> None:
    people = {person.number: person for person in people_data.STAFF[hospital.code]}
    for account in accounts:
        person = people[account.username]
        new = platform.NewUser(
            employee_no=account.username,
            name=account.name,
            password=account.password,
            roles=person.roles,
            pin=account.pin,
            badge=account.badge,
            totp_seed=account.totp or None,
            dept=person.dept,
            sections=person.sections,
            wards=person.wards,
        )
        platform.create_user(uow, new, settings.secret)
    sections = _catalog(uow, hospital.code)
    _patients(uow, hospital.code)
    for number in (1, 2, 3):
        uow.s.add(queue.QueueWindow(hall=HALL, no=number, services=["blood"] if number < 3 else ["blood", "urine"]))
    for code, name, section in (("W-BLOOD-1", "采血 1 号窗口", None), ("W-RECV-1", "标本接收台", None), ("W-XY-1", "血液组工作站", "XY")):
        workstations.register(uow, code, name, section)
    agent = edge.Agent(uuid=_uuid(hospital.code), name=f"{hospital.name} 检验科采集端", location="检验科")
    uow.s.add(agent)
    uow.s.flush()
    items = {code: item_id for item_id, code in uow.s.execute(select(catalog.TestItem.id, catalog.TestItem.code))}
    for instrument in analyzer_data.INSTRUMENTS[hospital.code]:
        _instrument(uow, agent, instrument, sections, items)
    uow.audit("tenant", uow.tenant_id, "seed_demo", after={"hospital": hospital.code})


def _catalog(uow: UnitOfWork, hospital: str) -> dict[str, int]:
    """Sections, specimen types, tubes, items, intervals, order sets, HIS codes, reasons. Returns the sections' ids."""
    sections = _rows(
        uow, (catalog.Section(code=c, name=n, name_en=e, share_group=g, sample_no_prefix=p) for c, n, e, g, p in catalog_data.SECTIONS)
    )
    types = _rows(uow, (catalog.SpecimenType(code=c, name=n, name_en=e) for c, n, e in catalog_data.SPECIMEN_TYPES))
    tubes = _rows(
        uow,
        (
            catalog.Container(code=c, name=n, colour=colour, additive=additive, nominal_ml=Decimal(ml), draw_order=order)
            for c, n, colour, additive, ml, order in catalog_data.CONTAINERS
        ),
    )
    items = _rows(
        uow, (_item(item, sections[code], order) for code, rows in catalog_data.ITEMS.items() for order, item in enumerate(rows, 1))
    )
    uow.s.add_all(_interval(row, items[row.item]) for row in catalog_data.INTERVALS)
    uow.s.add_all(
        catalog.CriticalLimit(item_id=items[code], low=_decimal(low), high=_decimal(high), placeholder=True)
        for code, low, high in catalog_data.CRITICAL
    )
    sets = _rows(
        uow, (_order_set(row, sections[row.section], types[row.specimen], tubes[row.container]) for row in catalog_data.ORDER_SETS)
    )
    uow.s.add_all(
        catalog.OrderSetItem(order_set_id=sets[row.code], item_id=items[code]) for row in catalog_data.ORDER_SETS for code in row.items
    )
    source = next(h.source for h in people_data.HOSPITALS if h.code == hospital)
    titles = {row.code: row.name for row in catalog_data.ORDER_SETS}
    uow.s.add_all(
        catalog.HisItemMap(source=source, his_code=his, his_name=titles[code], order_set_id=sets[code])
        for code, his in (*catalog_data.HIS_CODES[hospital].items(), *zip(titles, titles, strict=True))
    )
    uow.s.add_all(catalog.RejectReason(code=c, name=n, indicator=i) for c, n, i in catalog_data.REJECT_REASONS)
    uow.s.flush()
    return sections


def _item(row: catalog_data.Item, section_id: int, order: int) -> catalog.TestItem:
    return catalog.TestItem(
        code=row.code,
        wst886_code=row.wst886,
        name=row.name,
        name_en=row.name_en,
        abbr=row.abbr,
        pinyin=names.initials(row.name),
        section_id=section_id,
        result_type=row.kind,
        choices=list(row.choices or catalog_data.STRIP) if row.kind == "enum" else [],
        unit=row.unit,
        decimals=row.decimals,
        print_order=order,
    )


def _interval(row: catalog_data.Interval, item_id: int) -> catalog.RefInterval:
    return catalog.RefInterval(
        item_id=item_id,
        sex=row.sex,
        age_low=row.age[0],
        age_high=row.age[1],
        age_unit=row.unit,
        low=_decimal(row.low),
        high=_decimal(row.high),
        text=row.text,
        source=row.source,
        placeholder=True,
    )


def _order_set(row: catalog_data.OrderSet, section_id: int, type_id: int, container_id: int) -> catalog.OrderSet:
    return catalog.OrderSet(
        code=row.code,
        name=row.name,
        abbr=row.abbr,
        pinyin=names.initials(row.name),
        section_id=section_id,
        specimen_type_id=type_id,
        container_id=container_id,
        volume_ml=Decimal(row.volume_ml),
        service=row.service,
        prep_notes=row.notes,
        tat_minutes=row.tat_minutes,
        graphs=row.graphs,
        fasting="空腹" in row.notes,
    )


def _patients(uow: UnitOfWork, hospital: str) -> None:
    for row in people_data.PATIENTS[hospital]:
        born = datetime.fromisoformat(row.born).replace(tzinfo=CHINA)
        patient = orders.Patient(
            patient_no=row.number,
            name=row.name,
            pinyin=names.pinyin(row.name),
            initials=names.initials(row.name),
            sex=row.sex,
            birth=born,
        )
        private.set_phone(uow, patient, row.phone or None)
        uow.s.add(patient)
        uow.s.flush()
        uow.s.add(orders.PatientIdentifier(patient_id=patient.id, kind="visit_card", value=row.card))


def _instrument(uow: UnitOfWork, agent: edge.Agent, row: Instrument, sections: Mapping[str, int], items: Mapping[str, int]) -> None:
    analyzer = catalog.Analyzer(
        code=row.key, name=row.name, model=row.model, section_id=sections[row.section or analyzer_data.IDLE_SECTION], driver=row.driver
    )
    uow.s.add(analyzer)
    uow.s.flush()
    uow.s.add_all(
        catalog.AnalyzerItemMap(analyzer_id=analyzer.id, channel_code=c.code, item_id=items[c.item], factor=Decimal(c.factor))
        for c in row.channels
    )
    uow.s.add(
        edge.Connection(
            agent_id=agent.id,
            key=row.key,
            name=row.name,
            analyzer_id=analyzer.id,
            protocol=row.protocol,
            driver=row.driver,
            encoding=None,
            transport={},
            host_query=row.host_query,
            spare=row.section is None,  # a visitor's line stands idle until somebody plays an analyzer on it
        )
    )


def _addresses(uow: UnitOfWork, state: State, hospital: people_data.Hospital, ports: Mapping[str, int]) -> None:
    """Ports and folders of this machine: into the connections, the kiosk and the HIS endpoints, when they differ."""
    agent = uow.s.execute(select(edge.Agent).where(edge.Agent.uuid == _uuid(hospital.code))).scalar_one()
    rows = {row.key: row for row in analyzer_data.INSTRUMENTS[hospital.code]}
    changed = False
    # A line that a visitor added on a page stays as it was typed.
    of_demo = select(edge.Connection).where(edge.Connection.agent_id == agent.id, edge.Connection.key.in_(rows))
    for link in uow.s.execute(of_demo).scalars():
        wanted = transport(state, hospital.code, rows[link.key], ports)
        if link.transport != wanted:
            link.transport, changed = wanted, True
    # A printer nobody has: what it would print (ESC/POS) lies in the data folder, a file a ticket.
    printer = {"type": "file", "folder": str(state.folder / "paper" / hospital.code)}
    kiosk = {"name": "自助机 1 号", "host": "127.0.0.1", "port": ports[f"kiosk-{hospital.code}"], "hall": HALL, "printer": printer}
    if agent.kiosk != kiosk:
        agent.kiosk, changed = kiosk, True
    if changed:
        configuration.changed(uow, agent)
        uow.audit("agent", agent.id, "move_addresses", after={"config_version": agent.config_version})
    _endpoints(uow, hospital, ports)


def transport(state: State, hospital: str, row: Instrument, ports: Mapping[str, int]) -> dict[str, Any]:
    """The line as the agent's configuration says it."""
    if row.transport == "serial":
        device, _ = state.serial(hospital, row.key)
        return {"type": "serial", "device": str(device), "baud": 9600, "bytesize": 8, "parity": "N", "stopbits": 1}
    return {"type": row.transport, "host": "127.0.0.1", "port": ports[f"{hospital}-{row.key}"]}


def _endpoints(uow: UnitOfWork, hospital: people_data.Hospital, ports: Mapping[str, int]) -> None:
    """The hospital's own system, in and out; and for the first hospital whoever else knocks, so that a visitor needs no setting."""
    out = {"host": "127.0.0.1", "port": ports[f"his-{hospital.code}"], "to_facility": hospital.code}
    wanted: list[tuple[str, str, str, dict[str, Any]]] = [
        ("his-in", "HIS 申请（模拟）", "in", {"sender_app": hospital.source, "sender_facility": hospital.code}),
        ("his-out", "HIS 报告（模拟）", "out", out),
    ]
    if hospital is people_data.HOSPITALS[0]:
        wanted.append(("visitor-in", "来访者的申请（任何发送方）", "in", {"listener": "any", "default_charge": "paid"}))
    have = {row.code: row.config for row in uow.s.execute(select(interfaces.Endpoint)).scalars()}
    for code, name, direction, config in wanted:
        if have.get(code) != config:
            interface_service.save_endpoint(uow, code, name, direction, config, source=hospital.source)


def _rows(uow: UnitOfWork, rows: Any) -> dict[str, int]:
    """Add rows that have a code; their ids by code."""
    made = list(rows)
    uow.s.add_all(made)
    uow.s.flush()
    return {row.code: row.id for row in made}


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _uuid(hospital: str) -> str:
    """The same at every start, and different from hospital to hospital."""
    return str(people_data.AGENT_IDS[hospital])
