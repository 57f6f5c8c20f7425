"""The door for agents over HTTPS: no session, the envelope's signature by the registered key says who asks."""

from __future__ import annotations

from typing import Any

import structlog
from flask import Response, jsonify, request

from cloud.modules.edge import renewal, updates
from cloud.web.faults import STATUS
from cloud.web.throttle import Attempts
from cloud.web.view import Access, Views, web
from common.errors import UserError

VIEWS = Views("edge_machines", __name__)
ASKED = Attempts(60, "请求过于频繁，请一分钟后再试。")
MAX_BYTES = 32_768
log = structlog.get_logger("edge")


def _envelope() -> bytes:
    ASKED.check(request.remote_addr or "")
    return request.get_data(cache=False) if (request.content_length or 0) <= MAX_BYTES else b""


def _refused(error: renewal.Refused) -> Any:
    log.warning("agent_refused", code=error.code, reason=error.message)
    return jsonify(error="refused", message="采集端没有在本院登记，或已吊销。请在网页上重新生成登记码。"), 403


@VIEWS.post("/edge/renew", Access.PUBLIC)
def renew() -> Any:
    """An agent's next certificate."""
    try:
        return jsonify(renewal.renew(web().db, web().settings, _envelope(), request.remote_addr or ""))
    except renewal.Refused as error:
        return _refused(error)
    except UserError as error:
        return jsonify(error=error.code, message=error.message), STATUS.get(error.code, 422)


@VIEWS.post("/edge/bundle", Access.PUBLIC)
def bundle() -> Any:
    """The bytes of a release the hospital consented to."""
    try:
        return Response(updates.bundle(web().db, _envelope()), mimetype="application/zip")
    except renewal.Refused as error:
        return _refused(error)
    except UserError as error:
        return jsonify(error=error.code, message=error.message), STATUS.get(error.code, 422)
