"""Every machine's steps, written down a second time as M01–M30 and the transition tables name them: a step lost or won is seen here.

That what is not listed is refused, each module shows by its own tests, which read these tables.
"""

from importlib import import_module

import pytest

# module.table: then a line a state, with where it may go.
STEPS = {
    "specimens.rules.TRANSITIONS": """
        planned: labelled lost cancelled
        labelled: collected lost cancelled
        collected: sent received rejected lost cancelled
        sent: arrived received rejected lost cancelled
        arrived: received rejected lost cancelled
        received: centrifuged aliquoted on_analyzer tested conditional lost cancelled referred
        centrifuged: aliquoted on_analyzer lost cancelled
        aliquoted: on_analyzer lost cancelled
        on_analyzer: tested lost cancelled
        tested: reviewed lost
        reviewed: released lost
        released: archived lost
        archived: discarded lost
        discarded:
        rejected: lost
        conditional: on_analyzer tested lost cancelled
        lost:
        cancelled:
        referred: tested lost cancelled
    """,
    "specimens.bag_rules.BAG_TRANSITIONS": """
        packing: sent
        sent: open
        open: closed
        closed:
    """,
    "specimens.storage_rules.BATCH_TRANSITIONS": """
        open: signed cancelled
        signed: open done cancelled
        done:
        cancelled:
    """,
    "orders.rules.TRANSITIONS": """
        requested: confirmed labelled cancelled refunded expired
        confirmed: requested labelled cancelled refunded expired
        labelled: confirmed collected received cancelled refunded rejected expired
        collected: received cancelled refunded rejected
        received: in_test partly_reported reported cancelled refunded rejected
        in_test: partly_reported reported cancelled refunded rejected
        partly_reported: in_test reported
        reported: in_test partly_reported
        rejected: requested confirmed labelled cancelled refunded
        cancelled:
        refunded:
        expired: requested confirmed
    """,
    "bench.rules.TRANSITIONS": """
        expected: received held cancelled no_result
        received: received held reviewed cancelled no_result
        held: received held cancelled no_result
        reviewed: received held released
        released: amended recalled
        amended: amended recalled
        recalled: amended cancelled
        cancelled:
        no_result: received held released cancelled
    """,
    "reports.rules.TRANSITIONS": """
        draft: tested
        tested: draft tested preliminary released recalled
        preliminary: tested preliminary recalled
        released: amended recalled
        amended: amended recalled
        recalled: preliminary amended cancelled
        cancelled:
    """,
    "critical.rules.TRANSITIONS": """
        detected: confirmed false_alarm
        confirmed: notifying escalated received false_alarm
        notifying: unreachable escalated received false_alarm
        unreachable: escalated false_alarm
        escalated: received false_alarm
        received: doctor_acknowledged handled
        doctor_acknowledged: handled
        handled: closed
        closed:
        false_alarm:
        merged:
    """,
    "qc.rules.RUN_TRANSITIONS": """
        incomplete: incomplete in_control warning rejected
        in_control:
        warning:
        rejected: rejected
        trial: trial
    """,
    "qc.rules.OOC_TRANSITIONS": """
        open: investigating
        investigating: corrected
        corrected: verified
        verified: closed
        closed:
    """,
    "autoverify.rules.TRANSITIONS": """
        draft: validated retired
        validated: draft approved retired
        approved: active retired
        active: suspended retired
        suspended: active retired
        retired:
    """,
    "changes.rules.TRANSITIONS": """
        draft: tested active withdrawn
        tested: draft tested approved active withdrawn
        approved: draft scheduled withdrawn
        scheduled: draft active withdrawn
        active: retired
        retired:
        withdrawn:
    """,
    "handover.rules.TRANSITIONS": """
        writing: given
        given: writing received
        received:
    """,
    "personnel.rules.TRANSITIONS": """
        active: suspended revoked
        suspended: active revoked
        revoked:
    """,
    "reagents.rules.TRANSITIONS": """
        quarantine: pending_verify recalled scrapped
        pending_verify: quarantine available recalled scrapped
        available: quarantine recalled scrapped
        recalled: scrapped
        scrapped:
    """,
    "servicedesk.rules.TRANSITIONS": """
        new: accepted
        accepted: diagnosing
        diagnosing: solution_given
        solution_given: onsite_scheduled resolved
        onsite_scheduled: onsite
        onsite: resolved
        resolved: confirmed reopened
        confirmed: closed reopened
        closed: reopened
        reopened: diagnosing
    """,
    "quality.rules.TRANSITIONS": """
        open: contained
        contained: analysed
        analysed: acting
        acting: verifying
        verifying: closed reopened
        reopened: analysed
        closed: reopened
    """,
    "queue.rules.TICKET_TRANSITIONS": """
        booked: checked_in expired cancelled
        checked_in: waiting cancelled
        waiting: called held cancelled
        called: waiting serving passed cancelled
        serving: done
        done:
        passed: waiting expired cancelled
        held: waiting cancelled
        expired:
        cancelled:
    """,
    "queue.rules.WINDOW_TRANSITIONS": """
        closed: open
        open: closed busy paused
        busy: open paused
        paused: closed open
    """,
    "interfaces.rules.TRANSITIONS": """
        pending: sent
        retrying: sent
        resent: sent
        sent: sent retrying acked dead_letter
        dead_letter: resent closed
        acked:
        closed:
    """,
}


@pytest.mark.parametrize("name", STEPS)
def test_the_steps_are_those_of_the_specification(name: str) -> None:
    module, table = name.rsplit(".", 1)
    found = getattr(import_module(f"cloud.modules.{module}"), table)
    listed = [line.split(":") for line in STEPS[name].strip().splitlines()]
    assert {state.value: {to.value for to in steps} for state, steps in found.items()} == {s.strip(): set(to.split()) for s, to in listed}
    assert len(found) == len(type(next(iter(found))).__members__), "every state has its line"
