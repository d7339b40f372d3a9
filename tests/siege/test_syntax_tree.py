"""X6, X7, X8: what stands nowhere in the programs, read from their syntax."""

import ast

import pytest
from common import ROOT

TESTS = {ROOT / "tests", ROOT / "test_mlp.py"}
# Folders that hold no source of ours.
NO_SOURCE = {"docs", "data", "__pycache__"}
MODULES = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill",
           "cloudpickle", "joblib", "yaml", "imp", "commands"}
CALLS = {"eval", "exec", "compile", "__import__", "execfile", "input",
         "os.system", "os.popen", "os.execl", "os.execlp", "os.spawnl",
         "subprocess.getoutput", "subprocess.getstatusoutput",
         "tempfile.mktemp", "torch.load", "torch.save", "jnp.load",
         "ssl._create_unverified_context", "urllib.request.urlretrieve"}
WEAK = {"md5", "sha1", "new", "crc32", "adler32"}
# A switch would have a name of this kind.
SWITCH = ("verif", "check", "insecure", "trust", "unsafe", "skip", "force",
          "no_hash", "no-hash", "ignore")
VARIABLES = {"MLP_DATA_DIR", "MLP_DEBUG", "MPLBACKEND",
             "TORCHINDUCTOR_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR",
             "JAX_PLATFORMS", "NO_COLOR", "XLA_FLAGS",
             "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "KERAS_BACKEND",
             "KERAS_HOME", "RANK", "WORLD_SIZE", "LOCAL_RANK",
             "JAX_COORDINATOR_ADDRESS", "SLURM_NTASKS"}
TEACHING = "assert 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10 == 235146"


def sources():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        if not (TESTS & {path, *path.parents} or NO_SOURCE & set(parts)
                or any(part.startswith((".", "results")) for part in parts)):
            yield path


def dotted(node):
    """'os.system' for that expression; '' for what is no plain name, so a
    method of what a call returned is '.compile', not Python's compile."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def offences(tree):
    """(line, what is wrong) of everything that must not be there."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        names = [alias.name for alias in getattr(node, "names", ())
                 if isinstance(alias, ast.alias)]
        if isinstance(node, ast.ImportFrom):
            names += [node.module or ""]
        for name in names:
            if name.partition(".")[0] in MODULES or name == "mktemp":
                yield line, f"import of {name}"
        if isinstance(node, ast.Assert) and ast.unparse(node) != TEACHING:
            yield line, "a check by assert"
        if isinstance(node, ast.Attribute) and node.attr in (
                "CERT_NONE", "check_hostname", "UNSAFE_PICKLE"):
            yield line, node.attr
        if isinstance(node, ast.Call):
            yield from ((line, text) for text in of_call(node))
        if isinstance(node, ast.Subscript) and dotted(node.value) in (
                "os.environ", "environ"):
            yield from ((line, text) for text in of_variable(node.slice))


def of_call(node):
    name = dotted(node.func)
    if name in CALLS:
        yield f"call of {name}"
    if name.startswith("hashlib.") and name.removeprefix("hashlib.") in WEAK:
        yield f"weak hash {name}"
    keywords = {k.arg: k.value for k in node.keywords}

    def said(key, value, keywords=keywords):
        return isinstance(found := keywords.get(key), ast.Constant) and (
            found.value is value)

    if "shell" in keywords and not said("shell", False):
        yield "shell="
    if said("verify", False) or "context" in keywords and name.endswith(
            "urlopen"):
        yield "certificates not verified"
    if name.split(".")[-1] == "load" and name.startswith(
            ("np.", "numpy.")) and not said("allow_pickle", False):
        yield "np.load without allow_pickle=False"
    if said("allow_pickle", True) or said("weights_only", False):
        yield "pickle allowed"
    if name in ("os.environ.get", "os.getenv", "environ.get"):
        yield from of_variable(node.args[0])
    if name.endswith(("add_argument", "add")) or name == "add":
        for option in node.args:
            text = option.value if isinstance(option, ast.Constant) else ""
            if str(text).startswith("--") and any(
                    word in text for word in SWITCH):
                yield f"option {text}"


def of_variable(node):
    """Every variable of the environment that is read is known by name."""
    if isinstance(node, ast.Constant) and node.value not in VARIABLES:
        yield f"variable {node.value}"


@pytest.mark.fault("X6", "X7", "X8")
def test_nothing_dangerous_stands_in_any_program():
    found, asserts = [], []
    paths = list(sources())
    assert {"data.py", "compare.py", "mlp_jax.py", "record.py",
            "child.py"} <= {path.name for path in paths}
    for path in paths:
        tree = ast.parse(path.read_text("utf-8"))
        found += [f"{path.name}:{line}: {what}"
                  for line, what in offences(tree)]
        asserts += [path.name for node in ast.walk(tree)
                    if isinstance(node, ast.Assert)]
    assert found == []
    assert sorted(asserts) == ["mlp_jax.py", "mlp_torch.py"]


@pytest.mark.fault("X6", "X7", "X8")
@pytest.mark.parametrize("text", [
    "eval('1')", "exec(x)", "import pickle", "from pickle import loads",
    "import os.path, yaml", "os.system('ls')", "os.popen(x)",
    "subprocess.run(x, shell=True)", "subprocess.run(x, shell=y)",
    "np.load(x)", "np.load(x, allow_pickle=True)",
    "numpy.load(x, allow_pickle=y)", "torch.load(x)", "tempfile.mktemp()",
    "from tempfile import mktemp", "requests.get(x, verify=False)",
    "context.verify_mode = ssl.CERT_NONE", "context.check_hostname = False",
    "urllib.request.urlopen(x, context=y)", "assert x == y", "hashlib.md5(x)",
    "hashlib.new('md5')", "add('--no-verify')", "os.environ.get('MLP_TRUST')",
    "parser.add_argument('--skip-checks')", "os.environ['MLP_NO_HASH']",
    "ssl._create_unverified_context()", "os.getenv('INSECURE')"])
def test_the_scan_sees_what_it_looks_for(text):
    assert list(offences(ast.parse(text)))


@pytest.mark.fault("X6")
def test_verification_has_no_way_around():
    """In data.py every path to an array leads through unpack, and in unpack
    every path to the end leads past the SHA-256 of the unpacked bytes."""
    tree = ast.parse((ROOT / "data.py").read_text("utf-8"))
    functions = {node.name: node for node in tree.body
                 if isinstance(node, ast.FunctionDef)}
    returns = [node for node in ast.walk(functions["unpack"])
               if isinstance(node, ast.Return)]
    *_, check, last = functions["unpack"].body
    assert returns == [last]
    assert ast.unparse(check.test) == (
        "(got := hashlib.sha256(raw).hexdigest()) != sha256")
    assert isinstance(check.body[0], ast.Raise)
    for name, function in functions.items():
        calls = [dotted(node.func) for node in ast.walk(function)
                 if isinstance(node, ast.Call)]
        assert name == "unpack" or not any("decompress" in c for c in calls)
        assert (name == "load") == ("parse_idx" in calls), name
    # What load() parses comes from one of two, and both unpack.
    for name in ("read_cached", "fetch"):
        assert "unpack(" in ast.unparse(functions[name])
    made = {ast.unparse(node.value) for node in ast.walk(functions["load"])
            if isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "raw"}
    assert {text.partition("(")[0] for text in made} == {"read_cached",
                                                         "fetch"}
