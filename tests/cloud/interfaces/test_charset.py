"""Characters of hospital systems: UTF-8 and GB18030, declared, undeclared and mislabelled."""

import pytest

from cloud.modules.interfaces.charset import GB18030, UTF8, Undecodable, decode, label, repair_private_use

RARE = "张㛃䶮𠮷"


def message(text: str, encoding: str, charset: str = "") -> bytes:
    msh = "MSH|^~\\&|HIS|H1|LIS|LAB|20260506||OML^O21|1|P|2.5.1" + ("||||||" + charset if charset else "")
    return f"{msh}\rPID|1||P1||{text}\r".encode(encoding)


@pytest.mark.parametrize("encoding", [UTF8, GB18030])
@pytest.mark.parametrize("text", [RARE, "模", "张三丰", "µmol/L", "±", "10⁹/L", "plain"])
def test_undeclared_text_is_recognised(text: str, encoding: str) -> None:
    decoded = decode(message(text, encoding))
    assert decoded.text.endswith(f"||{text}\r")
    assert decoded.warning is None


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [("UNICODE UTF-8", UTF8), ("UTF-8", UTF8), ("UNICODE", UTF8), ("GB18030", GB18030), ("GBK", GB18030), ("GB 18030-2000", GB18030),
     ("gb2312", GB18030)],
)  # fmt: skip
def test_declared_charset_is_followed(charset: str, encoding: str) -> None:
    decoded = decode(message(RARE, encoding, charset))
    assert (decoded.text[-6:-1], decoded.encoding, decoded.warning) == (f"|{RARE}", encoding, None)


@pytest.mark.parametrize(("charset", "really"), [("UTF-8", GB18030), ("GB18030", UTF8), ("UNICODE", GB18030)])
def test_mislabelled_message_is_read_and_told(charset: str, really: str) -> None:
    decoded = decode(message("张三丰李四光内科门诊", really, charset))
    assert "张三丰李四光内科门诊" in decoded.text
    assert decoded.encoding == really
    assert decoded.warning is not None


def test_two_gbk_bytes_that_are_valid_utf8_stay_chinese() -> None:
    assert "模".encode("gbk").decode("utf-8") == "ģ"  # the trap
    assert "模" in decode(message("模", GB18030)).text
    assert "模" in decode(message("模", GB18030, "GBK")).text


def test_delimiters_inside_gbk_characters_do_not_split() -> None:
    tricky = "".join(bytes([lead, 0x7C]).decode("gbk") + bytes([lead, 0x5E]).decode("gbk") for lead in (0x81, 0x90, 0xA0))
    assert tricky in decode(message(tricky, GB18030, "GBK")).text


@pytest.mark.parametrize("raw", [b"MSH|^~\\&|A\rPID|1||1||\xff\xfe\x80", b"MSH|^~\\&|A\rPID|1||1||\xe5"])
def test_undecodable_bytes_raise(raw: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(raw)


def test_private_use_characters_of_windows_936_become_real_ones() -> None:
    assert repair_private_use("张\ue863\ue82c") == "张䶮龷"
    assert decode(message("张\ue863", UTF8)).text.endswith("张䶮\r")


def test_forced_encoding_wins_over_msh_18() -> None:
    assert "张三" in decode(message("张三", GB18030, "UTF-8"), GB18030).text


def test_declared_latin_1_with_western_names() -> None:
    raw = message("Jos\u00e9", "latin-1", "8859/1")
    assert decode(raw).text.endswith("Jos\u00e9\r")


def test_label_of_an_answer_repeats_the_request_unless_it_was_wrong() -> None:
    assert label("UNICODE", UTF8) == "UNICODE"
    assert label("GBK", GB18030) == "GBK"
    assert label("UTF-8", GB18030) == "GB18030"
    assert label("", GB18030) == ""
