"""Peers nobody here wrote: the `hl7` package's MLLP client talks to our agent and is answered correctly."""

from __future__ import annotations

from pathlib import Path

import hl7
import pytest
from hl7.client import MLLPClient

from tests.agent.test_links import dial, has, stored
from tests.support.agent_process import free_port, running, tcp

ORU = "MSH|^~\\&|BC|Lab|||20260701||ORU^R01|{n}|P|2.3.1||||||UNICODE\rPID|1||P7\rOBR|1||T{n}\rOBX|1|NM|WBC||6.1|10*9/L\r"


@pytest.mark.filterwarnings("ignore")
def test_the_hl7_packages_client_is_answered(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, tcp("bc", port, protocol="hl7")) as agent:
        dial(port).close()
        with MLLPClient("127.0.0.1", port) as client:
            for number in range(5):
                answer = hl7.parse(client.send_message(ORU.format(n=number)).decode().strip("\x0b\x1c\r"))
                assert str(answer.segment("MSA")[1]) == "AA"
                assert str(answer.segment("MSA")[2]) == str(number)
        has(agent, 5)
    assert [b"|T%d" % n in message.body for n, message in enumerate(stored(tmp_path))] == [True] * 5
