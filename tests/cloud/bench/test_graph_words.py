"""Names of graphs on the bench and on paper."""

import pytest

from cloud.modules.bench.graph_words import named


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("HIST_WBC", "白细胞直方图"),
        ("WBC Histogram. BMP", "白细胞直方图"),
        ("PLT Histogram bmp data", "血小板直方图"),
        ("RBC/PLT RbcAlongRes", "红细胞直方图"),
        ("LMNE LMNEResAbs", "白细胞分类散点图"),
        ("SCAT_WDF", "白细胞分类散点图"),
        ("DIST_RBC", "红细胞直方图"),
        ("scat_plt-f", "血小板(荧光)散点图"),
        ("WBC DIFF Scattergram. BMP", "白细胞分类散点图"),
        # Half known is not known: it stays as it was sent.
        ("WBC Histogram. Left Line", "WBC Histogram. Left Line"),
        ("HIST_XYZ", "HIST_XYZ"),
        ("WBC", "WBC"),
        ("Histogram", "Histogram"),
        ("", ""),
    ],
)
def test_a_graph_is_named_whole_or_as_it_was_sent(sent: str, told: str) -> None:
    assert named(sent) == told
