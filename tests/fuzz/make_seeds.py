#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets that read text: tokenizer_json, chat_template, json, request, http.

    python3 tests/fuzz/make_seeds.py     # into tests/fuzz/seeds, from the files of the unit tests and the lists below

Files there whose names begin with "found_" are inputs that once showed a fault; nothing writes or removes them. The seeds
of the binary formats and of config.json are made by write_binary_seeds.cc. Standard library only.
"""

import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEEDS = ROOT / "tests/fuzz/seeds"
TEXT = ROOT / "tests/unit/engine/text"
MERGES_KEPT = 12
CASES_BYTES = 300  # of golden Jinja cases that share one seed

JSON = ['{"a": 1, "b": [1.5, -2e3, true, null], "c": {"d": "\\u00e9\\n\\ud83d\\ude00"}}', "[[[[[[1]]]]]]", "1e400",
        '{"k": 9, "l": [1, 2, 9], "m": ["a", "b"], "n": -0.0}', '{"a": 1, "\\u0061": 2}', '"\\ud800"', " \t\r\n[] ",
        '{"a": {"a": {"a": {"a": {"a": {}}}}}}', "18446744073709551616", "[" + "0," * 300 + "0]",
        "{" + ",".join(f'"k{i}":{i}' for i in range(32)) + "}", '{"\\u0000": "\\u001b[2J\\r\\n"}']
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
COMPLETION = {"model": "m", "prompt": "Hi", "max_tokens": 4}
CALL = {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
REQUESTS = [
    CHAT, COMPLETION, {**COMPLETION, "prompt": [1, 2, 3]},
    {**CHAT, "temperature": 0.5, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "seed": 7, "n": 2, "stream": True,
     "stream_options": {"include_usage": True}, "logprobs": True, "top_logprobs": 3},
    {**COMPLETION, "logprobs": 2, "stop": ["a", "b"], "echo": True, "min_tokens": 1, "ignore_eos": True,
     "stop_token_ids": [3], "include_stop_str_in_output": True, "return_token_ids": True, "cache_salt": "s"},
    {**CHAT, "frequency_penalty": 1, "presence_penalty": -1, "repetition_penalty": 1.1, "logit_bias": {"5": -100},
     "allowed_token_ids": [1, 2], "bad_words": ["x"], "max_completion_tokens": 9, "stop": "z"},
    {**CHAT, "messages": [{"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                          {"role": "assistant", "content": None, "tool_calls": [CALL]},
                          {"role": "tool", "content": "1", "tool_call_id": "x"}], "tools": [], "tool_choice": "none"},
    {**CHAT, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
    {**CHAT, "response_format": {"type": "json_object"}, "functions": [], "user": "u", "metadata": {"a": "b"}},
]
HEADS = [
    "GET /health HTTP/1.1\r\nHost: a\r\n\r\n", "GET /v1/models?x=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "POST /v1/completions HTTP/1.1\r\nHost: a:8080\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    "POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5\r\nhello\r\nA\r\n, world...\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: abc-1\r\nAccept: text/event-stream\r\n folded\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


def write(target, contents):
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if not old.name.startswith("found_"):
            old.unlink()
    for number, content in enumerate(contents):
        (folder / f"{number:02}").write_bytes(content)


def small_tokenizer(path):
    """The file with its first merges only, and its ids closed up again."""
    document = json.loads(path.read_text(encoding="utf-8"))
    model = document["model"]
    merges = model["merges"][:MERGES_KEPT]
    dropped = {"".join(pair) for pair in model["merges"]} - {"".join(pair) for pair in merges}
    added = {token["content"] for token in document["added_tokens"]}
    names = sorted(model["vocab"], key=model["vocab"].get)
    kept = [name for name in names if name not in dropped or name in added]
    ids = {name: i for i, name in enumerate(kept)}
    for token in document["added_tokens"]:
        token["id"] = ids.setdefault(token["content"], len(ids))
    model["vocab"] = {name: ids[name] for name in kept}
    model["merges"] = merges
    for processor in [document["post_processor"] or {}, *(document["post_processor"] or {}).get("processors", [])]:
        for name, token in processor.get("special_tokens", {}).items():
            token["ids"] = [ids[name]]
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def jinja_seeds():
    golden = json.loads((TEXT / "jinja_golden.json").read_text(encoding="utf-8"))
    out, part = [], ""
    for template in sorted({case["template"] for case in golden["cases"] if "output" in case}):
        part += template
        if len(part) >= CASES_BYTES:
            out.append(part.encode())
            part = ""
    return [path.read_bytes() for path in sorted((TEXT / "templates").glob("*.jinja"))] + out


def main():
    write("tokenizer_json_fuzz", [small_tokenizer(path) for path in sorted((TEXT / "families").glob("*.tokenizer.json"))])
    write("chat_template_fuzz", jinja_seeds())
    write("json_fuzz", [text.encode() for text in JSON])
    write("request_fuzz", [json.dumps(body).encode() for body in REQUESTS])
    write("http_fuzz", [text.encode("latin-1") for text in HEADS])


if __name__ == "__main__":
    main()
