"""The house rules that a machine can hold: who imports whom, what pure files may touch, how large a file grows, what is tested.

One rule: every exception stands in a table of this file with its reason, and an exception nobody needs any more fails too.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("core", "detectors", "policies", "organism", "proxy", "evaluation", "attribution", "audit")

#: Package -> the packages of ours that it may import.
MAY_IMPORT = {
    "core": {"core"},
    "detectors": {"core", "detectors"},
    "policies": {"core", "policies"},
    "organism": {"core", "organism"},
    "proxy": {"core", "detectors", "policies", "organism", "proxy"},
    "evaluation": {"core", "detectors", "policies", "organism", "proxy", "evaluation"},
    "attribution": {"core", "detectors", "policies", "proxy", "evaluation", "attribution"},
    "audit": {"core", "detectors", "policies", "organism", "proxy", "evaluation", "attribution", "audit"},
}
#: File -> packages that it may import beside those, inside a function only; each with its reason.
LAZY_IMPORTS: dict[str, tuple[frozenset[str], str]] = {
    "proxy/cli.py": (frozenset({"evaluation"}), "every command starts there; it costs nothing until it is typed"),
    "proxy/cli_experiment.py": (frozenset({"evaluation"}), "`experiment` starts there; it costs nothing until it is typed"),
    "proxy/cli_attribute.py": (frozenset({"attribution"}), "`attribute` starts there; it costs nothing until it is typed"),
    "proxy/cli_audit.py": (frozenset({"audit"}), "`audit` starts there; it costs nothing until it is typed"),
}

#: Packages that rebuild models -> their folder: nothing outside of it imports them.
TRAINING = {"detectors.training": "detectors/training/", "organism.training": "organism/training/"}

#: What a PURE file may not import: anything that waits, talks, logs, looks at a clock or throws dice.
IMPURE = frozenset({
    "asyncio", "aiohttp", "onnxruntime", "logging", "os", "random", "time",
    "concurrent", "httpx", "litellm", "multiprocessing", "openai", "prometheus_client", "requests", "secrets", "selectors",
    "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "uuid", "uvloop",
})  # fmt: skip
#: The one PURE file that reads shipped files.
POLICY_LOADERS = frozenset({"policies/loader.py", "policies/library/__init__.py"})

#: Packages that are imported and not declared -> the declared one whose interface they are part of.
COME_ALONG = {"multidict": "aiohttp", "yarl": "aiohttp", "pydantic_core": "pydantic"}

#: Modules of an extra -> its name: they are imported inside a function, or in a file that is.
EXTRAS = {"opentelemetry": "otel", "redis": "redis"}

#: Modules that run what they read: no model, lexicon or policy may ever come from them.
CODE_LOADERS = frozenset({"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"})
BANNED_CALLS = {
    "eval": "runs text as code",
    "exec": "runs text as code",
    "__import__": "hides an import from these tests",
    "os.system": "runs a shell",
    "os.popen": "runs a shell",
    "yaml.load": "builds any object; use yaml.safe_load or a loader derived from SafeLoader",
    "yaml.unsafe_load": "builds any object; use yaml.safe_load",
    "yaml.full_load": "builds more than data; use yaml.safe_load",
}
SAFE_LOADERS = frozenset({"yaml.SafeLoader", "yaml.CSafeLoader", "SafeLoader"})

#: Files that may start a task, beside proxy/driver.py, each with its reason.
TASK_SPAWNERS: dict[str, str] = {
    "proxy/driver.py": "the one place where an exchange's work is spawned and cancelled",
    "proxy/doctor_network.py": "asks every upstream side by side",
    "proxy/upstream/hedging.py": "two calls race, and the loser is cancelled",
    "proxy/upgrade.py": "the two directions of a connection that is no longer HTTP",
    "evaluation/experiment/trials.py": "an experiment asks several requests at once",
    "proxy/app.py": "tasks of the worker itself: the observer, the file watch, reloads by signal",
    "proxy/workers.py": "one task a worker that waits for its death, and one that looks at what they count",
}
SPAWNING = frozenset({"create_task", "ensure_future", "gather", "TaskGroup"})

HARD_LIMIT = 500
SOFT_LIMIT = 300
#: Files over the soft limit, each with what keeps it one concept.
OVER_SOFT_LIMIT: dict[str, str] = {
    "core/types.py": "the whole contract between the packages, readable in one place",
    "core/exchange.py": "one state machine: its transitions are only checkable side by side",
    "detectors/arithmetic.py": "one grammar of stated equalities with its evaluation: neither is read without the other",
    "detectors/combine.py": "the one table of evidence and licence per mode",
    "detectors/scan.py": "one pass over a text that serves every lexicon",
    "organism/wordings.py": "data only: everything that is said around a prompt, to be read side by side",
    "organism/prompts.py": "one maker a family of prompts: which answers are right is only checkable side by side",
    "policies/schema.py": "the whole shape of a policy file; mostly field descriptions",
    "proxy/config_model.py": "the whole shape of a configuration file; mostly field descriptions",
    "proxy/driver.py": "every command has its performer here, and tasks are spawned nowhere else",
}


#: Sources without a test file of their own name -> the file that tests them, where a whole is only provable as one.
TESTED_ELSEWHERE: dict[str, str] = {
    "detectors/lexicons/__init__.py": "tests/detectors/test_lexical.py",
    "detectors/training": "tests/detectors/test_training.py",
    "organism/training": "tests/organism/test_training.py",
    "evaluation/style.py": "tests/evaluation/test_plots.py",
    "audit/cases.py": "tests/audit/test_drafts.py",
    "audit/embedding.py": "tests/audit/test_own.py",
    "audit/draft_command.py": "tests/audit/test_drafts.py",
    "attribution/exemplars.py": "tests/attribution/test_command.py",
    "attribution/exports.py": "tests/attribution/test_command.py",
    "attribution/job.py": "tests/attribution/test_command.py",
    "attribution/report.py": "tests/attribution/test_command.py",
    "proxy/config_embedded.py": "tests/proxy/upstream/test_embedded.py",
    "proxy/config_keys.py": "tests/proxy/test_keys.py",
    "proxy/config_upstream.py": "tests/proxy/upstream/test_retrying.py",
    "proxy/config_base.py": "tests/proxy/test_config_model.py",
    "proxy/config_telemetry.py": "tests/proxy/test_decision_log.py",
    "proxy/doctor_host.py": "tests/proxy/test_doctor.py",
    "proxy/doctor_network.py": "tests/proxy/test_doctor.py",
    "proxy/upstream/litellm_api.py": "tests/proxy/upstream/test_litellm_apis.py",
}
#: Who may import litellm.
LITELLM = frozenset({f"proxy/upstream/litellm{part}.py" for part in ("", "_apis", "_dropped")})
#: Test files that mirror no single source: suites over many.
SUITES = frozenset({"detectors/test_conformance.py", "detectors/test_hard_cases.py", "proxy/test_end_to_end.py"})


@cache
def sources() -> tuple[str, ...]:
    """Every Python file of the packages, as a path relative to the root."""
    return tuple(sorted(path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")))


@cache
def tree_of(source: str) -> ast.Module:
    return ast.parse((ROOT / source).read_text(encoding="utf-8"), source)


def is_pure(source: str) -> bool:
    return source.startswith(("core/", "policies/", "proxy/wire/"))


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or attribute chain, else the empty string or its known tail."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}".lstrip(".")
    return ""


def imports_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(module, line) of every import statement and of every import_module call with a constant name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            yield module, node.lineno
            for alias in node.names:
                yield f"{module}.{alias.name}", node.lineno
        elif isinstance(node, ast.Call) and dotted(node.func).endswith("import_module") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value, node.lineno


def calls_of(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield dotted(node.func), node


def import_problems(source: str, tree: ast.AST) -> list[str]:
    package = source.split("/")[0]
    lazy = lazy_lines(source, tree)
    problems = []
    for module, line in imports_of(tree):
        top = module.split(".")[0]
        if top in MAY_IMPORT and top not in MAY_IMPORT[package] and line not in lazy:
            problems.append(f"{source}:{line} imports {module}; {package} may import {sorted(MAY_IMPORT[package])}")
        if is_pure(source) and top in IMPURE:
            problems.append(f"{source}:{line} is pure and imports {module}")
        if top in CODE_LOADERS and not source.startswith(tuple(TRAINING.values())):
            problems.append(f"{source}:{line} imports {module}, which can run what it loads")
        training = TRAINING.get(".".join(module.split(".")[:2]))
        if training is not None and not source.startswith(training):
            problems.append(f"{source}:{line} imports {module}: training is never imported when serving")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            problems.append(f"{source}:{node.lineno} imports relatively")
    return problems


def inner_imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(module, line) of the imports inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports_of(node)


def lazy_lines(source: str, tree: ast.AST) -> set[int]:
    """Lines of a file with the imports that LAZY_IMPORTS allows it."""
    allowed, _ = LAZY_IMPORTS.get(source, (frozenset[str](), ""))
    return {line for module, line in inner_imports(tree) if module.split(".")[0] in allowed}


def safe_loaders(tree: ast.AST) -> frozenset[str]:
    """Names of safe YAML loaders: the library's, classes of this file that derive from them, and names bound to one of them."""
    derived = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and {dotted(base) for base in node.bases} & SAFE_LOADERS:
            derived.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and is_safe_loader(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            derived |= {dotted(target) for target in targets}
    return SAFE_LOADERS | derived


def is_safe_loader(value: ast.expr) -> bool:
    """`yaml.SafeLoader`, or `getattr(yaml, "CSafeLoader", yaml.SafeLoader)`."""
    if isinstance(value, ast.Call) and dotted(value.func) == "getattr" and len(value.args) == 3:
        name = value.args[1]
        return isinstance(name, ast.Constant) and name.value == "CSafeLoader" and is_safe_loader(value.args[2])
    return dotted(value) in SAFE_LOADERS


def loads_safely(call: ast.Call, tree: ast.AST) -> bool:
    return any(keyword.arg == "Loader" and dotted(keyword.value) in safe_loaders(tree) for keyword in call.keywords)


def call_problems(source: str, tree: ast.AST) -> list[str]:
    problems = []
    for name, call in calls_of(tree):
        if name in BANNED_CALLS and not (name == "yaml.load" and loads_safely(call, tree)):
            problems.append(f"{source}:{call.lineno} calls {name}: {BANNED_CALLS[name]}")
        for keyword in call.keywords:
            true = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
            if true and keyword.arg in {"shell", "allow_pickle"}:
                problems.append(f"{source}:{call.lineno} passes {keyword.arg}=True")
        if is_pure(source) and name == "print":
            problems.append(f"{source}:{call.lineno} is pure and prints")
        if (
            is_pure(source)
            and source not in POLICY_LOADERS
            and (name == "open" or name.endswith((".read_text", ".read_bytes")))
        ):
            problems.append(f"{source}:{call.lineno} is pure and reads a file")
    return problems


def spawns(tree: ast.AST) -> bool:
    return any(name.split(".")[-1] in SPAWNING for name, _ in calls_of(tree))


def litellm_problems(source: str, tree: ast.Module) -> list[str]:
    """litellm costs 2.6 s and 169 MB to import: three files ask for it, inside functions that the first request calls."""
    lines = [line for module, line in imports_of(tree) if module.split(".")[0] == "litellm"]
    if not lines:
        return []
    if source not in LITELLM:
        return [f"{source}:{line} imports litellm; only proxy/upstream/litellm.py and what it asks may" for line in lines]
    inner = {line for _, line in inner_imports(tree)}
    return [f"{source}:{line} imports litellm when it is imported itself" for line in lines if line not in inner]


def has_behaviour(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) for node in ast.walk(tree))


def mirror_of(source: str) -> str:
    path = Path(source)
    stem = path.parent.name if path.stem == "__init__" else path.stem
    folder = path.parent.parent if path.stem == "__init__" else path.parent
    return (Path("tests") / folder / f"test_{stem.strip('_')}.py").as_posix()


@pytest.mark.parametrize("source", sources())
def test_imports_go_one_way_and_pure_files_stay_pure(source: str) -> None:
    assert import_problems(source, tree_of(source)) == []


@pytest.mark.parametrize("source", sources())
def test_no_file_calls_what_is_banned(source: str) -> None:
    assert call_problems(source, tree_of(source)) == []


@pytest.mark.parametrize("source", sources())
def test_every_module_says_what_it_owns(source: str) -> None:
    docstring = ast.get_docstring(tree_of(source)) or ""
    assert len(docstring) >= 20, f"{source} has no module docstring worth the name"


def test_litellm_is_imported_only_when_a_route_uses_it() -> None:
    assert [problem for source in sources() for problem in litellm_problems(source, tree_of(source))] == []


def test_tasks_are_spawned_only_where_the_table_says() -> None:
    spawning = {source for source in sources() if spawns(tree_of(source))}
    assert spawning - TASK_SPAWNERS.keys() == set()


def test_the_exceptions_are_all_needed() -> None:
    gone = {name for name in (*TASK_SPAWNERS, *OVER_SOFT_LIMIT) if name not in sources()}
    idle = {name for name in TASK_SPAWNERS if name in sources() and not spawns(tree_of(name))}
    unused = {name for name in LAZY_IMPORTS if not lazy_lines(name, tree_of(name))}
    assert (gone, idle, unused) == (set(), set(), set())


def test_only_one_file_of_the_policies_reads_files() -> None:
    readers = {source for source in sources() if source.startswith("policies/") and reads_files(tree_of(source))}
    assert len(readers) <= 1
    assert readers <= POLICY_LOADERS


def reads_files(tree: ast.Module) -> bool:
    return any(module.startswith("importlib.resources") or module == "pathlib" for module, _ in imports_of(tree))


def lines_in(source: str) -> int:
    return len((ROOT / source).read_text(encoding="utf-8").splitlines())


def python_files() -> Iterator[str]:
    yield from sources()
    for folder in ("tests", "benchmarks", "scripts", "docs"):
        yield from (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / folder).rglob("*.py")))


def test_no_file_passes_the_hard_limit() -> None:
    assert {name: lines for name in python_files() if (lines := lines_in(name)) > HARD_LIMIT} == {}


def test_files_over_the_soft_limit_are_listed_with_a_reason() -> None:
    over = {source for source in sources() if lines_in(source) > SOFT_LIMIT}
    assert over == OVER_SOFT_LIMIT.keys()


def test_every_source_with_behaviour_has_its_test_file() -> None:
    missing = {
        source: mirror_of(source)
        for source in sources()
        if has_behaviour(tree_of(source)) and not (ROOT / mirror_of(source)).is_file() and not is_tested_elsewhere(source)
    }
    assert missing == {}


def test_what_is_tested_elsewhere_is_tested_there() -> None:
    for source, test in TESTED_ELSEWHERE.items():
        assert (ROOT / source).exists(), source
        assert (ROOT / test).is_file(), test


def is_tested_elsewhere(source: str) -> bool:
    return any(source == place or source.startswith(f"{place}/") for place in TESTED_ELSEWHERE)


def test_every_test_file_mirrors_a_source() -> None:
    """`tests/<folder>/test_<file>.py`, or `test_<file>_<topic>.py` where one file would be too long."""
    stray = []
    for package in PACKAGES:
        for path in sorted((ROOT / "tests" / package).rglob("test_*.py")):
            folder = path.parent.relative_to(ROOT / "tests").as_posix()
            stems = {
                Path(mirror_of(source)).stem
                for source in sources()
                if Path(mirror_of(source)).parent == path.parent.relative_to(ROOT)
            }
            if not any(path.stem == stem or path.stem.startswith(f"{stem}_") for stem in stems):
                stray.append(f"{folder}/{path.name}")
    assert set(stray) == SUITES


def test_the_wheel_holds_these_packages_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert tuple(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == PACKAGES
    assert tuple(project["tool"]["mypy"]["packages"]) == PACKAGES


def test_what_serving_imports_is_declared() -> None:
    """A package that only comes along with another may leave with it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[^a-z0-9-]", line, maxsplit=1)[0] for line in project["dependencies"]}
    modules = {
        module.split(".")[0]
        for source in sources()
        if not source.startswith((*TRAINING.values(), "evaluation/", "attribution/", "audit/"))
        for module, _ in imports_of(tree_of(source))
    }
    distributions = packages_distributions()
    third = {module for module in modules if module not in sys.stdlib_module_names and module not in PACKAGES}
    names = {module: {name.lower().replace("_", "-") for name in distributions.get(module, [])} for module in third}
    undeclared = {module for module in third if declared.isdisjoint(names[module])}
    assert undeclared == COME_ALONG.keys() | EXTRAS.keys()
    for module, extra in EXTRAS.items():
        assert any(line.startswith(module) for line in project["optional-dependencies"][extra])


def test_serving_imports_neither_training_nor_evaluation_nor_litellm() -> None:
    """What the static tests cannot see: a third party that drags them in."""
    code = (
        "import sys, proxy.cli, proxy.server, detectors.suite\n"
        "heavy = {'litellm', 'sklearn', 'onnx', 'scipy', 'torch', 'pytest', 'openai', 'matplotlib', 'evaluation',"
        " 'attribution', 'polars', 'distributed', 'redis'}\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & heavy), [n for n in sys.modules if 'training' in n])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[] []"), done.stderr


#: Source text -> a word of the complaint it must raise: the checks above can fail.
BAD = {
    ("core/x.py", "from policies.schema import Policy"): "may import",
    ("policies/x.py", "def f():\n    import detectors.base"): "may import",
    ("detectors/x.py", "from policies import decide"): "may import",
    ("proxy/x.py", "def f():\n    import evaluation.judge"): "may import",
    ("proxy/cli.py", "import evaluation.command"): "may import",
    ("proxy/cli_attribute.py", "from attribution import command"): "may import",
    ("evaluation/x.py", "from attribution import text"): "may import",
    ("attribution/x.py", "from organism import links"): "may import",
    ("detectors/training/x.py", "from evaluation import measures"): "may import",
    ("core/x.py", "import asyncio"): "pure",
    ("proxy/wire/x.py", "from os import path"): "pure",
    ("policies/x.py", "import importlib\nimportlib.import_module('time')"): "pure",
    ("proxy/x.py", "from . import y"): "relatively",
    ("proxy/x.py", "import pickle"): "run what it loads",
    ("proxy/x.py", "from detectors import training"): "never imported",
    ("proxy/x.py", "import organism.training.fit"): "never imported",
    ("detectors/x.py", "from organism.oracle import judge"): "may import",
    ("organism/x.py", "from detectors import suite"): "may import",
    ("proxy/x.py", "eval('1')"): "runs text",
    ("proxy/x.py", "import os\nos.system('ls')"): "shell",
    ("proxy/x.py", "import yaml\nyaml.load('a')"): "safe_load",
    ("proxy/y.py", "import yaml\nyaml.load('a', Loader=yaml.Loader)"): "safe_load",
    ("detectors/x.py", "import numpy as np\nnp.load('x', allow_pickle=True)"): "allow_pickle",
    ("core/x.py", "print(1)"): "prints",
    ("core/x.py", "open('a')"): "reads a file",
    ("proxy/x.py", "def f():\n    import litellm"): "only proxy/upstream/litellm.py",
    ("proxy/upstream/litellm.py", "import litellm"): "when it is imported",
}


@pytest.mark.parametrize(("source", "text"), BAD)
def test_a_broken_rule_is_seen(source: str, text: str) -> None:
    tree = ast.parse(text)
    problems = import_problems(source, tree) + call_problems(source, tree) + litellm_problems(source, tree)
    assert any(BAD[source, text] in problem for problem in problems), problems


@pytest.mark.parametrize(
    "text", ["asyncio.create_task(f())", "asyncio.TaskGroup()", "await_all = gather(f())", "loop.create_task(x)"]
)
def test_a_spawned_task_is_seen(text: str) -> None:
    assert spawns(ast.parse(text))


@pytest.mark.parametrize(
    "loader", ["class Strict(yaml.SafeLoader): ...", "Strict = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)"]
)
def test_a_safe_loader_is_allowed(loader: str) -> None:
    tree = ast.parse(f"{loader}\nyaml.load('a', Loader=Strict)")
    assert call_problems("proxy/config.py", tree) == []


def test_a_lazy_litellm_import_is_allowed() -> None:
    assert litellm_problems("proxy/upstream/litellm.py", ast.parse("def call():\n    import litellm\n    return litellm")) == []
