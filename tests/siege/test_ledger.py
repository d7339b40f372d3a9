"""Every fault of the catalogue has a test or a reason why it has none."""

import re

import pytest
from siege import ledger

from bench.kit import cli
from bench.run import record


def test_every_fault_has_a_test_or_a_reason(request):
    books = request.config.pluginmanager.get_plugin("siege-ledger")
    if not books.complete():
        pytest.skip("only some of the test files were collected")
    rows = ledger.faults()
    assert sorted(books.collected.keys() - set(ledger.IDS)) == []
    assert sorted(rows.keys() ^ set(ledger.IDS)) == []
    waived = {fault for fault in rows if rows[fault].get("waived")}
    assert len(waived) <= ledger.MOST_WAIVED
    assert [fault for fault in ledger.IDS
            if (fault in waived) == (fault in books.collected)] == []
    for fault, row in rows.items():
        assert row.keys() - {"waived"} == {"fault", "inject", "holds"}, fault


def test_the_promises_name_every_exit_code_and_state():
    page = (ledger.HERE / "promises.md").read_text("utf-8")
    codes = re.findall(r"^\| (\d) \|", page, re.MULTILINE)
    assert codes == [str(code) for code in range(cli.DIVERGED + 1)]
    states = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert states == list(record.STATES)
    assert len(page.splitlines()) <= 100  # two pages before the table
