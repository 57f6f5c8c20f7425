"""A small invented catalog for tests: sections, tubes, items of a blood count, electrolytes and a few more (values are placeholders)."""

from decimal import Decimal

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import models as m

D = Decimal
SECTIONS = (("HEM", "血液"), ("CHEM", "生化"), ("IMM", "免疫"), ("COAG", "凝血"), ("URI", "尿液"))
TYPES = (("WB", "全血"), ("SER", "血清"), ("PLA", "血浆"), ("UR", "尿"))
CONTAINERS = (
    ("BC", "血培养瓶", "蓝瓶", "10", 1),
    ("CIT", "枸橼酸钠管", "蓝", "2.7", 2),
    ("SST", "促凝胶管", "黄", "5", 3),
    ("HEP", "肝素管", "绿", "5", 4),
    ("EDTA", "EDTA 管", "紫", "2", 5),
    ("NAF", "氟化钠管", "灰", "2", 6),
    ("URN", "尿管", "白", "10", 9),
)
ITEMS = (
    ("WBC", "白细胞", "bxb", "HEM", "10^9/L", 2),
    ("HGB", "血红蛋白", "xhdb", "HEM", "g/L", 0),
    ("K", "钾", "j", "CHEM", "mmol/L", 1),
    ("NA", "钠", "n", "CHEM", "mmol/L", 0),
    ("TP", "总蛋白", "zdb", "CHEM", "g/L", 1),
    ("HBSAG", "乙肝表面抗原", "ygbmky", "IMM", "", 2),
    ("A1C", "糖化血红蛋白", "thxhdb", "CHEM", "%", 1),
    ("PT", "凝血酶原时间", "nxmysj", "COAG", "s", 1),
    ("UGLU", "尿糖", "nt", "URI", "", 0),
)
ORDER_SETS = (
    ("CBC", "血常规", "HEM", "WB", "EDTA", "1.0", ("WBC", "HGB"), "blood"),
    ("LYTES", "电解质", "CHEM", "SER", "SST", "0.5", ("K", "NA"), "blood"),
    ("KALIUM", "血钾", "CHEM", "SER", "SST", "0.5", ("K",), "blood"),
    ("TP", "总蛋白", "CHEM", "SER", "SST", "0.5", ("TP",), "blood"),
    ("HBSAG", "乙肝表面抗原", "IMM", "SER", "SST", "0.5", ("HBSAG",), "blood"),
    ("A1C", "糖化血红蛋白", "CHEM", "WB", "EDTA", "0.5", ("A1C",), "blood"),
    ("PT", "凝血酶原时间", "COAG", "PLA", "CIT", "2.0", ("PT",), "blood"),
    ("URINE", "尿常规", "URI", "UR", "URN", "5", ("UGLU",), "urine"),
)
HIS = {"1001": "CBC", "1002": "LYTES", "1003": "KALIUM", "1004": "TP", "1005": "HBSAG", "1006": "A1C", "1007": "PT", "1008": "URINE"}
REASONS = (("TYPE", "标本类型错误"), ("CLOT", "凝固"), ("HEMO", "溶血"), ("LESS", "量少"), ("LABEL", "标识错误"), ("OTHER", "其他"))


def seed(uow: UnitOfWork) -> None:
    """Fill the catalog of this hospital."""
    sections = {code: m.Section(code=code, name=name, sample_no_prefix=code[0]) for code, name in SECTIONS}
    types = {code: m.SpecimenType(code=code, name=name) for code, name in TYPES}
    tubes = {
        code: m.Container(code=code, name=name, colour=colour, nominal_ml=D(ml), draw_order=order)
        for code, name, colour, ml, order in CONTAINERS
    }
    uow.s.add_all([*sections.values(), *types.values(), *tubes.values()])
    uow.s.flush()
    items = {}
    for order, (code, name, pinyin, section, unit, decimals) in enumerate(ITEMS):
        kind = "semi-quant" if code == "UGLU" else "numeric"
        items[code] = m.TestItem(
            code=code,
            name=name,
            abbr=code,
            pinyin=pinyin,
            section_id=sections[section].id,
            unit=unit,
            decimals=decimals,
            print_order=order,
            result_type=kind,
        )
    sets = {
        code: m.OrderSet(
            code=code,
            name=name,
            abbr=code,
            section_id=sections[section].id,
            specimen_type_id=types[kind].id,
            container_id=tubes[tube].id,
            volume_ml=D(volume),
            service=service,
        )
        for code, name, section, kind, tube, volume, _members, service in ORDER_SETS
    }
    analyzer = m.Analyzer(code="CHEM1", name="生化仪一", section_id=sections["CHEM"].id)
    uow.s.add_all([*items.values(), *sets.values(), analyzer, *(m.RejectReason(code=c, name=n) for c, n in REASONS)])
    uow.s.flush()
    uow.s.add_all(
        [
            *(m.OrderSetItem(order_set_id=sets[row[0]].id, item_id=items[member].id) for row in ORDER_SETS for member in row[6]),
            *(m.HisItemMap(source="HIS", his_code=code, order_set_id=sets[name].id) for code, name in HIS.items()),
            m.RefInterval(item_id=items["K"].id, low=D("3.5"), high=D("5.3")),
            m.RefInterval(item_id=items["HGB"].id, low=D(130), high=D(175), sex="M", age_low=18),
            m.CriticalLimit(item_id=items["K"].id, low=D("2.8"), high=D("6.2")),
            m.AnalyzerItemMap(analyzer_id=analyzer.id, channel_code="K+", item_id=items["K"].id),
        ]
    )
