"""The books of the siege: which fault was injected by which test, and held?

A test says which faults it injects by `@pytest.mark.fault("D1", "D5")`, or in
a parameter by `marks=pytest.mark.fault("D1")`. The faults themselves stand in
faults_*.toml beside this file. With --siege every test that injects one of
them runs, and every slow one; a summary per group is printed, and
docs/reliability.md is written. A test tells a count worth publishing by
`record_property("siege", "...")`.
"""

import os
import platform
import time
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent.parent / "docs" / "reliability.md"
GROUPS = {  # letter: (name, number of faults)
    "D": ("data files", 22), "N": ("network", 23), "S": ("storage", 17),
    "A": ("arguments", 18), "E": ("environment", 21),
    "P": ("child processes", 20), "G": ("signals", 13), "M": ("numbers", 14),
    "C": ("concurrency and resume", 17), "X": ("security", 14),
    "K": ("jobs of a cluster", 7)}
IDS = [f"{letter}{number}" for letter, (_, count) in GROUPS.items()
       for number in range(1, count + 1)]
MOST_WAIVED = 40


def faults():
    """{ID: {fault, inject, holds[, waived]}} of all faults_*.toml."""
    found = {}
    for path in sorted(HERE.glob("faults_*.toml")):
        for fault, row in tomllib.loads(path.read_text("utf-8")).items():
            if fault in found:
                raise ValueError(f"{fault} stands twice: {path.name}")
            found[fault] = row
    return found


def injected_by(item):
    """The faults that a test injects, in order."""
    marks = list(item.iter_markers("fault"))[::-1]
    return list(dict.fromkeys(fault for mark in marks for fault in mark.args))


class Ledger:
    """Collects, while the tests run, what became of every fault."""

    def __init__(self, siege):
        self.siege = siege
        self.tests = defaultdict(dict)  # fault: {node id: outcome}
        self.collected = defaultdict(list)  # fault: node ids
        self.files, self.counts, self.start = set(), [], time.monotonic()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config, items):
        for item in items:
            self.files.add(item.path)
            for fault in injected_by(item):
                self.collected[fault].append(item.nodeid)
        if self.siege:
            gone = [item for item in items if not injected_by(item)
                    and HERE not in item.path.parents
                    and not item.get_closest_marker("slow")]
            config.hook.pytest_deselected(items=gone)
            items[:] = [item for item in items if item not in gone]

    def complete(self):
        """Whether every test file there is was collected."""
        return self.files >= set(HERE.parent.rglob("test_*.py"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield  # which may be read in another process
        report.user_properties.append(("faults", injected_by(item)))
        return report

    def pytest_runtest_logreport(self, report):
        # A call that fails or skips is final; a set-up that passes is not.
        if report.when == "call" or not report.passed:
            for name, value in report.user_properties:
                for fault in value if name == "faults" else ():
                    self.tests[fault][report.nodeid] = (
                        report.longrepr[2] if report.skipped and isinstance(
                            report.longrepr, tuple) else report.outcome)
                self.counts += [value] * (name == "siege" and report.passed)

    def state(self, fault):
        """'held', 'FAILED', 'not run' or the reason why it was skipped."""
        outcomes = list(self.tests[fault].values())
        if "failed" in outcomes:
            return "FAILED"
        if "passed" in outcomes:
            return "held"
        return (outcomes or ["not run"])[0].replace("Skipped", "skipped")

    # ------------------------------------------------------------ the end

    def pytest_terminal_summary(self, terminalreporter, exitstatus, config):
        if not self.siege:
            return
        write = terminalreporter.write_line
        rows = faults()
        write(f"{'group':26}{'faults':>8}{'injected':>10}{'held':>8}"
              f"{'waived':>8}")
        for name, *numbers in [*self.totals(rows)]:
            write(f"{name:26}{numbers[0]:8}{numbers[1]:10}{numbers[2]:8}"
                  f"{numbers[3]:8}")
        option = config.option
        asked = [Path(path).resolve() for path in config.args]
        if asked == [HERE.parent] and exitstatus in (0, 1) and not (
                option.keyword or option.markexpr or option.collectonly):
            TARGET.write_text(self.page(rows), "utf-8")
            write(f"written: {TARGET}")

    def totals(self, rows):
        """(group, faults, injected, held, waived), then their sum."""
        sums = [0, 0, 0, 0]
        for letter, (name, count) in GROUPS.items():
            own = [f"{letter}{n}" for n in range(1, count + 1)]
            states = [self.state(fault) for fault in own]
            numbers = [count, sum(s in ("held", "FAILED") for s in states),
                       states.count("held"),
                       sum("waived" in rows.get(f, {}) for f in own)]
            sums = [a + b for a, b in zip(sums, numbers)]
            yield f"{letter} {name}", *numbers
        yield "all", *sums

    def page(self, rows):
        """docs/reliability.md: promises, counts, and the table of faults."""
        minutes = (time.monotonic() - self.start) / 60
        lines = [(HERE / "promises.md").read_text("utf-8").rstrip(), "",
                 "## What was tried", "",
                 f"By `make siege` in {minutes:.0f} minutes on "
                 f"{platform.system()}, Python "
                 f"{platform.python_version()}, {os.cpu_count()} cores.", "",
                 "| group | faults | injected | held | waived |",
                 "|---|--:|--:|--:|--:|"]
        lines += ["| " + " | ".join(map(str, row)) + " |"
                  for row in self.totals(rows)]
        lines += ["", *(f"- {text}" for text in self.counts)]
        for letter, (name, count) in GROUPS.items():
            lines += ["", f"### {letter}: {name}", "",
                      "| | fault | injected by | what must happen | test "
                      "| result |", "|---|---|---|---|---|---|"]
            for n in range(1, count + 1):
                fault = f"{letter}{n}"
                row = rows.get(fault, {})
                cells = [fault, row.get("fault"), row.get("inject"),
                         row.get("holds"), self.names(fault),
                         f"waived: {row['waived']}" if "waived" in row
                         else self.state(fault)]
                lines.append("| " + " | ".join(
                    str(cell or "").replace("|", "\\|") for cell in cells)
                    + " |")
        return "\n".join(lines) + "\n"

    def names(self, fault):
        """The tests of a fault by file, parameters counted and not listed."""
        files = defaultdict(lambda: defaultdict(int))
        for node in self.tests[fault]:
            file, _, name = node.partition("::")
            files[Path(file).name][name.partition("[")[0]] += 1
        return "; ".join(f"`{file}`: " + ", ".join(
            name.removeprefix("test_").replace("_", " ")
            + (f" ({count} cases)" if count > 1 else "")
            for name, count in names.items()) for file, names in files.items())


def pytest_addoption(parser):
    parser.addoption("--siege", action="store_true",
                     help="all tests that inject a fault; writes "
                          "docs/reliability.md")


def pytest_configure(config):
    config.addinivalue_line("markers", "fault(*ids): faults it injects")
    config.addinivalue_line("markers", "slow: not in the quick subset")
    ledger = Ledger(config.getoption("--siege"))
    config.pluginmanager.register(ledger, "siege-ledger")
