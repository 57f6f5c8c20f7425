"""QC results are listed by analyzer and reach no patient."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from tests.cloud.bench.world import build
from tests.support import lab as labs
from tests.support.database import TestDatabase

RAW = text("""
INSERT INTO agent (tenant_id, uuid, name, version) VALUES (1, 'u', 'a', 1);
INSERT INTO raw_message (tenant_id, agent_id, stream_uuid, seq, sha256, conn_key, received_at, body, meta, state)
SELECT 1, id, 's', 1, 'x', 'c', :now, '', '{}', 'interpreted' FROM agent;
""")


def test_qc_of_today_is_listed_and_no_patient_has_it(fresh_db: TestDatabase) -> None:
    lab = labs.make(fresh_db)
    world = build(lab)
    with lab.uow() as uow:
        for statement in str(RAW).strip().split(";")[:2]:
            uow.s.execute(text(statement), {"now": uow.now} if ":now" in statement else {})
        raw = uow.s.execute(text("SELECT id FROM raw_message")).scalar_one()
        insert = text(
            "INSERT INTO observation (tenant_id, raw_message_id, idx, analyzer_id, specimen_text, code, value, unit, received_at, state) "
            "VALUES (1, :raw, :idx, :analyzer, :material, 'K', :value, 'mmol/L', :now, :state)"
        )
        rows = [("QC-L1", "4.01", "qc", 0), ("QC-L2", "6.55", "qc", 0), ("0007", "9.99", "orphan", 0), ("QC-OLD", "1.11", "qc", 49)]
        for idx, (material, value, state, hours) in enumerate(rows):
            uow.s.execute(
                insert,
                {
                    "raw": raw,
                    "idx": idx,
                    "analyzer": world.analyzer,
                    "material": material,
                    "value": value,
                    "state": state,
                    "now": uow.now.replace(microsecond=0) - timedelta(hours=hours),
                },
            )
    answer = lab.client("tester").get("/qc/today")
    assert answer.status_code == 200
    assert all(word in answer.text for word in ("生化仪一号", "QC-L1", "4.01", "QC-L2"))
    assert "0007" not in answer.text and "QC-OLD" not in answer.text
    assert lab.client("clinician").get("/qc/today").status_code == 403
    assert "QC-L1" not in lab.client("tester", lab.b).get("/qc/today").text
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM result_version")).scalar_one() == 0
    lab.db.dispose()
