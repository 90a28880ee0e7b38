"""A SentencePiece model as a vocabulary-only GGUF file: the same tokens, scores, types and ids. Standard library only.

    python3 scripts/spm_to_gguf.py tokenizer.model OUTPUT.gguf

Formats: sentencepiece_model.proto of google/sentencepiece; GGUF version 3 of ggml's docs/gguf.md. Type numbers of tokens are
the same in both.
"""

import pathlib
import struct
import sys

STRING, FLOAT, INT32, UINT32, BOOL, ARRAY = 8, 6, 5, 4, 7, 9
NORMAL = 1
PIECES, TRAINER = 1, 2  # fields of ModelProto
SPECIAL_IDS = {40: ("unknown", 0), 41: ("bos", 1), 42: ("eos", 2)}  # fields of TrainerSpec, with their defaults


def fields(message):
    """(number, value) of each field of a protobuf message; a message or string is bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = varint()
        if tag & 7 == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(tag & 7) or varint()
            value, at = message[at:at + size], at + size
        yield tag >> 3, value


def read_model(data):
    """(token, score, type) of each piece, and the special ids by name."""
    pieces, ids = [], dict(SPECIAL_IDS.values())
    for number, value in fields(data):
        if number == PIECES:
            piece = dict(fields(value))
            pieces.append((piece[1], struct.unpack("<f", piece.get(2, bytes(4)))[0], piece.get(3, NORMAL)))
        elif number == TRAINER:
            ids |= {SPECIAL_IDS[key][0]: one for key, one in fields(value) if key in SPECIAL_IDS}
    return pieces, ids


def string(data):
    return struct.pack("<Q", len(data)) + data


def array(kind, items):
    return struct.pack("<IQ", kind, len(items)) + b"".join(items)


def to_gguf(data):
    pieces, ids = read_model(data)
    prefix = "tokenizer.ggml."
    entries = [
        ("general.architecture", STRING, string(b"llama")),
        (prefix + "model", STRING, string(b"llama")),
        (prefix + "tokens", ARRAY, array(STRING, [string(token) for token, _, _ in pieces])),
        (prefix + "scores", ARRAY, array(FLOAT, [struct.pack("<f", score) for _, score, _ in pieces])),
        (prefix + "token_type", ARRAY, array(INT32, [struct.pack("<i", kind) for _, _, kind in pieces])),
        *((f"{prefix}{name}_token_id", UINT32, struct.pack("<I", one)) for name, one in sorted(ids.items())),
        (prefix + "add_bos_token", BOOL, b"\1"),
        (prefix + "add_eos_token", BOOL, b"\0"),
    ]
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries))
    return head + b"".join(string(key.encode()) + struct.pack("<I", kind) + value for key, kind, value in entries)


if __name__ == "__main__":
    pathlib.Path(sys.argv[2]).write_bytes(to_gguf(pathlib.Path(sys.argv[1]).read_bytes()))
