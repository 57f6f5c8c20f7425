"""Every error as a page or fragment in the reader's language, with an id that finds the log line; never a bare 500."""

from __future__ import annotations

import structlog
from flask import Flask, Response, g, make_response, request
from sqlalchemy.exc import DataError
from werkzeug.exceptions import HTTPException

from cloud.web import page
from cloud.web.faults import STATUS
from cloud.web.i18n import gettext as _
from common.errors import JianlianError, UserError

log = structlog.get_logger("web")


def init(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(UserError, _user)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(DataError, _unstorable)
    app.register_error_handler(OverflowError, _unstorable)
    app.register_error_handler(ValueError, _endless)
    app.register_error_handler(Exception, _bug)


def _user(exc: UserError) -> Response:
    return _answer(STATUS.get(exc.code, 422), exc.code, _(exc.message))


def _unstorable(exc: DataError | OverflowError) -> Response:
    """What neither PostgreSQL nor the calendar can hold, and no form of ours asks for: thirty digits, a NUL character, the year 9999."""
    log.info("unstorable", error=str(exc.orig if isinstance(exc, DataError) else exc)[:200])
    return _answer(422, "invalid", _("填写的内容无法保存：数字过大、文字过长，或含有不可见字符。请核对后重试；数据没有改变。"))


def _endless(exc: ValueError) -> Response:
    """A number of more digits than Python reads (4 300) is bad input; any other ValueError that came as far as here is ours."""
    return _unstorable(OverflowError(str(exc))) if "integer string conversion" in str(exc) else _bug(exc)


def _http(exc: HTTPException) -> Response:
    code = exc.code or 500
    texts = {
        404: _("您要找的内容不存在，请核对后重试。"),
        405: _("这个地址不接受这种操作。"),
        413: _("提交的内容过大。"),
    }
    return _answer(code, "http", texts.get(code, _("请求无法处理，请返回重试。")))


def _bug(exc: Exception) -> Response:
    log.error("unhandled", error=type(exc).__name__, exc_info=exc)
    code = "unavailable" if not isinstance(exc, JianlianError) else exc.code
    message = _("系统出错，操作未完成，数据没有改变。请把编号告诉信息管理组。")
    try:
        return _answer(500, code, message)
    except Exception as worse:  # what broke may be what every page needs
        log.error("unhandled", error=type(worse).__name__, exc_info=worse)
        return Response(f"{message} {g.get('request_id', '')}\n", 500, mimetype="text/plain")


def _answer(status: int, code: str, message: str) -> Response:
    log.info("refused", status=status, code=code)
    context = {"status": status, "code": code, "message": message, "error_id": g.get("request_id", "")}
    # Going back shows the form as it was filled in: the browser keeps what was typed, and the page is asked for anew.
    context["posted"] = request.method == "POST" and status < 500
    if page.is_fragment():
        # htmx_flask 0.1 refuses some reswap values, so the headers are set by hand.
        response = make_response(page.filled("_notice.html", **context), status)
        response.headers["HX-Retarget"] = "#notice"
        response.headers["HX-Reswap"] = "innerHTML"
        response.headers["HX-Trigger"] = '{"sound": "bad"}'
        return response
    return make_response(page.filled("error.html", **context), status)
