"""For WSGI servers other than ours: ``gunicorn cloud.wsgi:app`` with JIANLIAN_CONFIG set."""

from cloud.app import create_app
from cloud.config import load
from cloud.web import log

settings = load()
log.setup(settings.log_level)
app = create_app(settings)
