"""The only importer of ``typst``: documents in, PDF or bitmap bytes out, with one kept compiler a template folder.

Lives in the worker, never in a web process (it maps 80 MB of fonts and library). A kept ``typst.Compiler`` makes a report in
milliseconds where the module functions take a tenth of a second. Bytes repeat: the only dates inside come from the document.
Errors: UserError for a character no face draws or a template that does not compile; the template's name and place are in its fields.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import typst

from cloud.reports.documents import ChartDocument, LabelDocument, ListDocument, ReportDocument, TicketDocument
from cloud.reports.drawings import module_dots
from cloud.reports.fonts import FontSet, default_fonts
from cloud.reports.payload import chart_payload, label_payload, list_payload, report_payload, stamp_payload, ticket_payload
from common.errors import UserError
from common.say import say

TEMPLATES = Path(__file__).parent / "templates"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # the file's own time stamp; the document's date is the report's
DOT_MM = 0.125  # a dot of a 203 dpi printer
LABEL_DOTS = 400  # 50 mm
TICKET_DOTS = 576  # the 72 mm of print of an 80 mm printer


class Renderer:
    """Renders with the templates of one folder. Safe to share between threads: up to ``compilers`` of them render at once, others wait.

    Compilers share the fonts; one more is made when all are busy and costs some 15 MB. Typst works outside the interpreter lock, so two
    keep two cores busy.
    """

    def __init__(self, fonts: FontSet | None = None, templates: Path = TEMPLATES, compilers: int = 1) -> None:
        self.fonts = fonts or default_fonts()
        self._templates = templates
        self._faces = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(self.fonts.folder)])
        self._idle: SimpleQueue[typst.Compiler] = SimpleQueue()
        self._idle.put(self._compiler())
        self._more = threading.Semaphore(compilers - 1)

    def report(self, document: ReportDocument, template: str | None = None, logo: bytes = b"") -> bytes:
        """The PDF of a report; ``template`` is the text of a hospital's own template in place of ``report.typ``, ``logo`` the picture that
        the document names."""
        return self._pdf("report.typ", report_payload(document, self.fonts, logo), template)

    def report_data(self, payload: Mapping[str, Any], template: str | None = None) -> bytes:
        """The PDF of ready template data, for the template validator."""
        return self._pdf("report.typ", payload, template)

    def label(self, document: LabelDocument) -> bytes:
        """The PDF of a tube label, 50 × 30 mm."""
        return self._pdf("label.typ", self._label(document))

    def labels(self, documents: Sequence[LabelDocument]) -> bytes:
        """The PDF of several labels, a page each, in the order given."""
        pages = [self._label(each) for each in documents]
        return self._pdf("label.typ", {"labels": pages, "small_signs": any(each["small_signs"] for each in pages)})

    def ticket(self, document: TicketDocument) -> bytes:
        """The PDF of a queue ticket, 80 mm wide and as long as it needs."""
        module_mm = module_dots(document.code, TICKET_DOTS) * DOT_MM
        return self._pdf("ticket.typ", ticket_payload(document, self.fonts, module_mm, draw_barcode=True, paper_mm=80))

    def list(self, document: ListDocument) -> bytes:
        """The PDF of a register or worklist, A4."""
        return self._pdf("list.typ", list_payload(document, self.fonts))

    def chart(self, document: ChartDocument) -> bytes:
        """The PDF of a drawing with its figures, A4 landscape."""
        return self._pdf("chart.typ", chart_payload(document, self.fonts))

    def stamped(self, pdf: bytes, text: str) -> bytes:
        """A stored PDF with a layer over each page that says it is a reprint; what lies under the layer is untouched."""
        from pypdf import PdfReader, PdfWriter  # 15 MB that a worker without reprints does not need

        source = PdfReader(io.BytesIO(pdf))
        out = PdfWriter(clone_from=source)
        for page in out.pages:
            width, height = float(page.mediabox.width), float(page.mediabox.height)
            layer = PdfReader(io.BytesIO(self._pdf("stamp.typ", stamp_payload(text, width, height, self.fonts))))
            page.merge_page(layer.pages[0])
        made = io.BytesIO()
        out.write(made)
        return made.getvalue()

    def label_bitmap(self, document: LabelDocument) -> bytes:
        """The label as PNG at 203 dpi, one pixel a dot, without its bars: the printer draws those on its own grid."""
        return self._png("label.typ", label_payload(document, self.fonts, DOT_MM, draw_barcode=False))

    def ticket_bitmap(self, document: TicketDocument) -> bytes:
        """The ticket's 72 mm of print as PNG at 203 dpi, without its bars."""
        return self._png("ticket.typ", ticket_payload(document, self.fonts, DOT_MM, draw_barcode=False, paper_mm=72))

    def _compiler(self) -> typst.Compiler:
        """Root and package paths are the template folder: a hospital's template can read nothing else, and nothing is downloaded."""
        here = str(self._templates)
        return typst.Compiler(root=here, font_paths=self._faces, ignore_system_fonts=True, package_path=here, package_cache_path=here)

    def _free(self) -> typst.Compiler:
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._compiler() if self._more.acquire(blocking=False) else self._idle.get()

    def _label(self, document: LabelDocument) -> dict[str, Any]:
        return label_payload(document, self.fonts, module_dots(document.barcode, LABEL_DOTS) * DOT_MM, draw_barcode=True)

    def _pdf(self, name: str, payload: Mapping[str, Any], template: str | None = None) -> bytes:
        return self._compile(name, payload, template, format="pdf", timestamp=_EPOCH, pdf_tags=False)

    def _png(self, name: str, payload: Mapping[str, Any]) -> bytes:
        return self._compile(name, payload, None, format="png", ppi=25.4 / DOT_MM)

    def _compile(self, name: str, payload: Mapping[str, Any], template: str | None, **options: Any) -> bytes:
        source = str(self._templates / name) if template is None else template.encode()
        inputs = {"data": json.dumps(payload, ensure_ascii=False)}
        compiler = self._free()
        try:
            made = compiler.compile(input=source, sys_inputs=inputs, **options)
        except typst.TypstError as error:
            raise UserError(
                "template_error",
                say("打印模板 {name} 有错误，无法生成：{why}", name=name, why=error.message),
                template=name,
                place=error.diagnostic,
            ) from error
        finally:
            self._idle.put(compiler)
        page = made[0] if isinstance(made, list) else made
        assert page is not None, "typst returns bytes when no output file is named"
        return page


_making = threading.Lock()


def default_renderer() -> Renderer:
    """The worker's renderer, made at first use and kept; one, whichever threads ask first."""
    with _making:
        return _kept_renderer()


@cache
def _kept_renderer() -> Renderer:
    return Renderer(compilers=2)
