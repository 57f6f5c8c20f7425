"""A hospital with years of results, written by SQL: ``fill(admin_url, tenant, ...)``; invented and marked so."""

from __future__ import annotations

import json

from sqlalchemy import create_engine, text

PER_TUBE = 10
TUBES_A_PATIENT = 5
YEARS = 3

# Ten items of one section are taken from the seeded catalog; ids begin at :b, so that they never meet real ones. Foreign keys are not
# checked while it is written (what is written is whole), indexes are kept.
_SCRIPT = """
SET session_replication_role = replica;
CREATE TEMP TABLE pick AS
  SELECT i.id AS item_id, i.name, i.unit, row_number() OVER (ORDER BY i.print_order, i.id) AS k
  FROM test_item i WHERE i.tenant_id = :t AND i.section_id = :s AND i.result_type = 'numeric' ORDER BY i.print_order, i.id LIMIT 10;
CREATE TEMP TABLE tube AS
  SELECT g, :b + g AS id, :b + 1 + g % :patients AS who, lpad((:b + g)::text, 12, '0') AS code, g > :tubes - :open AS open,
         now() - (:tubes - g) * CAST(:step AS interval) AS at FROM generate_series(1, :tubes) g;
INSERT INTO patient (tenant_id, id, patient_no, name, pinyin, initials, sex, birth)
  SELECT :t, :b + g, 'BENCH' || (:b + g), '测试患者' || g, 'ceshihuanzhe' || g, 'cshz' || g, CASE WHEN g % 2 = 0 THEN 'F' ELSE 'M' END,
         timestamptz '1950-01-01' + (g % 25000) * interval '1 day' FROM generate_series(1, :patients) g;
INSERT INTO visit (tenant_id, id, visit_no, patient_id, kind, dept, ward, bed)
  SELECT :t, :b + g, 'BV' || (:b + g), :b + g, 'outpatient', '内科', '', '' FROM generate_series(1, :patients) g;
INSERT INTO lab_order (tenant_id, id, source, placer_no, patient_id, visit_id, doctor, dept, ordered_at, created_at)
  SELECT :t, id, 'BENCH', 'BO' || id, who, who, '测试医生', '内科', at, at FROM tube;
INSERT INTO order_item (tenant_id, id, order_id, source, order_item_no, his_code, order_set_id, charge_state, status, specimen_id)
  SELECT :t, id, id, 'BENCH', 'BI' || id, 'BENCH', :os, 'paid', CASE WHEN open THEN 'received' ELSE 'reported' END, id FROM tube;
INSERT INTO specimen (tenant_id, id, barcode, patient_id, visit_id, specimen_type_id, container_id, section_id, state, volume_ml, sample_no,
                      sample_day, collected_at, received_at)
  SELECT :t, id, code, who, who, :st, :ct, :s, CASE WHEN open THEN 'tested' ELSE 'released' END, 2, 'X' || id, at::date, at, at FROM tube;
INSERT INTO test (tenant_id, id, specimen_id, item_id, section_id, state, current_id, order_item_id)
  SELECT :t, :b + g * 10 + p.k, id, p.item_id, :s, CASE WHEN open THEN 'received' ELSE 'released' END, :b + g * 10 + p.k, id
  FROM tube, pick p ORDER BY g, p.k;
INSERT INTO result_version (tenant_id, id, test_id, version_no, patient_id, item_id, source, raw_text, value, reported_text, unit, at,
                            released_at)
  SELECT :t, :b + g * 10 + p.k, :b + g * 10 + p.k, 1, who, p.item_id, 'analyzer', '4.5', 4.5, '4.5', p.unit, at,
         CASE WHEN open THEN NULL ELSE at END FROM tube, pick p ORDER BY g, p.k;
INSERT INTO bench_tube (tenant_id, id, specimen_id, section_id, patient_id, barcode, sample_no, state, n_tests, n_results, received_at,
                        last_at)
  SELECT :t, id, id, :s, who, code, 'X' || id, CASE WHEN open THEN 'ready' ELSE 'released' END, 10, 10, at, at FROM tube;
INSERT INTO report (tenant_id, id, no, specimen_id, patient_id, section_id, order_id, state, current_no, dept, released_at)
  SELECT :t, id, 'BR' || id, id, who, :s, id, 'released', 1, '内科', at FROM tube WHERE NOT open;
INSERT INTO report_version (tenant_id, id, report_id, version_no, document, content_sha256, template_version, pdf_key, released_at)
  SELECT :t, id, id, 1, CAST(:document AS jsonb), 'bench', 'bench', 'bench', at FROM tube WHERE NOT open;
DROP TABLE tube;
DROP TABLE pick;
SET session_replication_role = origin
"""
_ITEMS = """
SELECT i.id AS item_id, i.code, i.abbr, i.name, i.unit FROM test_item i
WHERE i.tenant_id = :t AND i.section_id = :s AND i.result_type = 'numeric' ORDER BY i.print_order, i.id LIMIT 10
"""


def patients(results: int) -> int:
    """How many patients so many results belong to; their ids begin at ``base + 1``."""
    return max(results // PER_TUBE // TUBES_A_PATIENT, 10)


def fill(admin_url: str, tenant_id: int, section_id: int, results: int, base: int, open_tubes: int = 200) -> None:
    """Add ``results`` results of a section, ten a tube, the newest ``open_tubes`` tubes not yet reviewed."""
    tubes = results // PER_TUBE
    engine = create_engine(admin_url)
    with engine.connect() as conn:
        here = {"t": tenant_id, "s": section_id}
        kinds = conn.execute(
            text("SELECT id, specimen_type_id, container_id FROM order_set WHERE tenant_id = :t AND section_id = :s ORDER BY id LIMIT 1"),
            here,
        ).one()
        lines = [
            {**row._mapping, "value": "4.5", "flag": "", "critical": False, "ref_text": "", "printed": True}
            for row in conn.execute(text(_ITEMS), here)
        ]
        values = here | {
            "b": base,
            "tubes": tubes,
            "open": open_tubes,
            "patients": patients(results),
            "os": kinds.id,
            "st": kinds.specimen_type_id,
            "ct": kinds.container_id,
            "step": f"{YEARS * 365 * 86400 // tubes} seconds",
            "document": json.dumps({"lines": lines, "subject": {}}, ensure_ascii=False),
        }
        for statement in _SCRIPT.split(";\n"):
            query = text(statement)
            conn.execute(query, {name: values[name] for name in query.compile().params})
        conn.commit()
        # History lies still: what autovacuum and the checkpointer would do behind it, beside what is measured, is done before.
        settled = conn.execution_options(isolation_level="AUTOCOMMIT")
        for statement in ("VACUUM (ANALYZE)", "CHECKPOINT"):
            settled.execute(text(statement))
    engine.dispose()
