"""The command line: `chunkguard serve | demo | validate | explain | scan | eval | attribute | audit | ...`.

One rule: thin. Each command reads its arguments, calls the part that does the work, and turns the result into an exit status:
0 done, 1 done but something was found wrong, 2 could not be done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from core.types import MODES
from proxy import cli_attribute, cli_audit, cli_experiment
from proxy.errors import ConfigError

OK, FOUND, FAILED = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    arguments = parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except ConfigError as error:
        console = Console(stderr=True, soft_wrap=True)
        for problem in error.problems:
            console.print(str(problem), style="red", markup=False, highlight=False)
        return FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"chunkguard: {where}{error.strerror or error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130
    return status


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    root = argparse.ArgumentParser(prog="chunkguard", description="Puts mis-routed LLM answers right at inference time.")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the proxy", description="Run the proxy until it is told to stop.")
    where = serve.add_mutually_exclusive_group(required=True)
    where.add_argument("--config", type=Path, help="configuration file (docs/configuration.md)")
    where.add_argument("--upstream", metavar="URL", help="guard this OpenAI-compatible base URL with all shipped policies")
    serve.add_argument("--listen", default="127.0.0.1:8800", help="with --upstream: host:port for clients (%(default)s)")
    serve.add_argument("--admin", default="127.0.0.1:8801", help="with --upstream: host:port for metrics (%(default)s)")
    serve.add_argument("--port", type=int, help="with --upstream: shorthand for --listen 127.0.0.1:PORT")
    serve.add_argument("--workers", type=_workers, metavar="N", help="processes (default: as configured, or 1)")
    serve.set_defaults(run=_serve)

    demo = commands.add_parser("demo", help="see it work, with no key and no network", description="Run the built-in demo.")
    demo.add_argument("--once", action="store_true", help="exit after the table instead of staying up")
    demo.add_argument("--without", action="store_true", help="switch injection and neutralising off: nothing gets fixed")
    demo.add_argument("--port", type=int, default=8800, help="port to stay up on (%(default)s)")
    demo.set_defaults(run=_demo)

    validate = commands.add_parser(
        "validate", help="check a configuration", description="Check a configuration and its policies."
    )
    validate.add_argument(
        "config", type=Path, nargs="?", help="configuration file; without it the shipped policies are checked"
    )
    validate.set_defaults(run=_validate)

    explain = commands.add_parser("explain", help="which policies match a request, and why", description="Explain a request.")
    explain.add_argument("request", help="JSON file of a chat request, - for standard input, or a prompt as text")
    explain.add_argument("--config", type=Path, help="configuration file; without it the shipped policies are used")
    explain.add_argument("--route", help="name of the route (default: the first)")
    explain.add_argument("--json", action="store_true", help="print JSON")
    explain.set_defaults(run=_explain)

    scan = commands.add_parser("scan", help="judge recorded exchanges", description="Judge exchanges from a JSONL file.")
    scan.add_argument("--in", dest="source", required=True, metavar="FILE", help="JSONL of exchanges; - for standard input")
    scan.add_argument("--out", dest="target", required=True, metavar="FILE", help="JSONL of verdicts; - for standard output")
    scan.add_argument("--processes", type=int, default=0, help="worker processes (default: one a core)")
    scan.add_argument("--models", type=Path, metavar="DIR", help="folder of own trained models (default: the shipped ones)")
    scan.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    scan.set_defaults(run=_scan)

    measure = commands.add_parser(
        "eval", help="measure on labelled exchanges", description="Judge labelled exchanges and say how right the verdicts are."
    )
    measure.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="JSONL file, or folder of *.jsonl files")
    measure.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for eval.html, .md, .json and pictures")
    measure.add_argument("--mode", action="append", choices=MODES, help="figures of this mode only; may be repeated")
    measure.add_argument("--limit", type=_count, default=0, metavar="N", help="judge N rows drawn at random (default: all)")
    measure.add_argument("--seed", type=int, default=0, help="of the drawing, and of ties among errors (%(default)s)")
    measure.add_argument("--errors", type=_count, default=10, metavar="N", help="errors shown per mode and kind (%(default)s)")
    measure.add_argument("--no-text", action="store_true", help="show no text of prompts and answers, only ids and names")
    measure.add_argument("--processes", type=_count, default=0, help="worker processes (default: one a core)")
    measure.add_argument("--models", type=Path, metavar="DIR", help="folder of own trained models (default: the shipped ones)")
    measure.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    measure.set_defaults(run=_eval)

    key = commands.add_parser("key", help="make a client key", description="Make a client key, and its hash for the file.")
    key.add_argument("name", nargs="?", default="app", help="its name in the configuration (%(default)s)")
    key.add_argument("--hash", action="store_true", help="read a key from standard input instead of making one")
    key.set_defaults(run=_key)

    doctor = commands.add_parser("doctor", help="what is wrong, and what to do", description="Look at what the proxy needs.")
    doctor.add_argument("--config", type=Path, help="configuration file; without it, the host and OpenAI's API")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)

    cli_experiment.add(commands)
    cli_attribute.add(commands)
    cli_audit.add(commands)

    schema = commands.add_parser("schema", help="print the JSON Schema of the configuration, or the OpenAPI document")
    schema.add_argument("--openapi", action="store_true", help="the OpenAPI document of the proxy's endpoints instead")
    schema.set_defaults(run=_schema)
    return root


# Imports stand inside the commands: `scan` needs no HTTP server, `schema` no detectors, and start-up time is felt.


def _serve(arguments: argparse.Namespace) -> int:
    import uvloop

    from proxy.app import App, serve
    from proxy.worker import Source
    from proxy.workers import Supervisor, WorkerLost, supervise

    if arguments.config is not None:
        source = Source(file=str(arguments.config))
    else:
        listen = f"127.0.0.1:{arguments.port}" if arguments.port is not None else arguments.listen
        admin = "127.0.0.1:0" if arguments.port is not None else arguments.admin
        source = Source(upstream=arguments.upstream, listen=listen, admin=admin)
    settings = source.load()
    workers = arguments.workers or settings.config.workers

    def announce(app: App | Supervisor) -> None:
        admin = app.admin_address
        shown = admin if isinstance(admin, str) else f"http://{admin[0]}:{admin[1]}"
        by = f"  {workers} workers" if workers > 1 else ""
        where = f"{'http' if settings.config.tls is None else 'https'}://{app.address[0]}:{app.address[1]}/v1"
        print(f"chunkguard: {where}  admin {shown}{by}", file=sys.stderr, flush=True)

    if workers == 1:
        uvloop.run(serve(App(settings, file=arguments.config), announce))
        return OK
    try:
        uvloop.run(supervise(Supervisor(settings, source, workers), announce))
    except WorkerLost as error:
        print(f"chunkguard: {error}", file=sys.stderr)
        return FAILED
    return OK


def _demo(arguments: argparse.Namespace) -> int:
    from proxy.demo import run

    return run(once=arguments.once, without=arguments.without, port=arguments.port)


def _validate(arguments: argparse.Namespace) -> int:
    from proxy.validate import run

    return run(arguments.config)


def _explain(arguments: argparse.Namespace) -> int:
    from proxy.explain import run

    return run(arguments.request, arguments.config, arguments.route, as_json=arguments.json)


def _scan(arguments: argparse.Namespace) -> int:
    from proxy.scan import open_models, open_source, open_target, scan

    if arguments.source != "-" and arguments.source == arguments.target:
        print("chunkguard: --in and --out are the same file", file=sys.stderr)
        return FAILED
    open_models(arguments.models)  # a bad folder is said before anything is written
    total = None
    if arguments.source != "-":
        with open_source(arguments.source) as lines:
            total = sum(1 for _ in lines)
    with open_source(arguments.source) as source, open_target(arguments.target) as target:
        tally = scan(
            source,
            target,
            processes=arguments.processes,
            total=total,
            quiet=arguments.quiet,
            models=arguments.models,
        )
    return FOUND if tally.bad else OK


def _eval(arguments: argparse.Namespace) -> int:
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        print(
            "chunkguard: eval draws with matplotlib: install chunkguard with the extra 'eval', or matplotlib", file=sys.stderr
        )
        return FAILED
    from evaluation.command import evaluate

    return evaluate(
        arguments.paths,
        arguments.out,
        modes=arguments.mode or MODES,
        limit=arguments.limit,
        seed=arguments.seed,
        processes=arguments.processes,
        errors=arguments.errors,
        texts=not arguments.no_text,
        models=arguments.models,
        quiet=arguments.quiet,
    )


def _key(arguments: argparse.Namespace) -> int:
    from proxy.keys import LEAST_CHARACTERS, hash_of, make_key

    key = sys.stdin.readline().strip() if arguments.hash else make_key()
    if len(key) < LEAST_CHARACTERS:
        print(f"chunkguard: a key needs {LEAST_CHARACTERS} characters: a shorter one can be guessed", file=sys.stderr)
        return FAILED
    if not arguments.hash:
        print(f"# Give this to the client; it is stored nowhere: {key}")
    print(f"{arguments.name}: {hash_of(key)}")
    return OK


def _doctor(arguments: argparse.Namespace) -> int:
    from proxy.doctor import run

    return run(arguments.config, as_json=arguments.json)


def _count(text: str) -> int:
    """A whole number that is not negative."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("must be a whole number, 0 or more")
    return int(text)


def _workers(text: str) -> int:
    """As the setting of that name."""
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 64")
    return int(text)


def _schema(arguments: argparse.Namespace) -> int:
    from proxy.config_schema import json_schema_text
    from proxy.openapi import openapi_text

    print(openapi_text() if arguments.openapi else json_schema_text())
    return OK


if __name__ == "__main__":
    sys.exit(main())
