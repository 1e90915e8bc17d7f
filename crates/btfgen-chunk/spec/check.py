#!/usr/bin/env python3
"""Reads a chunk by the rules of README.md, and writes its BTFs to a folder: check.py CHUNK FOLDER.

Written for checking the specification, not for speed. It needs the command zstd. It checks neither checksums nor limits; whoever
calls it compares the BTFs.
"""

import os
import struct
import subprocess
import sys
import tempfile

# Once, and for each member: letters and columns of the table "Records".
SHAPES = {
    1: ("N4 N4", ""),
    3: ("N4 T5 T5 N4", ""),
    6: ("N4", "S12 D13"),
    12: ("T6", ""),
    13: ("T7", "S8 T8"),
    15: ("N4", "T14 N15 N15"),
    19: ("N4", "S12 D13 N13"),
}
SHAPES.update({kind: ("T5", "") for kind in (2, 8, 9, 10, 11, 18)})
SHAPES.update({kind: ("N4", "S9 T10 D11") for kind in (4, 5)})
SHAPES.update({kind: ("N4", "") for kind in (7, 16)})
SHAPES.update({kind: ("T5 N4", "") for kind in (14, 17)})
SHAPES = {
    kind: tuple([(field[0], int(field[1:])) for field in part.split()] for part in parts)
    for kind, parts in SHAPES.items()
}


class Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        self.at += length
        assert self.at <= len(self.data)
        return self.data[self.at - length : self.at]

    def fixed(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def ends(self):
        return self.at == len(self.data)

    def number(self):
        number = shift = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    def difference(self, start):
        return (start + unzigzag(self.number())) & 0xFFFFFFFF

    def runs(self, count):
        numbers, end = [], 0
        while len(numbers) < count:
            first = self.difference(end)
            end = first + self.number()
            numbers += range(first, end)
        assert len(numbers) == count
        return numbers


def unzigzag(number):
    return -(number + 1 >> 1) if number & 1 else number >> 1


def content(section, stored, base=b""):
    if section[0] == len(stored):
        return stored
    command = ["zstd", "-dcq"]
    with tempfile.NamedTemporaryFile() as prefix:
        if base:
            prefix.write(base)
            prefix.flush()
            command.append("--patch-from=" + prefix.name)
        done = subprocess.run(command, input=stored, stdout=subprocess.PIPE, check=True)
    assert len(done.stdout) == section[0]
    return done.stdout


def read_names(prefixes, rest):
    names = [b""]
    rests = rest.split(b"\0")
    assert rests.pop() == b"" and len(rests) == len(prefixes)
    for prefix, rest in zip(prefixes, rests):
        names.append(names[-1][:prefix] + rest)
    return names


def read_labels(column):
    labels, new = [], 1
    while not column.ends():
        ago = column.number()
        labels.append(new - ago)
        new += ago == 0
    return labels


def read_records(columns, labels):
    """Lists of (letter, word), with the info word as a number."""
    records, next_name = [], 1
    for label in labels:
        byte = columns[0].take(1)[0]
        own, each = SHAPES[byte & 0x7F]
        count = columns[1].number() if each else 0
        if byte & 0x7F == 12:
            count = columns[18].number()
        record, before = [], 0
        for letter, column in [("S", 3)] + own + each * (count if each else 0):
            column = columns[column]
            if letter == "N":
                word = column.number()
            elif letter == "D":
                word = before = column.difference(before)
            elif letter == "S":
                word = column.number() - 1
                if word < 0:
                    word, next_name = next_name, next_name + 1
            else:
                word = column.number()
                if word >= 64:
                    word -= 64
                elif word:
                    word = label + unzigzag(word - 1)
            record.append((letter, word))
        record.insert(1, ("N", byte << 24 | count))
        records.append(record)
    assert all(column.ends() for column in columns[:16] + columns[18:])
    return records


def restore(part, names, labels, records):
    outside = [part.take(part.number()) for _ in range(3)]
    types = part.runs(part.number())
    unused = [part.number() for _ in range(part.number())]
    choices = Bytes(part.take(part.number()))
    occurrences = {}
    for type_id, record in enumerate(types, 1):
        occurrences.setdefault(labels[record], []).append(type_id)
    last, same = {}, None if choices.ends() else choices.number()
    words, ranked = [], {0: None}
    for record in types:
        for letter, word in records[record]:
            if letter == "S":
                ranked.setdefault(word)
            elif letter == "T" and word:
                label = word
                if len(occurrences[label]) > 1:
                    if same == 0:
                        last[label] = choices.difference(last.get(label, 0))
                        same = None if choices.ends() else choices.number()
                    elif same is not None:
                        same -= 1
                word = occurrences[label][last.get(label, 0)]
            words.append((letter, word))
    for name in unused:
        ranked.setdefault(name)
    ranked, strings, offsets = list(ranked), b"", {}
    for rank in part.runs(len(ranked)):
        offsets[ranked[rank]] = len(strings)
        strings += names[ranked[rank]] + b"\0"
    assert part.ends()
    words = [offsets[word] if letter == "S" else word for letter, word in words]
    order = ">" if outside[0].startswith(b"\xeb\x9f") else "<"
    types = struct.pack(f"{order}{len(words)}I", *words)
    return outside[0] + types + outside[1] + strings + outside[2]


def main():
    with open(sys.argv[1], "rb") as file:
        file = Bytes(file.read())
    magic, version, length, index_length, _ = file.fixed("4sIQQQ")
    assert magic == b"btfs" and version == 1 and length == len(file.data)
    index = Bytes(file.take(index_length))
    sections = [index.fixed("IIQ") for _ in range(19)]
    kernels = []
    for _ in range(index.fixed("I")[0]):
        release = index.take(index.fixed("H")[0]).decode()
        kernels.append((release, *index.fixed("Q16sI"), index.fixed("IIQ")))
    assert index.ends()

    columns = [content(section, file.take(section[1])) for section in sections]
    names = read_names(columns[16], columns[17])
    columns = [Bytes(column) for column in columns]
    labels = read_labels(columns[2])
    records = read_records(columns, labels)
    parts = []
    for release, btf_length, _, form, section in kernels:
        base = parts[form - 2] if form > 1 else b""
        parts.append(content(section, file.take(section[1]), base))
        btf = parts[-1] if form == 0 else restore(Bytes(parts[-1]), names, labels, records)
        assert len(btf) == btf_length
        with open(os.path.join(sys.argv[2], release + ".btf"), "xb") as out:
            out.write(btf)
    assert file.ends()


main()
