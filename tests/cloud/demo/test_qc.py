"""The demo's controls: seeded with an open gate, and never rejected by chance."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal

from cloud.demo import qc
from cloud.demo.analyzer_data import INSTRUMENTS
from cloud.modules.qc import westgard
from cloud.modules.qc.targets import z_score
from cloud.modules.qc.westgard import Point
from common.instruments.decode import decode
from common.instruments.pictures import is_picture


def test_two_months_of_points_are_warned_about_and_never_rejected() -> None:
    warned = 0
    for _, _, levels, cvs in qc.CONTROLS.values():
        for item, means in levels.items():
            runs = []
            for day in range(730000, 730090):
                row = []
                for level, mean in enumerate(means, 1):
                    sd = Decimal(f"{Decimal(mean) * Decimal(cvs[item]) / 100:.3g}")
                    found = qc.value(item, mean, cvs[item], level, day, random.Random(f"{day}{item}{level}"))
                    row.append(Point(day, level, z_score(found, Decimal(mean), sd)))
                runs.append(row)
                broken = {v.rule for v in westgard.evaluate(runs, westgard.DEFAULT_RULES)}
                assert broken <= westgard.DEFAULT_WARNINGS, (item, day, broken)
                warned += bool(broken)
    assert 10 <= warned <= 40


def test_what_an_analyzer_says_of_its_control_is_control_and_close_to_the_target() -> None:
    for row in INSTRUMENTS["rm"]:
        if row.key not in qc.CONTROLS:
            continue
        for level in qc.levels_of(row):
            data = qc.control(row, level, datetime(2026, 5, 4, tzinfo=UTC), level)
            reading = decode(data, row.driver, None)
            (specimen,) = [s for m in reading.messages for s in m.specimens]
            assert (specimen.specimen_id or "").strip() == qc.material(row.key, level)
            assert {m.kind for m in reading.messages} == {"qc"}
            specimen.results = [r for r in specimen.results if not is_picture(r.value)]
            assert len(specimen.results) == len(qc.CONTROLS[row.key][2])
            for result in specimen.results:
                channel = next(c for c in row.channels if c.code == result.code)
                mean, cv = qc.CONTROLS[row.key][2][channel.item][level - 1], qc.CONTROLS[row.key][3][channel.item]
                found = Decimal(str(result.value)) * Decimal(channel.factor)
                assert abs(found - Decimal(mean)) < Decimal(mean) * Decimal(cv) / 100 * Decimal("1.2")
