"""The demo's hospitals, staff and patients. All of them are invented."""

from typing import NamedTuple


class Hospital(NamedTuple):
    """A tenant. `site` opens its barcodes; `source` is what its HIS calls itself in MSH-3."""

    code: str
    name: str
    host: str
    site: int
    source: str


class Person(NamedTuple):
    """One of the staff; `roles` are codes of the standard roles, the first one stands in the list of users."""

    number: str
    name: str
    roles: tuple[str, ...]
    dept: str
    sections: tuple[str, ...] = ()
    wards: tuple[str, ...] = ()


class Patient(NamedTuple):
    """An invented patient. `born` is a local date-time; `card` the number on the visit card."""

    number: str
    name: str
    sex: str
    born: str
    card: str
    phone: str = ""


HOSPITALS = (
    Hospital("rm", "示范人民医院（虚构）", "renmin.localhost", 1, "HIS-RM"),
    Hospital("zx", "示范中心医院（虚构）", "zhongxin.localhost", 2, "HIS-ZX"),
)

LAB = ("XY", "SH", "NX", "TY")
STAFF = {
    "rm": (
        Person("t1001", "演示甲检验", ("tester",), "检验科", LAB),
        Person("t1002", "演示乙检验", ("tester",), "检验科", LAB),
        Person("v2001", "演示丙审核", ("verifier",), "检验科", LAB),
        Person("v2002", "演示丁审核", ("senior", "verifier"), "检验科", LAB),
        Person("g3001", "演示戊组长", ("leader",), "检验科", LAB),
        Person("q3101", "演示己质量", ("quality",), "检验科", LAB),
        Person("d3201", "演示庚主任", ("director",), "检验科", LAB),
        Person("i3301", "演示辛信息", ("infogroup",), "检验科", LAB),
        Person("n4001", "演示壬护士", ("nurse",), "门诊采血", wards=("门诊",)),
        Person("n4002", "演示癸护士", ("nurse",), "内科病区", wards=("内一病区",)),
        Person("r5001", "演示子接收", ("receiver",), "检验科", LAB),
        Person("k5101", "演示丑导诊", ("guide",), "门诊"),
        Person("c6001", "演示寅医生", ("clinician",), "内科", wards=("内一病区", "门诊")),
        Person("c6002", "演示卯医生", ("clinician",), "急诊科", wards=("急诊",)),
        Person("m6101", "演示辰病案", ("recordroom",), "病案室"),
        Person("e7001", "演示巳工程", ("engineer",), "实施公司"),
        Person("s7101", "演示午监督", ("supervision",), "监督部门"),
        Person("a9001", "演示未系统", ("sysadmin",), "信息中心"),
        Person("a9002", "演示申安全", ("secadmin",), "信息中心"),
        Person("a9003", "演示酉审计", ("auditadmin",), "信息中心"),
        Person("hall01", "一楼采血大厅屏", ("screen",), "门诊采血"),
    ),
    "zx": (
        Person("t1001", "样例甲检验", ("tester",), "检验科", LAB),
        Person("v2001", "样例乙审核", ("verifier",), "检验科", LAB),
        Person("g3001", "样例丙组长", ("leader",), "检验科", LAB),
        Person("n4001", "样例丁护士", ("nurse",), "门诊采血", wards=("门诊",)),
        Person("r5001", "样例戊接收", ("receiver",), "检验科", LAB),
        Person("c6001", "样例己医生", ("clinician",), "外科", wards=("外一病区", "门诊")),
        Person("a9001", "样例庚系统", ("sysadmin",), "信息中心"),
        Person("a9002", "样例辛安全", ("secadmin",), "信息中心"),
        Person("a9003", "样例壬审计", ("auditadmin",), "信息中心"),
        Person("hall01", "采血厅屏", ("screen",), "门诊采血"),
    ),
}
# Names with characters outside the common sets (㛃 of Extension A, 䶮 of Extension A) have to survive from the HIS to the PDF.
PATIENTS = {
    "rm": (
        Patient("P100001", "样本甲", "M", "1968-03-12 00:00", "6200000000101"),
        Patient("P100002", "样本乙", "F", "1985-07-30 00:00", "6200000000102"),
        Patient("P100003", "虚构㛃", "F", "1992-11-05 00:00", "6200000000103"),
        Patient("P100004", "虚构䶮", "M", "1975-01-23 00:00", "6200000000104"),
        Patient("P100005", "虚构小童", "M", "2020-06-01 08:30", "6200000000105"),
        Patient("P100006", "虚构小囡", "F", "2014-09-18 00:00", "6200000000106"),
        Patient("P100007", "虚构小满", "F", "2025-12-20 03:15", "6200000000107"),
        Patient("P100008", "演示老赵", "M", "1941-05-05 00:00", "6200000000108"),
        Patient("P100009", "演示老钱", "F", "1938-12-31 00:00", "6200000000109"),
        Patient("P100010", "演示闰生", "M", "2000-02-29 00:00", "6200000000110"),
        Patient("P100011", "演示欧阳虚构", "F", "1979-04-04 00:00", "6200000000111"),
        Patient("P100012", "演示少年", "M", "2010-10-10 00:00", "6200000000112"),
    ),
    "zx": (
        Patient("P100001", "样例张", "M", "1960-02-02 00:00", "6200000000201"),
        Patient("P100002", "样例王", "F", "1990-08-08 00:00", "6200000000202"),
        Patient("P100003", "样例䶮", "M", "2018-03-03 00:00", "6200000000203"),
        Patient("P100004", "样例李", "F", "1955-05-15 00:00", "6200000000204"),
        Patient("P100005", "样例㛃", "F", "1983-06-16 00:00", "6200000000205"),
    ),
}
DOCTORS = {"rm": ("演示寅医生", "演示卯医生"), "zx": ("样例己医生",)}
AGENT_IDS = {"rm": "5f0d7a34-3c1e-4d0b-9f2a-0c1d2e3f4a01", "zx": "5f0d7a34-3c1e-4d0b-9f2a-0c1d2e3f4a02"}
