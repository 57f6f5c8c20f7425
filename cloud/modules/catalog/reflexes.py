"""Reflex rules of the starting set (M07 R5), by the usual item codes; a laboratory approves or replaces them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartingReflex:
    """A rule as its form takes it. ``item``: what is added, measured again or confirmed."""

    code: str
    name: str
    expression: str
    item: str
    action: str
    message: str = ""

    @property
    def items(self) -> frozenset[str]:
        """Codes it needs in the catalog."""
        return frozenset(re.findall(r'"([^"]+)"', self.expression)) | {self.item}


def _disagree(strip: str, count: str) -> str:
    """The strip says clearly positive where the count is within its interval, or negative where it is above; a trace says neither."""
    return f'(grade("{strip}") >= 2 and flag("{count}") = \'\') or (grade("{strip}") = 0 and flag("{count}") = \'H\')'


STARTING_REFLEXES = (
    StartingReflex("TSH_FT4", "TSH 异常，加做 FT4", "flag(\"TSH\") <> ''", "FT4", "add"),
    StartingReflex("HBSAG_GREY", "HBsAg 灰区（占位界限），重做", '"HBSAG" >= 0.9 and "HBSAG" < 1.1', "HBSAG", "repeat", "灰区须双份复检"),
    StartingReflex("HIV_REACTIVE", "HIV 有反应，复检并送确证", "flag(\"HIV\") <> ''", "HIV", "confirm", "双份复检后送确证实验室"),
    StartingReflex(
        "URINE_BLD", "尿隐血与红细胞计数不符，镜检", _disagree("U-BLD", "U-RBC"), "U-MRBC", "add", "干化学与有形成分不符，请镜检"
    ),
    StartingReflex(
        "URINE_LEU", "尿白细胞酯酶与白细胞计数不符，镜检", _disagree("U-LEU", "U-WBC"), "U-MWBC", "add", "干化学与有形成分不符，请镜检"
    ),
)
