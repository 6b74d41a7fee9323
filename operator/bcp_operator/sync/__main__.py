"""bcp-sync: sync once, show a plan, look up correlations, check a profile."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from pydantic import ValidationError

from bcp_operator.api.run import ExitCode, RunConfig, RunLimits, RunReport, RunSystem

from .config import PROFILES, ConfigError, Setup, prepare, read_config
from .log import set_up
from .supervisor import supervise, write_termination_message

if TYPE_CHECKING:
    from .correlations.store import Store
    from .report import Tally
    from .spool import Spool

EPILOG = """exit codes: 0 done; 2 usage, run.yaml, profile or credentials; 3 done but for some entities, or the
guard withheld some; 4 held: the writer lease is fenced or taken, or the login URL shows the secondary; 5 failed."""
log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    options = _parser().parse_args(arguments)
    set_up(options.log_format or ("text" if sys.stderr.isatty() else "json"))
    try:
        return int(options.command(options))
    except ConfigError as error:
        print(f"bcp-sync: {error}", file=sys.stderr)
        return ExitCode.CONFIG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bcp-sync", description=__doc__, epilog=EPILOG)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, "run", _run, "bring the secondary up to date, once")
    _add(commands, "plan", _plan, "show what a run would do; writes nothing")
    ids = _add(commands, "ids", _ids, "look up which entities belong together")
    ids.add_argument("text", nargs="?", help="an ID of either side, a correlation ID or a key; none = all")
    ids.add_argument("--type", help="only this entity type")
    _add(commands, "readiness", _readiness, "show who could not log in to the secondary, and what it lacks")
    diverging = _add(commands, "diverge", _diverge, "show what was changed in the secondary; writes nothing", ("csv",))
    diverging.add_argument("--publish", action="store_true", help="in a pod: leave a report for the operator instead")
    export = _add(commands, "export", _export, "write all correlations of the pair as JSON lines")
    export.add_argument("file", nargs="?", default="-", help="none, or -: standard output")
    importing = _add(commands, "import", _import, "put an export into the store: all of it or nothing")
    importing.add_argument("file", help="-: standard input")
    importing.add_argument("--replace", action="store_true", help="in place of what the store holds of this pair")
    unfenced = commands.choices["run"]
    unfenced.add_argument("--unfenced", action="store_true", help="run.yaml names no Lease: write without one")
    unfenced.add_argument("--reason", help="why that is safe; goes into the log")
    check = commands.add_parser("profile", help="check a profile").add_subparsers(required=True, metavar="ACTION")
    checking = check.add_parser("check", help="read a profile and say what is wrong with it")
    checking.add_argument("file", type=Path)
    checking.add_argument("--against", metavar="ENDPOINT", help="read everything from this system, and write nothing")
    checking.add_argument("--credentials", type=Path, help="folder with one file per credential key")
    checking.add_argument(
        "--tenant", default="", help="the system's own name for the tenant: {tenantID} in the profile"
    )
    checking.add_argument("--ca-file", help="PEM bundle of a private CA")
    checking.add_argument("--insecure", action="store_true", help="the endpoint may be plain http")
    checking.add_argument("--requests-per-second", type=int, default=10, help="how fast to read (default: 10)")
    checking.add_argument("-o", "--output", choices=["text", "json"], default="text")
    checking.add_argument("--log-format", choices=["json", "text"])
    checking.set_defaults(command=_check)
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    command: object,
    text: str,
    outputs: tuple[str, ...] = (),
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text, epilog=EPILOG)
    parser.add_argument("--config", type=Path, required=True, help="run.yaml")
    parser.add_argument("--profiles", type=Path, default=PROFILES, help="folder of users' own profiles")
    parser.add_argument("-o", "--output", choices=["text", "json", *outputs], default="text")
    parser.add_argument("--log-format", choices=["json", "text"], help="default: text on a terminal")
    parser.set_defaults(command=command)
    return parser


def _run(options: argparse.Namespace) -> int:
    try:
        config = read_config(options.config)
    except ConfigError as error:
        write_termination_message(_unusable(error))
        raise
    if config.lease is None and not (options.unfenced and options.reason):
        raise ConfigError("run.yaml names no Lease, so nothing would fence this run: add --unfenced --reason WHY")
    if config.lease is not None and options.unfenced:
        raise ConfigError("run.yaml names a Lease; leave --unfenced out")
    code, report = supervise(lambda: _work(config, options))
    if report is not None:
        write_termination_message(report)
        _show(report, options.output)
    return code


def _work(config: RunConfig, options: argparse.Namespace) -> tuple[ExitCode, RunReport | None]:
    """In the child process."""
    from .run import EXIT_CODES, run  # noqa: PLC0415 (keeps the waiting parent small)

    if options.unfenced:
        log.warning("no writer lease is held", extra={"reason": options.reason})
    try:
        report = run(prepare(config, options.profiles))
    except ConfigError as error:
        print(f"bcp-sync: {error}", file=sys.stderr)
        return ExitCode.CONFIG, _unusable(error)
    except Exception as error:
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
        log.critical("a mistake in bcp-sync; please report it", extra={"error": type(error).__name__, "at": where})
        return ExitCode.FAILED, None
    return EXIT_CODES[report.result], report


def _unusable(error: ConfigError) -> RunReport:
    """The report of a run that could not begin."""
    return RunReport(result="Failed", start_time=datetime.now(UTC), seconds=0, message=str(error))


def _plan(options: argparse.Namespace) -> int:
    from .show import show_plan  # noqa: PLC0415

    setup = prepare(read_config(options.config), options.profiles)
    return _consumed(setup, lambda spool, tally: show_plan(spool, tally, options.output))


def _readiness(options: argparse.Namespace) -> int:
    from .planning import scope_of  # noqa: PLC0415
    from .readiness import readiness, show  # noqa: PLC0415

    setup = prepare(read_config(options.config), options.profiles)

    def consume(spool: "Spool", tally: "Tally") -> None:
        actions = chain(spool.actions(), spool.withheld())
        show(readiness(scope_of(setup), spool, actions, tally.broken), options.output)

    return _consumed(setup, consume)


def _consumed(setup: Setup, consume: "Callable[[Spool, Tally], None]") -> int:
    """Plan, and hand that on; writes nothing."""
    from .correlations.store import StoreError  # noqa: PLC0415
    from .run import plan_only  # noqa: PLC0415

    try:
        report = asyncio.run(plan_only(setup, consume))
    except StoreError as error:
        print(f"bcp-sync: {error}", file=sys.stderr)
        return ExitCode.FAILED
    return ExitCode.FAILED if report.result == "Failed" else ExitCode.SUCCEEDED


def _ids(options: argparse.Namespace) -> int:
    from .show import show_rows  # noqa: PLC0415

    def look(store: "Store", _: RunConfig) -> int:
        rows = store.find(options.text) if options.text else store.rows(options.type)
        return show_rows((row for row in rows if options.type in (None, row.type)), options.output)

    found = _with_store(options, look, read_only=True)
    return ExitCode.SUCCEEDED if found or not options.text else 1


def _diverge(options: argparse.Namespace) -> int:
    from .correlations.store import StoreError  # noqa: PLC0415
    from .diverge import diverge  # noqa: PLC0415

    if options.publish:
        return _publish(options)
    try:
        return diverge(prepare(read_config(options.config), options.profiles), options.output)
    except StoreError as error:
        print(f"bcp-sync: {error}", file=sys.stderr)
        return ExitCode.FAILED


def _publish(options: argparse.Namespace) -> int:
    """Look, and say it to the operator."""
    from . import compare  # noqa: PLC0415

    config: RunConfig | None = None
    try:
        config = read_config(options.config)
        report = compare.compare(prepare(config, options.profiles))
        code = compare.exit_code(report)
    except ConfigError as error:
        print(f"bcp-sync: {error}", file=sys.stderr)
        report, code = compare.failed(str(error)), ExitCode.CONFIG
    if config is not None:
        compare.publish(config, report)
    write_termination_message(report)
    return code


def _export(options: argparse.Namespace) -> int:
    from .interchange import export_lines  # noqa: PLC0415

    def write(store: "Store", config: RunConfig) -> int:
        with _opened(options.file, "w") as target:
            for line in export_lines(store, config.pair):
                target.write(line + "\n")
        return ExitCode.SUCCEEDED

    return _with_store(options, write, read_only=True)


def _import(options: argparse.Namespace) -> int:
    from .interchange import ImportRefused, import_lines  # noqa: PLC0415

    def load(store: "Store", config: RunConfig) -> int:
        with _opened(options.file, "r") as source:
            number = import_lines(source, store, config.pair, replace=options.replace)
        print(f"{number} rows imported")
        return ExitCode.SUCCEEDED

    try:
        return _with_store(options, load, read_only=False)
    except ImportRefused as error:
        raise ConfigError(f"{options.file}: {error}") from None


def _with_store(options: argparse.Namespace, work: "Callable[[Store, RunConfig], int]", *, read_only: bool) -> int:
    from .correlations.opening import opened  # noqa: PLC0415
    from .correlations.store import StoreError  # noqa: PLC0415

    config = read_config(options.config)
    try:
        with opened(config.store, config.pair, read_only=read_only) as store:
            return work(store, config)
    except StoreError as error:
        print(f"bcp-sync: {error}", file=sys.stderr)
        sys.exit(ExitCode.FAILED)


def _opened(name: str, mode: Literal["r", "w"]) -> AbstractContextManager[TextIO]:
    """A file, or for `-` a standard stream, which stays open. Raises ConfigError."""
    if name == "-":
        return nullcontext(sys.stdin if mode == "r" else sys.stdout)
    try:
        return Path(name).open(mode, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{name}: {error.strerror}") from None


def _check(options: argparse.Namespace) -> int:
    from . import check  # noqa: PLC0415

    profile = check.read_profile(options.file)
    if options.against is None:
        check.show(options.file, profile, None, options.output)
        return ExitCode.SUCCEEDED
    try:
        system = RunSystem(
            profile=str(options.file),
            tenant_id=options.tenant or "-",
            endpoint=options.against,
            insecure=options.insecure,
            ca_file=options.ca_file,
            credentials_dir=str(options.credentials or Path()),
        )
        limits = RunLimits(requests_per_second=options.requests_per_second, concurrency=check.CONCURRENCY)
    except ValidationError as error:
        said = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors(include_input=False))
        raise ConfigError(f"profile check: {said}") from None
    seen = check.check_against(profile, system, limits)
    check.show(options.file, profile, seen, options.output)
    return ExitCode.FAILED if any(one.error for one in seen) else ExitCode.SUCCEEDED


def _show(report: RunReport, output: str) -> None:
    if output == "json":
        print(report.model_dump_json(by_alias=True))
        return
    done = ", ".join(f"{number} {action}" for action, number in report.counts.model_dump().items() if number)
    print(f"{report.result} in {report.seconds:.1f} s: {done or 'nothing done'}")
    if report.message:
        print(report.message)


if __name__ == "__main__":
    sys.exit(main())
