"""What a graph shows, in Chinese: analyzers title theirs HIST_WBC or "WBC DIFF Scattergram. BMP". Pure.

A title is translated whole or not at all: half a name would be a guess on a report.
"""

from __future__ import annotations

import re

_SHOWN = {
    "WBC": "白细胞",
    "RBC": "红细胞",
    "PLT": "血小板",
    "RBC/PLT": "红细胞/血小板",
    "DIFF": "白细胞分类",
    "WDF": "白细胞分类",
    "LMNE": "白细胞分类",
    "WBC DIFF": "白细胞分类",
    "BASO": "嗜碱性粒细胞",
    "WBC BASO": "嗜碱性粒细胞",
    "EOS": "嗜酸性粒细胞",
    "NRBC": "有核红细胞",
    "WNR": "白细胞与有核红细胞",
    "IMI": "幼稚粒细胞",
    "WPC": "白细胞前体细胞",
    "RET": "网织红细胞",
    "PLT-F": "血小板(荧光)",
    "PLT F": "血小板(荧光)",
    "PLT-O": "血小板(光学)",
    "PLT O": "血小板(光学)",
    "WBC/BASO": "白细胞/嗜碱性粒细胞",
    "HGB": "血红蛋白",
    "CRP": "C反应蛋白",
}
_KIND = {
    "HIST": "直方图",
    "HISTOGRAM": "直方图",
    "HISTO": "直方图",
    "DIST": "直方图",
    "SCAT": "散点图",
    "SCATTER": "散点图",
    "SCATTERGRAM": "散点图",
    "SCATTERPLOT": "散点图",
    "SCATTERGRAPH": "散点图",
    "DOTPLOT": "散点图",
    "CURVE": "曲线",
}
# The two axes Horiba names; its record says the panel before them.
_WHOLE = {
    "RBC/PLT RBCALONGRES": "红细胞直方图",
    "RBC/PLT PLTALONGRES": "血小板直方图",
    "LMNE LMNERESABS": "白细胞分类散点图",
}
_NO_MEANING = frozenset({"BMP", "PNG", "JPG", "JPEG", "DATA", "IMAGE", "GRAPH", "PIC", "PICTURE"})


def named(title: str) -> str:
    """The title in Chinese where every part of it is known, else as the analyzer sent it."""
    whole = " ".join(title.upper().split())
    if whole in _WHOLE:
        return _WHOLE[whole]
    parts = [part for part in re.split(r"[\s_.:;,()]+", whole) if part and part not in _NO_MEANING]
    kinds = [_KIND[part] for part in parts if part in _KIND]
    shown = _SHOWN.get(" ".join(part for part in parts if part not in _KIND))
    return f"{shown}{kinds[0]}" if shown is not None and len(kinds) == 1 else title
