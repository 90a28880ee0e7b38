#!/usr/bin/env python3
"""Writes tokenizer_golden.txt: what the `tokenizers` package makes of each chunk of the corpus.

The tokenizer is built from the GGUF file's own vocabulary and merges. One line a chunk: SHA-256 of
the text, number of ids, SHA-256 of the ids as little-endian int32.

Usage: make_tokenizer_golden.py MODEL.gguf CORPUS OUTPUT     (CORPUS: written by dump_corpus)
"""
import hashlib
import struct
import sys

import tokenizers
from corpus_chunks import chunks
from gguf import GGUFReader
from tokenizers import Tokenizer, models, pre_tokenizers


def build(path):
    fields = GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    return tokenizer


def main():
    model, corpus, output = sys.argv[1:]
    tokenizer = build(model)
    with open(output, "w", encoding="utf-8") as out:
        out.write(f"# make_tokenizer_golden.py, tokenizers {tokenizers.__version__}\n")
        for chunk in chunks(corpus):
            ids = tokenizer.encode(chunk.decode("utf-8")).ids
            digest = hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()
            out.write(f"{hashlib.sha256(chunk).hexdigest()} {len(ids)} {digest}\n")


main()
