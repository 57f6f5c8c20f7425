"""Whose decision, simulation or validation an address names: its section's (M01)."""

from cloud.modules.catalog import places
from cloud.web.view import Places

_OF_SET = """SELECT r.section_id FROM {table} x JOIN av_rule_set r ON r.tenant_id = x.tenant_id AND r.id = x.rule_set_id
             WHERE x.tenant_id = :t AND x.id = :id"""
_OF_STOP = """
SELECT CASE s.scope WHEN 'section' THEN s.target_id
  WHEN 'analyzer' THEN (SELECT a.section_id FROM analyzer a WHERE a.tenant_id = :t AND a.id = s.target_id)
  WHEN 'item' THEN (SELECT i.section_id FROM test_item i WHERE i.tenant_id = :t AND i.id = s.target_id) END
FROM av_suspension s WHERE s.tenant_id = :t AND s.id = :id
"""
AT: Places = {
    "specimen_id": places.of_row("SELECT section_id FROM specimen WHERE tenant_id = :t AND id = :id"),
    "decision_id": places.of_row("SELECT section_id FROM av_decision WHERE tenant_id = :t AND id = :id"),
    "suspension_id": places.of_row(_OF_STOP),  # anybody may stop; only who works there lets it pass again
    "simulation_id": places.of_row(_OF_SET.format(table="av_simulation")),
    "validation_id": places.of_row(_OF_SET.format(table="av_validation")),
}
