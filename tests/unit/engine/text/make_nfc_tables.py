#!/usr/bin/env python3
"""Writes engine/text/nfc_tables.cc: canonical decompositions and combining classes.

The data is Python's unicodedata, less what the NFC and NFD of the `tokenizers` package do not know: its Unicode version
is older, and normalization of a character never changes once it is assigned.

Usage: make_nfc_tables.py OUTPUT
"""
import sys
import unicodedata

import tokenizers
from tokenizers import normalizers

NFC, NFD = normalizers.NFC(), normalizers.NFD()
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and not 0xAC00 <= c < 0xD7A4]
YPOGEGRAMMENI = "\u0345"  # combining class 240: the greatest


def canonical(c):
    field = unicodedata.decomposition(chr(c))
    return [int(x, 16) for x in field.split()] if field and not field.startswith("<") else []


def knows_class(c):
    """Whether the package sorts `c` as a combining mark."""
    if chr(c) == YPOGEGRAMMENI:
        return True
    return NFD.normalize_str("a" + YPOGEGRAMMENI + chr(c)) != "a" + YPOGEGRAMMENI + chr(c)


def tables():
    singletons, pairs, one_way, classes = [], [], [], []
    for c in CODE_POINTS:
        parts = canonical(c)
        if NFD.normalize_str(chr(c)) == chr(c):
            parts = []
        if len(parts) == 1:
            singletons.append((c, *parts))
        elif parts:
            composes = NFC.normalize_str(chr(parts[0]) + chr(parts[1])) == chr(c)
            (pairs if composes else one_way).append((c, *parts))
        combining = unicodedata.combining(chr(c))
        if combining and knows_class(c):
            if classes and classes[-1][1] == c - 1 and classes[-1][2] == combining:
                classes[-1] = (classes[-1][0], c, combining)
            else:
                classes.append((c, c, combining))
    return singletons, pairs, one_way, classes


def write_table(out, row_type, name, rows, decimal_last=False):
    items = []
    for row in rows:
        numbers = [f"0x{v:x}" for v in row]
        if decimal_last:
            numbers[-1] = str(row[-1])
        items.append("{" + ",".join(numbers) + "},")
    out.write(f"constexpr {row_type} {name}Table[] = {{\n")
    line = "   "
    for item in items:
        if len(line) + len(item) + 1 > 130:
            out.write(line + "\n")
            line = "   "
        line += " " + item
    out.write(line + "\n};\n\n")


def main():
    singletons, pairs, one_way, classes = tables()
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write("// Made by tests/unit/engine/text/make_nfc_tables.py with tokenizers "
                  f"{tokenizers.__version__} and Unicode {unicodedata.unidata_version}; do not edit.\n"
                  "// clang-format off\n"
                  '#include "engine/text/nfc.h"\n\nnamespace intactkv::unicode {\n\nnamespace {\n\n')
        write_table(out, "Singleton", "kSingleton", singletons)
        write_table(out, "CanonicalPair", "kPair", pairs)
        write_table(out, "CanonicalPair", "kDecomposedPair", one_way)
        write_table(out, "CombiningClassRange", "kCombiningClass", classes, decimal_last=True)
        out.write("}  // namespace\n\n"
                  "const std::span<const Singleton> kSingletons(kSingletonTable);\n"
                  "const std::span<const CanonicalPair> kPairs(kPairTable);\n"
                  "const std::span<const CanonicalPair> kDecomposedPairs(kDecomposedPairTable);\n"
                  "const std::span<const CombiningClassRange> kCombiningClasses(kCombiningClassTable);\n\n"
                  "}  // namespace intactkv::unicode\n")


main()
