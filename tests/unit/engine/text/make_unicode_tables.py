#!/usr/bin/env python3
"""Writes engine/text/unicode_tables.cc: the character classes that the `tokenizers` package uses.

Each code point is put through the package itself, so the tables agree with it whatever Unicode
version its regex engine and its standard library carry.

Usage: make_unicode_tables.py OUTPUT
"""
import sys

import tokenizers
from tokenizers import Regex, pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def regex_class(pattern):
    splitter = pre_tokenizers.Split(Regex(pattern), "removed")
    found = []
    for i in range(0, len(CODE_POINTS), 4096):
        part = CODE_POINTS[i:i + 4096]
        kept = set("".join(x for x, _ in splitter.pre_tokenize_str("".join(map(chr, part)))))
        found += [c for c in part if chr(c) not in kept]
    return found


def digit_class():
    digits = pre_tokenizers.Digits(individual_digits=True)
    return [c for c in CODE_POINTS if len(digits.pre_tokenize_str("a" + chr(c) + "a")) == 3]


def ranges(points):
    result = []
    for c in points:
        if result and result[-1][1] == c - 1:
            result[-1][1] = c
        else:
            result.append([c, c])
    return result


def table(name, points):
    items = [f"{{0x{a:x}, 0x{b:x}}}" for a, b in ranges(points)]
    lines, line = [], ""
    for item in items:
        if len(line) + len(item) + 2 > 96:
            lines.append(line)
            line = ""
        line += (" " if line else "    ") + item + ","
    lines.append(line)
    body = "\n".join(lines)
    return f"constexpr CodePointRange {name}Table[] = {{\n{body}\n}};\n", name


def main():
    parts = [table("kLetter", regex_class(r"\p{L}")), table("kNumber", regex_class(r"\p{N}")),
             table("kSpace", regex_class(r"\s")), table("kDigit", digit_class())]
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write("// Made by tests/unit/engine/text/make_unicode_tables.py with tokenizers "
                  f"{tokenizers.__version__}; do not edit.\n// clang-format off\n"
                  '#include "engine/text/unicode_classes.h"\n\n'
                  "namespace intactkv::unicode {\n\nnamespace {\n\n")
        out.write("\n".join(text for text, _ in parts))
        out.write("\n}  // namespace\n\n")
        for _, name in parts:
            out.write(f"const std::span<const CodePointRange> {name}Ranges({name}Table);\n")
        out.write("\n}  // namespace intactkv::unicode\n")


main()
