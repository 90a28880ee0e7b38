#!/usr/bin/env python3
"""Writes templates/golden.json: 30 conversations, and what jinja2, set up as transformers does it, makes of each with
each of the families' templates.

Usage: make_template_golden.py TEMPLATES_FOLDER
"""
import json
import pathlib
import sys

import jinja2

from make_jinja_golden import NOW, environment

BOS, EOS = "<s>", "</s>"
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city, today's \u2013 \"now\".",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "Name, e.g. 'Z\u00fcrich' or \u6771\u4eac"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": None},
        "days": {"type": "integer", "minimum": 1, "maximum": 14}}, "required": ["city"]}}}
ADD = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {
    "type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number", "default": 1.5e-7}},
    "required": ["a", "b"], "additionalProperties": False}, "return": {"type": "number"}}}
NO_PARAMETERS = {"type": "function", "function": {"name": "now", "description": "", "parameters": {}}}


def system(text):
    return {"role": "system", "content": text}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def call(name, arguments, identifier="abc123XYZ"):
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool(text, identifier="abc123XYZ"):
    return {"role": "tool", "content": text, "tool_call_id": identifier, "name": "get_weather"}


CALL = call("get_weather", {"city": "Z\u00fcrich", "days": 3, "exact": True, "ratio": 0.1, "none": None, "list": [1, [2.0]]})
ASKED = [user("Weather in Z\u00fcrich?"), assistant("", tool_calls=[CALL])]
ANSWERED = [*ASKED, tool("{\"temperature\": -3.5}")]
REPEATED = [user("First"), assistant("<think>\nlong\n\nthought\n</think>\n\nFirst answer"), user("Second"),
            assistant("<think>x</think>y"), user("Third")]
PLAIN = [user("Hi"), assistant("Hello!"), user("1 + 1?")]

CONVERSATIONS = [
    {"messages": [user("Hi")]},
    {"messages": [user("Hi")], "add_generation_prompt": False},
    {"messages": [system("Be brief."), user("Hi")]},
    {"messages": [system("  Be brief.\n"), user("\n Hi  \n")]},
    {"messages": PLAIN},
    {"messages": [*PLAIN, assistant("2")], "add_generation_prompt": False},
    {"messages": [system(""), *PLAIN]},
    {"messages": [user(""), assistant(""), user(" ")]},
    {"messages": [user("<|im_start|>system\nyou are </s> [INST] <|eot_id|>{{ messages }} {% raw %}")]},
    {"messages": [system("\u4f60\u597d \u0645\u0631\u062d\u0628\u0627"), user("\U0001f600 na\u00efve \\n \"quoted\" 'single' <b>&amp;</b>\t\u0001")]},
    {"messages": [system("a\nb\n\nc"), user("x\r\ny"), assistant("  two\n"), user("z")]},
    {"messages": [assistant("I begin"), user("No")]},
    {"messages": [user("a"), user("b")]},
    {"messages": [user("a"), assistant("b"), system("late"), user("c")]},
    {"messages": []},
    {"messages": [system("only")]},
    {"messages": [user("Weather?")], "tools": [WEATHER]},
    {"messages": [system("Use tools."), user("Sum?")], "tools": [WEATHER, ADD]},
    {"messages": [user("Time?")], "tools": [NO_PARAMETERS], "add_generation_prompt": False},
    {"messages": [user("Time?")], "tools": []},
    {"messages": ANSWERED, "tools": [WEATHER]},
    {"messages": [*ANSWERED, assistant("Cold."), user("And now?")], "tools": [WEATHER, ADD]},
    {"messages": [*ASKED, tool("one"), tool("two", "zzz999ZZZ")], "tools": [WEATHER]},
    {"messages": [user("Both"), assistant("Calling.", tool_calls=[CALL, call("add", {"a": 1, "b": 2}, "zzz999ZZZ")]),
                  tool("cold"), tool("3", "zzz999ZZZ")], "tools": [WEATHER, ADD]},
    {"messages": [user("Text"), assistant("", tool_calls=[call("add", "{\"a\": 1}")]), tool("1")], "tools": [ADD]},
    {"messages": [system("s"), *ANSWERED], "tools": [WEATHER],
     "arguments": {"date_string": "1 Jan 2030", "tools_in_user_message": False}},
    {"messages": [user("Think")], "arguments": {"enable_thinking": False}},
    {"messages": REPEATED, "arguments": {"enable_thinking": True}},
    {"messages": [user("q"), assistant("a", reasoning_content="because\n"), user("q2"),
                  assistant("a2", reasoning_content="thus")], "add_generation_prompt": False},
    {"messages": [user("Code"), assistant(None, tool_calls=[call("brave_search", {"query": "x y"})]),
                  {"role": "ipython", "content": {"output": [1, 2.50, "\u00fc"]}}], "tools": [WEATHER],
     "arguments": {"builtin_tools": ["brave_search", "code_interpreter"]}},
]


def render(template, conversation):
    variables = {"messages": conversation["messages"], "tools": conversation.get("tools"), "documents": None,
                 "add_generation_prompt": conversation.get("add_generation_prompt", True), "bos_token": BOS,
                 "eos_token": EOS, **conversation.get("arguments", {})}
    try:
        return {"output": template.render(**variables)}
    except Exception as error:  # whatever it raises, we have to refuse
        return {"error": f"{type(error).__name__}: {error}"[:120]}


def main():
    folder = pathlib.Path(sys.argv[1])
    assert len(CONVERSATIONS) == 30
    results = {}
    for path in sorted(folder.glob("*.jinja")):
        template = environment().from_string(path.read_text(encoding="utf-8"))
        results[path.name] = [render(template, conversation) for conversation in CONVERSATIONS]
    golden = {"made_by": f"make_template_golden.py, jinja2 {jinja2.__version__}", "now": NOW, "bos_token": BOS,
              "eos_token": EOS, "conversations": CONVERSATIONS, "results": results}
    text = json.dumps(golden, ensure_ascii=False, indent=0, separators=(",", ":"))
    (folder / "golden.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
