#!/usr/bin/env python3
"""Trains the small tokenizers of this folder: each has the settings of one family's tokenizer.json.

The text is that of corpus.cc beside this folder (code, and six groups of scripts), so a vocabulary has about a thousand
tokens. The two `flags` files set every flag of added tokens that tokenizer.json knows.

Usage: train.py CORPUS_CC OUTPUT_FOLDER
"""
import json
import pathlib
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTES = [f"<0x{b:02X}>" for b in range(256)]
FLAGS = [AddedToken("<left>", lstrip=True, normalized=False), AddedToken("<right>", rstrip=True, normalized=False),
         AddedToken("<both>", lstrip=True, rstrip=True, normalized=False),
         AddedToken("word", single_word=True, normalized=False), AddedToken("<plain>", normalized=True),
         AddedToken("two words", normalized=True), AddedToken("<\u00e9>", normalized=True, lstrip=True)]
TOOLS = [AddedToken(name, normalized=False) for name in ("<tool_call>", "</tool_call>", "<think>", "</think>")]


def special(names):
    return [AddedToken(name, special=True, normalized=False) for name in names]


def bos(tokenizer, name):
    return processors.TemplateProcessing(single=f"{name}:0 $A:0", pair=f"{name}:0 $A:0 {name}:1 $B:1",
                                         special_tokens=[(name, tokenizer.token_to_id(name))])


def byte_level(lines, pattern, names, added=(), ignore_merges=False, nfc=False, digits=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    parts = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    if pattern is not None:
        parts.append(pre_tokenizers.Split(Regex(pattern), "isolated"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts + [level]) if parts else level
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=1000, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.add_special_tokens(special(names))
    tokenizer.add_tokens(list(added))
    return tokenizer


def by_characters(lines, names, added=(), metaspace=None):
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if metaspace is None:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    else:
        tokenizer.pre_tokenizer = metaspace
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    names = ["<unk>", "<s>", "</s>", *names]
    trainer = trainers.BpeTrainer(vocab_size=1000, show_progress=False, limit_alphabet=120, max_token_length=16,
                                  special_tokens=special(names) + special(BYTES))
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = bos(tokenizer, "<s>")
    tokenizer.add_tokens(list(added))
    return tokenizer


def write(tokenizer, path):
    """The bytes of the fallback are no added tokens, as in the real files."""
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = [t for t in document["added_tokens"] if t["content"] not in BYTES]
    path.write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def main():
    source, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    lines = pathlib.Path(source).read_text(encoding="utf-8").split("\n")
    llama3 = byte_level(lines, PATTERN.replace("DIGITS", "{1,3}"),
                        ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|eot_id|>"], ignore_merges=True)
    llama3.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), bos(llama3, "<|begin_of_text|>")])
    first = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first", split=False)
    always = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always", split=True)
    chat = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizers = {
        "llama3": llama3,
        "qwen2": byte_level(lines, PATTERN.replace("DIGITS", ""), chat, TOOLS, nfc=True),
        "gpt2-flags": byte_level(lines, None, ["<|endoftext|>"], FLAGS),
        "smollm": byte_level(lines, None, chat, digits=True),
        "llama2": by_characters(lines, []),
        "llama2-flags": by_characters(lines, [], FLAGS),
        "mistral": by_characters(lines, ["[INST]", "[/INST]", "[TOOL_CALLS]"], metaspace=first),
        "metaspace-flags": by_characters(lines, [], FLAGS, metaspace=always),
    }
    for name, tokenizer in tokenizers.items():
        write(tokenizer, folder / f"{name}.tokenizer.json")


main()
