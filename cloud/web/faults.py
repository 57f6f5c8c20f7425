"""Errors a person sees, each with its HTTP status; the page or fragment is made in errors.py."""

from __future__ import annotations

from common.errors import UserError
from common.say import say, word


class NotFound(UserError):
    """Absent, or another hospital's: the same answer (SR2)."""

    def __init__(self, what: str = "您要找的内容") -> None:
        super().__init__("not_found", say("{what}不存在，请核对后重试。", what=word(what)))


class Forbidden(UserError):
    """The person's roles do not grant this."""

    def __init__(self, permission: str) -> None:
        super().__init__("forbidden", "您没有这项操作的权限，请联系专业组长或信息管理组。", permission=permission)


class OutsideEdition(UserError):
    """The hospital's edition does not have this module (M01)."""

    def __init__(self, module: str) -> None:
        super().__init__("forbidden", say("本院使用的版本不含“{module}”。需要时请联系系统管理员更换版本。", module=word(module)))


class HospitalReadOnly(UserError):
    """The hospital only looks things up and prints (M01, state read_only)."""

    def __init__(self) -> None:
        super().__init__("forbidden", say("本院系统已转为只读：可以查询和打印，不能再录入或修改。需要恢复请联系系统管理员。"))


class ReadOnly(UserError):
    """An outside engineer without a change ticket (M01 R7)."""

    def __init__(self) -> None:
        super().__init__("forbidden", "这次临时访问只能查看。要修改请重新申请，并写明变更工单号。")


class Stale(UserError):
    """Somebody else saved first (C7); ``theirs`` names what they changed."""

    def __init__(self, theirs: object = "") -> None:
        if theirs:
            text = say(
                "保存未成功：您打开之后，这条记录已被他人修改。对方的修改：{theirs}。您输入的内容没有丢失，请核对后再保存。", theirs=theirs
            )
        else:
            text = say("保存未成功：您打开之后，这条记录已被他人修改。您输入的内容没有丢失，请核对后再保存。")
        super().__init__("stale", text)


class Conflict(UserError):
    """The object is in a state that does not allow this; the message names the state."""

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__("conflict", message, **fields)


class Invalid(UserError):
    """Input that cannot be used; names the field and what to do."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__("invalid", message, field=field)


class CsrfFailed(UserError):
    """The form did not come from our page or is too old."""

    def __init__(self) -> None:
        super().__init__("csrf", "页面已过期，请刷新后重新提交；已填写的内容请先复制。")


class ReauthRequired(UserError):
    """A signature needs the signer's PIN or password first."""

    def __init__(self) -> None:
        super().__init__("reauth", "请先输入签名 PIN，再继续。")


STATUS = {
    "not_found": 404,
    "forbidden": 403,
    "stale": 409,
    "conflict": 409,
    "invalid": 422,
    "csrf": 403,
    "reauth": 401,
    "sso": 401,
    "throttled": 429,
}
