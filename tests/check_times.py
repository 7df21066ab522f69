#!/usr/bin/env python3
"""Whether the last run of CTest leaves room: no limit below 5 times what a test took, no unit test above 20 s.

usage: tests/check_times.py BUILD_DIR
"""
import json
import pathlib
import subprocess
import sys

ROOM = 5
UNIT_SECONDS = 20


def costs(build):
    """Seconds of each test's runs, mean; CTest writes 'name runs seconds' lines, then '---' and what failed."""
    text = (build / "Testing/Temporary/CTestCostData.txt").read_text()
    rows = (line.rsplit(" ", 2) for line in text.split("---")[0].splitlines())
    return {name: float(seconds) for name, _, seconds in rows}


def declared(build):
    """Limit and labels of each test."""
    shown = subprocess.run(["ctest", "--test-dir", str(build), "--show-only=json-v1"], check=True, capture_output=True)
    for test in json.loads(shown.stdout)["tests"]:
        properties = {p["name"]: p["value"] for p in test.get("properties", [])}
        yield test["name"], properties.get("TIMEOUT"), properties.get("LABELS", [])


def complaints(build):
    seconds = costs(build)
    for name, limit, labels in declared(build):
        took = seconds.get(name, 0.0)
        if limit is None:
            yield f"{name} has no limit (every test is ended at some time). Give it a TIMEOUT?"
        elif took * ROOM > limit:
            yield f"{name} took {took:.1f} s of {limit:.0f} s (a busy machine needs {ROOM} times as long). Raise its TIMEOUT?"
        if "unit" in labels and took > UNIT_SECONDS:
            yield f"{name} took {took:.1f} s (a unit test has {UNIT_SECONDS} s). Cut its sizes?"


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    found = list(complaints(pathlib.Path(sys.argv[1])))
    for line in found:
        print(f"FAILED: {line}", file=sys.stderr)
    if not found:
        print(f"== every test has {ROOM} times the time that it took, and no unit test took {UNIT_SECONDS} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
