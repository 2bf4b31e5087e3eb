#!/usr/bin/env python3
"""The tests that docs/faults.md names: are they there, and what did they give when they ran last?

  tests/catalogue.py                       # ends with 1 where a row names a test that is not there
  tests/catalogue.py results [TESTLOGS]    # the same, and writes docs/faults_results.md, a line for
                                           # each row, from bazel-testlogs, behind tests/run.sh

A test that has not run, or was skipped, is named as that.
"""
import datetime
import glob
import os
import re
import subprocess
import sys
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What rows call by a word.
WORDS = {
    "sim": ["tests/sim/seeds_test"],
    "model": [],  # every test in its folder
    "kills": ["tests/kills/kill_test", "tests/kills/kill_deltas_test"],
    "crash": ["tests/crash/crash_test"],
    "soak": ["tests/soak/soak_test"],
}
SOURCES = {}  # by name without its ending: the tests that are made of it


def rows():
    """(what, tests named) of each row of a table whose last column names tests."""
    with open(os.path.join(ROOT, "docs/faults.md"), encoding="utf-8") as page:
        for line in page:
            cells = line.strip().strip("|").split(" | ")
            if line.startswith("| ") and "_test" in cells[-1] or re.match(r"\| F\d", line):
                yield cells[0].strip(), cells[-1]


def sources():
    """The text of each file that a test may be made of, by path."""
    found = {}
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if not f.startswith((".", "bazel-"))]
        for file in files:
            if file == "BUILD.bazel" or re.search(r"_test\.(cc|py|sh)$", file):
                path = os.path.join(folder, file)
                with open(path, encoding="utf-8") as text:
                    found[os.path.relpath(path, ROOT)] = text.read()
    return found


def targets(all_sources):
    """Of each test, by folder and name: the text of its sources."""
    found = {}
    for file, text in all_sources.items():
        if not file.endswith("BUILD.bazel"):
            continue
        folder = os.path.dirname(file)
        for rule in re.split(r"\n(?=[\w\[])", text):
            name = re.search(r'name = "([^"]+)"(?: % \w+| \+ \w+ \+ "([^"]+)")?', rule)
            each = re.search(r"for \w+(?:, .*)? in (\w+)?", rule)  # word of a list, or of a table
            words = re.findall(r'"(\w+)"', rule)
            if each and each.group(1):
                words = re.findall(r'^ +"(\w+)": ', text, re.MULTILINE)
            if rule.startswith("load("):
                continue
            if name is None:
                names = words if each else []
            elif "%s" in name.group(1) or name.group(2):
                pattern = name.group(1) + (f"%s{name.group(2)}" if name.group(2) else "")
                names = [pattern % word for word in words]
            else:
                names = [name.group(1)]
            of_rule = [all_sources.get(f"{folder}/{source}", "")
                       for source in re.findall(r'"(\w+_test\.\w+)"', rule)]
            for one in names:
                if one.endswith("_test"):
                    found[f"{folder}/{one}"] = of_rule + [all_sources.get(f"{folder}/{one}.cc", "")]
            for source in re.findall(r'"(\w+_test)\.\w+"', rule):  # rows may name a source
                SOURCES.setdefault(source, []).append(f"{folder}/{names[0]}")
    return found


def named(text, known):
    """The tests that a row names: those that are there, and names that are not."""
    tests, missing = [], []
    for word, of_word in WORDS.items():
        if re.search(rf"\b{word}\b", re.sub(r"`[^`]*`", "", text)):
            tests += of_word or [t for t in known if t.startswith(f"tests/{word}/")]
    last = []
    for quoted in re.findall(r"`([^`]+)`", text):
        name, _, case = quoted.partition(": ")
        base = name.strip("/").replace(":", "/").split("/")[-1]
        if base.endswith("_test"):
            last = [t for t in known if t.split("/")[-1] == base] or SOURCES.get(base, [])
            if not last:
                missing.append(quoted)
            tests += last
        elif not case and re.fullmatch(r"(\w+\.)?[A-Z]\w*[a-z]\w*[A-Z]\w+…?", quoted) and last:
            case = quoted
        if case and last:
            word = case.split(".")[-1].rstrip("…")
            if not any(word in source for test in tests for source in known[test]):
                missing.append(f"{name}: {case}" if case != quoted else quoted)
    return sorted(set(tests)), missing


def result(test, logs):
    """"passed", "failed", "skipped" or "not run"."""
    files = glob.glob(f"{logs}/{test}/test.xml") + glob.glob(f"{logs}/{test}/shard_*/test.xml")
    if not files:
        return "not run"
    log = "".join(open(f.replace("test.xml", "test.log"), encoding="utf-8", errors="replace").read()
                  for f in files if os.path.exists(f.replace("test.xml", "test.log")))
    for file in files:
        for suite in xml.etree.ElementTree.parse(file).getroot().iter("testsuite"):
            if int(suite.get("failures", 0)) + int(suite.get("errors", 0)) > 0:
                return "failed"
    return "skipped" if re.search(r"^skipped, ", log, re.MULTILINE) else "passed"


def write(lines):
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True,
                            text=True, check=True).stdout.strip()
    with open(os.path.join(ROOT, "docs/faults_results.md"), "w", encoding="utf-8") as out:
        out.write("# Last results of the catalogue\n\n"
                  "What the tests that a row of [faults.md](faults.md) names gave in the last "
                  f"whole run, {datetime.date.today()}, of {commit}. Written by "
                  "`tests/catalogue.py results`.\n\n"
                  "| row | its tests |\n| --- | --- |\n" + "\n".join(lines) + "\n")


def line(name, tests, logs):
    by_result = {}
    for test in tests:
        by_result.setdefault(result(test, logs), []).append(test.split("/")[-1])
    told = [f"{len(by_result['passed'])} passed"] if "passed" in by_result else []
    told += [f"{other}: {', '.join(by_result[other])}"
             for other in ("failed", "skipped", "not run") if other in by_result]
    return f"| {name} | {'; '.join(told) or 'names no test'} |"


def main(words):
    if words and words[0] != "results" or len(words) > 2:
        sys.exit(__doc__)
    logs = words[1] if len(words) > 1 else os.path.join(ROOT, "bazel-testlogs")
    known = targets(sources())
    lines, gone = [], []
    for name, text in rows():
        tests, missing = named(text, known)
        gone += [f"{name}: {what}" for what in missing]
        if words and re.match(r"F\d", name):
            lines.append(line(name, tests, logs))
    if words:
        write(lines)
    for what in gone:
        print(f"no such test: {what}", file=sys.stderr)
    sys.exit(1 if gone else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
