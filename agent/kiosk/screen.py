"""The kiosk's page: Flask on loopback, three steps, nothing from outside. Only this PC's browser may speak to it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, jsonify, render_template, request

from agent.kiosk.desk import Desk
from agent.kiosk.pdf import ticket_pdf

HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
# Asked at every check-in and kept with the ticket (M04 R2); the words are what the patient reads.
QUESTIONS = (
    {
        "id": "fasting",
        "text": ("今天早上吃过东西吗？", "Have you eaten anything this morning?"),
        "options": (("yes", "没有吃（空腹）", "No (fasting)"), ("no", "吃过了", "Yes, I have"), ("unknown", "不清楚", "I am not sure")),
    },
)


def make_app(desk: Desk) -> Flask:
    """The page and the four addresses it calls."""
    app = Flask("jianlian_kiosk", template_folder=f"{_here()}/templates", static_folder=f"{_here()}/static")
    app.config["MAX_CONTENT_LENGTH"] = 8192

    @app.before_request
    def only_here() -> None:
        # A page elsewhere that makes this browser call us, or a foreign name that resolves to this PC, gets nothing.
        if urlsplit(f"//{request.host}").hostname not in {h.strip("[]") for h in HOSTS}:
            abort(403)
        origin = request.headers.get("Origin")
        if request.method == "POST" and (not request.is_json or (origin and urlsplit(origin).netloc != request.host)):
            abort(403)

    @app.after_request
    def headers(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = CSP
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @app.get("/")
    def page() -> str:
        return render_template("kiosk.html", hospital=desk.book.hospital, hall=desk.settings.hall, questions=QUESTIONS)

    @app.get("/state")
    def state() -> Any:
        return jsonify({"online": desk.online, "hospital": desk.book.hospital})

    @app.post("/recognise")
    def recognise() -> Any:
        seen = desk.recognise(_asked()["code"])
        if seen.message:
            return jsonify({"message": seen.message, "english": seen.english}), 409
        return jsonify({"name": seen.name, "has_number": seen.has_number})

    @app.post("/checkin")
    def check_in() -> Any:
        body = _asked()
        answers = body.get("answers")
        done = desk.check_in(body["code"], answers if isinstance(answers, dict) else {}, english=body.get("lang") == "en")
        said = {"message": done.message, "english": done.english}
        if done.paper is None:
            return jsonify(said), 409
        paper = done.paper
        shown = {"number": paper.number, "name": paper.name, "ahead": paper.ahead, "eta": paper.eta, "offline": paper.offline}
        return jsonify({**shown, **said, "repeated": done.repeated, "printed": done.printed, "pdf": f"/ticket/{done.key}.pdf"})

    @app.get("/ticket/<key>.pdf")
    def pdf(key: str) -> Any:
        paper = desk.paper(key)
        if paper is None:
            abort(404)
        name = {"Content-Disposition": f'inline; filename="{paper.number}.pdf"'}
        return Response(ticket_pdf(paper), mimetype="application/pdf", headers=name)

    return app


def _asked() -> dict[str, Any]:
    """The body of a question, which always names a code."""
    body = request.get_json(silent=True)
    if not isinstance(body, dict) or not isinstance(body.get("code"), str) or len(body["code"]) > 64:
        abort(400)
    return body


def _here() -> str:
    from pathlib import Path

    return str(Path(__file__).parent)
