#!/usr/bin/env python3
"""A second reader by README.md in this folder: runs all of vectors.json. It shares no code with the one in Rust."""

import itertools
import json
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).parent


def table(name):
    lines = (FOLDER / name).read_text("ascii").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


ROWS = table("architectures.tsv")
ARCHITECTURES = [" ".join(row[:3]).replace(" -", "").split(" ") for row in ROWS]
DISTRIBUTIONS = table("distributions.tsv")


def rows(kind, distro):
    return [row[2:] for row in DISTRIBUTIONS if row[:2] == [kind, distro]]


def words(rows):
    return [word for row in rows for word in row[0].split(" ")]


# A word of a shell: pieces in quotes and without, then nothing, or a space and perhaps a comment.
WORD = re.compile(rb"""((?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^'"\\ \t])*)([ \t][ \t\n\f\r]*(#.*)?)?""", re.S)
PIECE = re.compile(rb"""'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^'"\\])""", re.S)


def unquote(text):
    word = WORD.fullmatch(text)
    if word is None:
        return None
    escaped = lambda m: m[1] if m[1] in b'$"\\`' else m[0]
    pieces = (re.sub(rb"\\(.)", escaped, m[2], flags=re.S) if m[2] is not None else m[1] or m[3] or m[4] or b""
              for m in PIECE.finditer(word[1]))
    return b"".join(pieces).decode("utf-8", "replace")


def parse(content):
    """The variables of an os-release file; None if it is not one."""
    variables = {}
    for line in content.split(b"\n") if len(content) <= 65536 else []:
        line = re.sub(rb"\r\Z", b"", line).lstrip(b" \t\f\r")
        name, is_assignment, text = line.partition(b"=")
        if is_assignment and b"\0" not in line and re.fullmatch(rb"[A-Za-z_][A-Za-z0-9_]*", name):
            value = unquote(text)
            if value is not None:
                variables[name.decode()] = value
    return variables or None


def lower(text):
    return re.sub("[A-Z]", lambda m: m[0].lower(), text)


def numbers(version):
    if "." not in version:
        return [(version, "VERSION_ID")] if version else []
    return [(version, "VERSION_ID"), (version.rpartition(".")[0], "VERSION_ID without its last number"),
            (version.partition(".")[0], "the first number of VERSION_ID")]


def codenames(os, distro):
    """The codename's version, if it is known, and the codename."""
    variable = {"debian": "DEBIAN_CODENAME", "ubuntu": "UBUNTU_CODENAME"}.get(distro)
    name = os.get(variable) or os.get("VERSION_CODENAME")
    known = [number for codename, number in rows("codename", distro) if codename == name][:1]
    return known, [(version, "the codename") for version in known + [name] if version]


def names(os):
    """The directories that may have the host's kernel, with their reasons, the closest first."""
    result, version, like = {}, os.get("VERSION_ID", ""), re.findall(r"[^ \t\f\r]+", os.get("ID_LIKE", ""))

    def add(distros, reason, versions):
        for distro, (name, of) in itertools.product(distros, versions):
            if all(re.fullmatch("[!-.0-~]{1,255}", part) and part not in (".", "..") for part in (distro, name)):
                result.setdefault(f"{distro}/{name}", f"{reason} and {of}")

    if id := os.get("ID"):
        versions = numbers(version) + codenames(os, lower(id))[1]
        when, of = ("dotted", "VERSION_ID with a dot") if "." in version else ("missing", "no VERSION_ID")
        if when == "dotted" or not version:
            versions += [(name, of) for condition, name in rows("version", lower(id)) if condition == when]
        add([id], "ID", versions)
        add([lower(id)], "ID in lower case", versions)
        add(words(rows("name", lower(id))), "another name of ID", versions)
    for relative in map(lower, like[:16]):
        if {lower(name) for name in [id or ""] + like}.intersection(words(rows("other-kernels", relative))):
            continue
        known, versions = codenames(os, relative)
        if not known:
            platform = re.fullmatch("platform:el(.*)", os.get("PLATFORM_ID", ""), re.S)
            versions = numbers(version) + ([(platform[1], "PLATFORM_ID")] if platform else [])
        add([relative], "ID_LIKE", versions)
        add(words(rows("name", relative)), "another name of ID_LIKE", versions)
    return list(result.items())


def look_up(directories, machine, release, archive, host_id=None, ids={}):
    """The rung and the content that it finds; or why there is none."""
    spellings = [machine] + [name for row in ARCHITECTURES if machine in row for name in row if name != machine]
    here = [kernel for kernel in archive if kernel.split("/")[2:] in [[a, release] for a in spellings]]
    builds = {kernel: host_id.startswith(ids[kernel]) for kernel in here if host_id and kernel in ids}
    names = [f"{directory}/{arch}/{release}" for (directory, _), arch in itertools.product(directories, spellings)]
    for kernel in names + here:
        if builds.get(kernel):
            return ["build-id", archive[kernel]]
    for (directory, reason), arch in itertools.product(directories, spellings):
        if f"{directory}/{arch}/{release}" in archive:
            if f"{directory}/{arch}/{release}" in builds:
                return ["another build"]
            is_exact = (reason, arch) == ("ID and VERSION_ID", machine)
            return ["exact" if is_exact else "normalized", archive[f"{directory}/{arch}/{release}"]]
    if builds:
        return ["another build"]
    here = [archive[kernel] for kernel in here]
    if not here:
        return ["missing"]
    return ["any-distribution", here[0]] if len(set(here)) == 1 and len(here) <= 100 else ["ambiguous"]


def kernel_machine(told, bits, kallsyms, personality):
    """The kernel's machine; None if it is not known."""
    real = [row[1].split(" ")[0] for row in ROWS if row[6] == told]
    address = re.match("[0-9A-Fa-f]*(?= )", kallsyms or "")
    digits = len(address[0]) if address else 0
    if not real or (bits == 32 and digits == 8):
        return told
    if bits == 64 or digits == 16:
        return real[0]
    is_known = re.fullmatch("[0-9A-Fa-f]+\\s*", personality or "")
    return told if is_known and int(personality, 16) & 0xff != 8 else None


def agreed(rows):
    """The answers to facts of several kernels of which a lookup takes any."""
    result = []
    for answers in zip(*(row.split(" ") for row in rows)):
        alternatives = [answer.split(":", 1)[1] for answer in answers]
        if len(set(alternatives)) > 1:
            flat = [one for answer in alternatives for one in answer.removeprefix("ambiguous/").split("/")]
            result.append("0:ambiguous/" + "/".join(dict.fromkeys(flat)))
        else:
            result.append(answers[0])
    return " ".join(result)


def content_of(os_release):
    if "file" in os_release:
        return (FOLDER / "os-release" / os_release["file"]).read_bytes()
    text = bytes.fromhex(os_release["hex"]) if "hex" in os_release else os_release["text"].encode()
    return text * os_release.get("times", 1)


def main():
    vectors = json.loads((FOLDER / "vectors.json").read_text("utf-8"))
    failures = []

    def check(what, found, expected):
        if found != expected:
            failures.append(f"{what}: {found}, not {expected}")

    for text, expected in vectors["values"]:
        check(f"value {text}", unquote(text.encode()), expected)
    for *facts, expected in vectors["machines"]:
        check(f"machine {facts}", kernel_machine(*facts), expected)
    for facts, expected in vectors["facts"]:
        check(f"facts {facts}", agreed(facts), expected)
    for host in vectors["hosts"]:
        what = json.dumps(host["os_release"])
        os = parse(content_of(host["os_release"]))
        check(what, os is None, host["names"] is None)
        found = names(os or {})
        check(what, [f"{name} ({reason})" for name, reason in found], host["names"] or [])
        lookups = [[machine, release, None, archive, {}, *expected]
                   for machine, release, archive, *expected in host.get("lookups", [])]
        for machine, release, host_id, archive, ids, *expected in lookups + host.get("builds", []):
            archive = vectors["archives"].get(archive) if isinstance(archive, str) else archive
            entries = {kernel: kernel for kernel in archive} if isinstance(archive, list) else archive
            check(f"{what} on {machine}", look_up(found, machine, release, entries, host_id, ids), expected)
    print("\n".join(failures) or f"{len(vectors['hosts'])} hosts and {len(vectors['values'])} values are as expected")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
