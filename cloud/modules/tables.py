"""Imports every module's models so that the metadata is whole (migrations, tests)."""

from cloud.db import audit, outbox
from cloud.db.base import Base
from cloud.modules.autoverify import models as autoverify
from cloud.modules.bench import models as bench
from cloud.modules.catalog import models as catalog
from cloud.modules.catalog import rule_models as catalog_rules
from cloud.modules.changes import models as changes
from cloud.modules.critical import models as critical
from cloud.modules.edge import models as edge
from cloud.modules.equipment import models as equipment
from cloud.modules.handover import models as handover
from cloud.modules.interfaces import models as interfaces
from cloud.modules.orders import models as orders
from cloud.modules.personnel import models as personnel
from cloud.modules.platform import models as platform
from cloud.modules.qc import models as qc
from cloud.modules.quality import models as quality
from cloud.modules.queue import models as queue
from cloud.modules.reagents import models as reagents
from cloud.modules.reports import models as reports
from cloud.modules.scheduling import models as scheduling
from cloud.modules.servicedesk import models as servicedesk
from cloud.modules.specimens import models as specimens
from cloud.modules.specimens import storage_models as storage

ALL = (
    *(audit, outbox, autoverify, bench, catalog, catalog_rules, changes, critical, edge, equipment, handover, interfaces, orders),
    *(personnel, platform, qc, quality, queue, reagents, reports, scheduling, servicedesk, specimens, storage),
)
METADATA = Base.metadata
