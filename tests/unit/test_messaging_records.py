"""What a record says: fields of a later version are ignored, also inside the call file."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ruamel.yaml import YAML

from shared.events.call import Call
from shared.events.intake import CallPublished
from shared.messaging.records import Delivery, read_record
from tests.messaging_bench import Tape

CALL = Path(__file__).parents[2] / "data" / "innovation-2021" / "call.yaml"


def test_a_later_version_s_fields_are_ignored_also_inside_the_call_file() -> None:
    call = Call.model_validate(YAML(typ="safe").load(CALL.read_text(encoding="utf-8")))
    at = datetime(2021, 6, 3, tzinfo=UTC)
    event = CallPublished(occurred_at=at, call_id=call.id, call_version=call.version, call=call)
    record = Tape("intake.calls").record(event)
    document = json.loads(record.value or b"")
    document["later"] = document["call"]["later"] = document["call"]["rounds"][0]["later"] = 1
    read = read_record(replace(record, value=json.dumps(document).encode()))
    assert isinstance(read, Delivery)
    assert read.event == event
