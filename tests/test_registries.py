"""One dummy of each registry, planted by an entry and a function in one file
of a copy of the project: a comparison there shows it."""

import pytest
from common import STUB, call, copy_project

from bench.tools import digits

# {file: what is added at its end}
RUNG = '\nRUNGS["planted"] = Rung({}, line="-.")\n'
MEASURE = '''

def planted(subjects):
    return {"weight": (42.0, "g", 1, "made up")}


MEASURES["planted"] = Measure("bench.measure.registry:planted", once_a_block)
'''
FIGURE = '''

def planted(found):
    from bench.report.figures.style import plt
    return plt.figure()


FIGURES["planted"] = Figure("A planted figure", "Nothing.",
                            "registry:planted")
'''
RULE = '''

def _planted(r, _):
    return "every record breaks this planted rule"


WITHIN += (("a planted rule", _planted, WARNING, "kept", "this test"),)
'''
DATASET = '''
DATASETS["planted"] = DATASETS["mnist"]._replace(
    label="PLANTED", bytes={bytes}, sha256={sha256}, mirrors=())
'''


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """The output folder of a comparison in a copy where all of them are."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    folder = project / "data" / "planted"
    folder.mkdir(parents=True)
    made = digits.write(folder, 600, 100)
    for name, text in (
            ("data.py", DATASET.format(**made._asdict())),
            ("bench/kit/rungs.py", RUNG),
            ("bench/measure/registry.py", MEASURE),
            ("bench/report/figures/registry.py", FIGURE),
            ("bench/proof/rules.py", RULE)):
        path = project / name
        path.write_text(path.read_text("utf-8").replace(
            '\n\nif __name__ == "__main__":', f'{text}\n\nif __name__ == '
            '"__main__":') if name == "data.py" else
            path.read_text("utf-8") + text, "utf-8")
    out = tmp_path_factory.mktemp("planted")
    done = call(project / "compare.py", "--contender", f"stub={STUB}",
                "--variants", "stub:eager", "stub:planted", "--dataset",
                "planted", "--data-dir", project / "data", "--epochs",
                "2", "--batch-sizes", "100", "--seeds", "0", "--measure",
                "planted", "--optimizer", "sgd", "--out", out)
    print(done.stdout, done.stderr)
    assert done.returncode in (0, 1), done.stderr
    return out, (out / "summary.md").read_text("utf-8")


def test_a_data_set(planted):
    assert planted[1].startswith("# PLANTED")


def test_a_rung(planted):
    assert "| 100 | stub planted |" in planted[1]


def test_a_measure(planted):
    assert "| planted | weight |" in planted[1] and "42" in planted[1]


def test_a_figure(planted):
    assert (planted[0] / "figures" / "planted.svg").exists()
    assert "A planted figure" in (planted[0] / "report.html").read_text()


def test_a_rule(planted):
    assert "every record breaks this planted rule" in planted[1]


def test_the_page_of_the_record_is_made_from_its_fields():
    from bench.tools import fields
    assert fields.PAGE.read_text("utf-8") == fields.page(), "make book"
