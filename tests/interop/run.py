#!/usr/bin/env python3
"""The interop matrix: real programs publish to, play from and are relayed to by the built relay; one table at the end.

Each cell has server-1 and server-2 between the program and the other end, so both our server and our client are in its way.
"""
import argparse
import concurrent.futures
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import films
from cells import CELLS
from installed import version
from program import Failed, Program
from server import Server

YARDSTICK = ["ffmpeg 5", "ffmpeg 9"]  # they make the films and read what arrives


def outcome(cell, folder, films_made, versions):
    """The figures of a cell, or the failure."""
    try:
        if missing := [program for program in dict.fromkeys([*cell.programs, *YARDSTICK]) if not versions[program]]:
            raise Failed(f"MISSING PROGRAM: {', '.join(missing)} (run: just setup-interop)")
        film = films_made[cell.codecs]
        if isinstance(film, Failed):
            raise film
        folder.mkdir(mode=0o755)
        return cell.run(folder, film)
    except Failed as failed:
        return failed
    except Exception as error:  # a defect of the test, or an answer that it cannot read
        traceback.print_exc()
        return Failed(repr(error))
    finally:
        Program.kill_all(folder)


def made(cells, folder, versions):
    """The films that `cells` need, each of them or why it cannot be made."""
    results = {}
    wanted = {cell.codecs for cell in cells}
    if films.TWO in wanted:
        wanted |= {"HEVC/AAC", "AV1/Opus"}
    for codecs in sorted(wanted, key=lambda codecs: codecs == films.TWO):
        try:
            if missing := [program for program in YARDSTICK if not versions[program]]:
                raise Failed(f"MISSING PROGRAM: {', '.join(missing)} (run: just setup-interop)")
            results[codecs] = films.make(codecs, folder, results)
        except Exception as error:
            results[codecs] = Failed(f"no film: {error}")
    return results


def rows(cells, results, versions):
    """The table's fields, a heading first."""
    yield "Program", "Version", "Role", "Codecs", "Result", "Figures"
    for cell in cells:
        result, seconds = results[cell]
        verdict = "ok" if not isinstance(result, Failed) else "missing" if "MISSING" in str(result) else "FAIL"
        yield cell.name(), versions[cell.programs[0]] or "–", cell.role, cell.codecs, verdict, str(result)


def text(table):
    """The table in columns."""
    table = list(table)
    widths = [max(len(row[column]) for row in table) for column in range(5)]
    return "\n".join("  ".join(field.ljust(width) for field, width in zip(row, [*widths, 0])).rstrip() for row in table)


def markdown(table):
    """The table as the README has it."""
    heading, *lines = table
    return "\n".join("| " + " | ".join(row) + " |" for row in [heading, ["---"] * len(heading), *lines])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--relay", default=Server.binary, help="the program under test (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=4, help="cells at the same time (default: %(default)s)")
    parser.add_argument("--markdown", action="store_true", help="print the table as the README has it")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a run that passed, too")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only cells whose program, role or codecs have this in them")
    options = parser.parse_args()
    Server.binary = options.relay
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    if not shutil.which(Server.binary):
        sys.exit(f"MISSING PROGRAM: {Server.binary} (run: cargo build --release)")
    cells = [cell for cell in CELLS if all(word.lower() in f"{cell.name()} {cell.role} {cell.codecs}".lower() for word in options.words)]

    started = time.monotonic()
    versions = {program: version(program) for cell in CELLS for program in [*cell.programs, *YARDSTICK]}
    run = pathlib.Path(tempfile.mkdtemp(prefix="rtmp-relay-interop-"))
    run.chmod(0o755)  # VLC has to find its film as another user
    results = {}
    try:
        films_made = made(cells, run, versions)

        def one(number, cell):
            begun = time.monotonic()
            result = outcome(cell, run / f"{number:02}-{cell.name().replace(' ', '-')}", films_made, versions)
            results[cell] = result, time.monotonic() - begun
            print(f"{'FAIL' if isinstance(result, Failed) else 'PASS'} {number:02} {cell.name()} {cell.role} {cell.codecs}: "
                  f"{result} [{results[cell][1]:.0f} s]\n", end="", file=sys.stderr, flush=True)
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(one, range(1, len(cells) + 1), cells))
        failed = sum(isinstance(result, Failed) for result, _ in results.values())
        print((markdown if options.markdown else text)(rows(cells, results, versions)))
    finally:
        Program.kill_all()
        if len(results) < len(cells) or failed or options.keep:
            print(f"logs and films: {run}", file=sys.stderr)
        else:
            shutil.rmtree(run)
    print(f"{len(cells) - failed} passed, {failed} failed", file=sys.stderr)
    print(f"took {time.monotonic() - started:.0f} s", file=sys.stderr)
    return 1 if failed or not cells else 0


if __name__ == "__main__":
    sys.exit(main())
