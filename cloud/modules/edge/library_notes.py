"""The notes of the driver library in Chinese, by driver: a driver itself carries them in English, for who writes the next one."""

from __future__ import annotations

from collections.abc import Mapping

CHINESE: Mapping[str, str] = {
    "abbott_afinion_2": "整条报文在一帧内。运行号在 O.4，操作者输入的编号在 P.4。",
    "abbott_architect": (
        "R.3 为 ^^^项目号^名称^稀释^状态^试剂批号^序列号^质控批号；类型 F 为结果、I 为判读、P 为信号，同一项目的各行项目号相同。"
        "O.4 为编号^架号^位置。Q.13 为 X 或 A 表示撤销查询。"
    ),
    "abbott_m2000": "每个项目三条 R 记录，以 R.3 末位区分：F 最终结果、I 判读、P 原始信号（保存在 Result.test_id 与 Result.aspect）。",
    "aqualink_a9000p": "整条报文在一帧内，ETX 前 CR 重复；以 L|1|F 结束。",
    "arkray_spotchem_el": "STX 与 ETX 之间为一张票：年/月/日 时:分 ID# 编号 [标本类型]，其后为名称、数值、单位。",
    "beckman_access": "R.3 为 ^^^项目^重复号；O.4 为 ^架号^位置；以 L|1|F 结束；查询用 Q.3 ^编号 与 Q.5 ALL。",
    "biomerieux_mini_vidas": "ql 为定性结果，qn 为定量结果（单位写在数值内，有时另发 y3）；tt 与 td 为时间和日期。",
    "biomerieux_vitek2": "o1/o2 为菌种，其后每个抗菌药一个 ra 组：a1 代码、a2 名称、a3 MIC、a4 判定、an 最终判定；af/ap 为表型家族与表型。",
    "biosystems_ba200": "OBR-2 是两个引号；时间在 OBX-19；\\Z03BC\\ 表示微（μ）。",
    "cbs_400": "每行：r、标本号，其后按固定顺序的数值，没有单位和日期。",
    "cepheid_genexpert": "R.3 为组合、项目、版本、分析物和补充名；只有整个字段才能区分一条报文里的两个结果，所以整个字段作为代码。",
    "cepheid_genexpert_hl7": "用 QBP^Z03 查询（标本号在 QPD-4），等 RSP^Z02 的应答 60 秒。",
    "diasorin_liaison": "R.3 与 O.5 为 ^^^代码^稀释；稀释多为空。",
    "erba_xl": "重复分隔符为反引号；每条报文一个项目；一条 Q 记录内有多个标本。",
    "horiba_pentra_ml": "O.3 为编号^架号^位置；计算结果不带时间；单位为 Latin-1 编码。",
    "horiba_pentra_xlr": "R.3 为 ^^^代码^LOINC；单位以代码表示；报警在 C 记录中；----- 表示无值。",
    "horiba_yumizen_h500": "质控品 H.12 为 Q、O.16 为 CTRL；直方图在 M 记录中；M 记录的帧号不按规则，但并没有缺帧。",
    "horiba_yumizen_p8000": "每个分析物一组 OBR/ORC/TQ1/OBX；试管号在 SPM-2，检验编号在 OBR-2。",
    "mindray_astm": "H.12：PR 结果、QR 质控、CR 校准、RQ 查询。O.3 为样本号^盘号^位置，条码在 O.4。R.3 为编号^名称^重复号^结果类型。",
    "mindray_bc": "MSH-11 为 Q 表示质控品；OBX-13 为 E 表示已编辑；直方图为数字，另有 ED 图像；用 ORM^O01、ORC-1 RF 查询。",
    "mindray_bs": "MSH-16：0 标本、1 校准、2 质控（结果在 OBR-20）。OBR-2 为条码，OBR-3 为样本号。",
    "mindray_cl": "MSH-3 与 MSH-4 为空；其余同 BS 系列；单位以空格补齐。",
    "ortho_vision": "反应强度在每条 R 之下的 M 记录中；多袋时 O.3 重复；L 不带代码。",
    "phadia_prime": "R.4 末尾为空成分；响应单位在 C 记录；1899 年的日期表示没有。",
    "pixcell_hemoscreen": "输入或扫描的检测编号在 PID-2。OBR-4 为种类：OBS 患者、LQC 质控、PRF 能力验证。",
    "radiometer_abl": (
        "R.3 为 ^^^名称^M（实测）或 ^C（计算）；“.....”为无值。O.4 为分析仪的“Sample #^序号”，不是标本号：结果按患者（P.3、P.4）匹配。"
        "质控：O.4 为“QC #”，O.16 为 QCLevel。ABL9 的记录在 SOH 与 EOT 之间，不分帧。"
    ),
    "roche_cobas_6800": "一个病毒载量有多条 OBX；ValueNotSet 表示无值。",
    "roche_cobas_c111": "标本号在 O.4；一帧一条记录，以 ETB 结束；反应曲线在 M 记录。",
    "roche_cobas_c311": "O.3 为序号^编号^位置^^架号，编号补齐空格；申请的 O.3 为 ^编号；代码以斜杠结尾；数字报警在每条 R 之后的 C 记录。",
    "roche_cobas_e411": "R.3 为 ^^^代码/稀释/单位；R.4 可能是定性^数值；帧在任意处断开。",
    "roche_cobas_pro": "查询名为 INISEQ；SPM-2 为编号&BARCODE；补充说明跟在结果之后，OBX-3.4 为 S_OTHER。",
    "roche_cobas_u411": "R.3 为编号^名称：整个字段作为代码。",
    "roche_elecsys_2010": "发送方为空；O.4 为序号^架号^位置^^SAMPLE 或 CONTROL^NORMAL；L 不带代码。",
    "roche_hitachi_7600": "O.3 与 Q.3 第 3 位的标本号左侧补空格；帧在任意处断开；代码以斜杠结尾。",
    "roche_integra_400": "块为 SOH 头 STX 各行 ETX 标志 校验和 EOT；53 行为申请、55 行为项目、00 行为结果；校验和为十进制和对 1000 取余。",
    "roche_urisys_1100": "每行以 STX 开始，没有 ETX；星号标出异常行。",
    "siemens_dca_vantage": "输入或扫描的编号在 P.3；O.4 为序号^试剂批号，没有标本号。R 之下的 C 记录：斜率^截距 单位。",
    "snibe_maglumi": "H.4 为密码；带空格的项目名即代码（^^^TT3 II）；参考范围写作“a to b”；没有状态。",
    "sysmex_ca": (
        "STX D1 21 01 01 U 日期 时间 架号 位置 编号 属性 姓名，其后为代码（3 位）数值（5 位）标志（1 位）；R 记录为查询。"
        "数值按原样保存，小数点为隐含。"
    ),
    "sysmex_kx_21": "STX D1U，标本号自第 11 列起（12 个字符），自第 30 列起每项为四位数值和一位标志。",
    "sysmex_xe": "O.4 与 Q.3 为架号^管位^编号^属性；应答须重复查询中的架号与管位。",
    "sysmex_xn": "O.4 与 Q.3 为架号^管位^编号^属性（M 手工、A 自动、B 条码、C）；标志以无值结果发送；应答须重复查询中的架号与管位。",
    "thermo_immunocap": "O.3 为编号^N^架号^位置；R.3 为 ^^^过敏原^方法^稀释；R.4 为浓度^级别^文字^临界值^响应，整体保存。",
    "urit_8031": "代码在 OBX-4。",
    "urit_ut": "单位未转义（10^9/L）。",
}  # fmt: skip
