#!/usr/bin/env python3
"""Writes jinja_golden.json: what jinja2, set up as transformers does it, makes of each case.

Usage: make_jinja_golden.py OUTPUT
"""
import datetime
import json
import sys

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = 1722384000  # 31 Jul 2024


class Generation(Extension):
    """transformers' {% generation %} without its bookkeeping."""
    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=lineno)


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    def strftime_now(format):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(format)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


CHAT = [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi <b> 'x' \"y\"\n"},
        {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "1 + 1?"}]
CONTEXT = {
    "messages": CHAT, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>",
    "tools": None, "text": "  Grüße, 你好 \U0001f600! it's\ta (test) of-words\n", "empty": "", "n": 7,
    "x": 2.5, "yes": True, "nothing": None, "numbers": [3, 1, 2, 3], "nested": {"a": {"b": [1, 2.0]},
    "k": "v", "items": "shadowed"}, "words": ["b", "A", "c", "a"], "lines": "one\n two\n\nthree",
}

CHATML = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nDefault<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

HEADERS = """{{- bos_token }}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}

{#- The system message becomes a slot of its own. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start|>system<|end|>\\n\\n" }}
{{- "Today: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start|>' + message['role'] + '<|end|>\\n\\n'+ message['content'] | trim + '<|eot|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("one tool call at a time") }}
        {%- endif %}
        {{- message.tool_calls[0].function | tojson }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant<|end|>\\n\\n' }}
{%- endif %}
"""

ALTERNATE = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("only user and assistant roles") }}
    {%- endif %}
{%- endfor %}
"""

THINK = """{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- generation %}
        {%- if loop.index0 > ns.last_query_index %}
            {{- '<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- content }}
        {%- endif %}
        {%- endgeneration %}
    {%- else %}
        {{- '[' ~ message.role ~ ' ' ~ loop.index ~ '/' ~ loop.length ~ ']' ~ content }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<assistant>\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

TOOLS = """{%- macro render(item, level=0) -%}
{%- if item is mapping -%}
{%- for key, value in item|items -%}{{ '  ' * level }}{{ key|upper }}: {{ render(value, level + 1) }}
{% endfor -%}
{%- elif item is iterable and item is not string -%}
{%- for v in item -%}{{ render(v, level=level) }}{{ ", " if not loop.last }}{%- endfor -%}
{%- else -%}{{ item }}{%- endif -%}
{%- endmacro -%}
{%- set tool_list = [{'name': 'f', 'args': ['a', {'type': 'int', 'opt': none}]}, {'name': 'g', 'args': []}] -%}
{% for tool in tool_list %}
{{ tool | tojson(indent=2) }}
{{ render(tool) }}
{% endfor %}
"""

THOUGHTS = [{"role": "user", "content": "q"},
            {"role": "assistant", "content": "<think>\nhm\n</think>\n\nA"},
            {"role": "user", "content": "r"},
            {"role": "assistant", "content": "<think>x</think>B"}]

EXPRESSIONS = r"""
1 + 2 * 3 - 4 // 3 % 2|
-7 // 2 ~ ' ' ~ -7 % 3 ~ ' ' ~ 7 / 2 ~ ' ' ~ 2 ** 10|
1e3 ~ ' ' ~ 0.1 ~ ' ' ~ 1e-7 ~ ' ' ~ 1e22 ~ ' ' ~ -0.5|
x * 2|
n > 3 and n < 10 or false|
1 < 2 < 3|
1 < 3 > 2 == true|
not n == 7|
not nothing and not empty|
empty or nothing or 'last'|
'a' if n == 7 else 'b'|
'a' if n == 8|
('a' if n == 8) is defined|
'ell' in 'hello' and 'z' not in 'hello'|
3 in numbers and 'role' in messages[0]|
'x' in undefined_thing|
undefined_thing|
undefined_thing.attribute|
undefined_thing + 'x'|
undefined_thing is defined|
strftime_now is defined and namespace is defined and range is defined|
raise_exception is callable|
range == range and range != dict|
(range if n else dict)(3)|list|
undefined_thing(3)|
undefined_thing is undefined and nothing is not defined|
messages[9]|
messages[9].role|
messages[-1].role ~ messages[-1]['content']|
messages[0].missing is defined|
messages[0].missing is none|
nested.a.b[1] ~ nested['k'] ~ nested.get('zz') ~ nested.get('zz', 'd')|
nested['items'] is string|
nested.items()|list|length|
nested.keys()|list|
nested.values()|list|
text[2:7] ~ '|' ~ text[-6:] ~ '|' ~ text[::-1] ~ '|' ~ text[3]|
numbers[1:] ~ numbers[:-1] ~ numbers[::2] ~ numbers[5:] ~ numbers[::-1]|
numbers[-9:2] ~ text[100:] ~ 'abc'[3:0:-1] ~ 'abc'[-1]|
'abc'[5] is defined|
text|length|
text.strip()|
text.lstrip() ~ '|' ~ text.rstrip() ~ '|'|
'xxaxx'.strip('x') ~ 'xyay'.rstrip('xy') ~ 'aab'.lstrip('a')|
text|trim|upper|
text|lower|
text|title|
text.title()|
text.strip()|capitalize|
"it's a they're".title() ~ "it's they're"|title|
'éCOLE ǆ'|capitalize|
text.split()|
'a,b,,c'.split(',')|
'a,b,,c'.split(',', 1)|
' a  b c '.split(none, 1)|
'a b'.split(' ')[-1]|
lines.splitlines()|
'hello'.startswith('he') ~ 'hello'.endswith(('x', 'lo'))|
'hello'.replace('l', 'LL') ~ 'hello'.replace('l', '', 1)|
'hello'|replace('l', 'L', 1)|
'hello'.find('l') ~ 'hello'.find('z') ~ 'hello'.count('l')|
'-'.join(words)|
'abc'.removeprefix('a').removesuffix('c')|
numbers|join(', ')|
messages|join('; ', attribute='role')|
messages|map(attribute='role')|join(',')|
words|map('upper')|list|
messages|selectattr('role', 'equalto', 'user')|list|length|
messages|rejectattr('role', '==', 'user')|map(attribute='role')|list|
messages|selectattr('content')|list|length|
nothing|selectattr('type', 'equalto', 'x')|list|length|
nothing|reject|list|
0|map('upper')|list|
n|map('upper')|list|
numbers|select('odd')|list|
numbers|reject('gt', 2)|list|
numbers|first ~ numbers|last ~ 'abc'|first|
[]|first is defined|
numbers|sort ~ words|sort ~ words|sort(reverse=true)|
messages|sort(attribute='role')|map(attribute='role')|list|
numbers|unique|list|
words|reverse|list ~ 'abc'|reverse|
nested|dictsort|
'abc'|list|
nested|tojson|
messages[1]|tojson|
numbers|tojson(indent=4)|
{'a': [], 'b': {}, 'c': [1, {'d': none}], 'é': true}|tojson(indent=2)|
{'b': 1, 'a': 2.0}|tojson(sort_keys=true)|
"\u0001 \x7f / \\ \" é 😀"|tojson|
undefined_thing|tojson|
nothing|default('d') ~ nothing|default('d', true) ~ undefined_thing|default('e') ~ empty|d('f', true)|
undefined_thing|default|
'12'|int + 1 ~ ' ' ~ 'x'|int ~ ' ' ~ 'x'|int(5) ~ ' ' ~ 3.9|int ~ ' ' ~ ' -4 '|int ~ ' ' ~ '2.7'|int|
'2.5'|float ~ ' ' ~ 3|float ~ ' ' ~ 'x'|float|
-3|abs|
5|string ~ nothing|string ~ yes|string|
'<b>'|safe|
lines|indent|
lines|indent(2, true)|
lines|indent(2, blank=true)|
lines|indent('> ')|
nested|items|list|
range(3)|list ~ range(1, 8, 3)|list ~ range(3, 0, -1)|list|
dict(a=1, b='x')|
[1, 'two', none, true, 2.0, ['it\'s', "q\"", "n\n"], (1,), (), {'k': 1}]|
n is number ~ n is integer ~ x is float ~ yes is boolean ~ yes is number ~ yes is integer ~ 'a' is number|
text is string ~ nested is mapping ~ numbers is iterable ~ numbers is sequence ~ nested is sequence ~ n is iterable|
n is odd ~ n is even ~ n is divisibleby(7) ~ n is divisibleby 3|
n is eq 7 ~ n is gt(3) ~ n is lessthan 3 ~ 'a' is in ['a'] ~ yes is true ~ yes is false ~ nothing is false|
'ABC' is upper ~ 'abc' is lower ~ '1' is upper|
nothing is none ~ nothing is not none|
'a' < 'b' ~ 'Z' < 'a' ~ [1, 2] < [1, 3]|
1 == 1.0 ~ true == 1 ~ '1' == 1 ~ [1] == [1.0] ~ {'a': 1} == {'a': 1.0} ~ none == false|
'a' < 1|
'a' + 1|
1 + none|
'a' ~ 1 ~ none ~ 2.0 ~ true|
'ab' * 3 ~ 0 * 'x'|
[1] + [2, 3]|
1 / 0|
1 % 0|
'con' 'cat' "ed"|
'\t\x41\u00e9\'\"\\|\q\101'|
{'a': 1, 'a': 2}|
{'a': {'b': [1, 2, {'c': 3}]}}.a.b[2].c|
(1, 2)[1] ~ (n) ~ (n,)|
strftime_now('%Y-%m-%d %H:%M')|
raise_exception('no')|
no_such_function()|
n()|
'x'.no_such_method()|
numbers.append(4)|
''.__class__|
''.__class__.__mro__|
messages.__len__()|
range(3).__iter__()|
(messages|length) - 1|
messages|length - 1|
-n|abs|
2 * n|string|
'a b'|upper ~ 'c'|
loop is defined|
namespace(a=1).a|
none|length|
5|length|
""".strip().split("\n")

STATEMENTS = [
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n\n",
    "a \n {%- if true -%} \n b \n {%- endif -%} \n c\n",
    "  {%+ if true %}x{% endif +%}\ny  {{- ' z ' -}}  \n w",
    "x {# c #} y\n  {# line #}\nz {#- d -#} w{# {{ not }} {% parsed %} #}",
    "{{ '{{' }} {{ \"%}\" }} {% raw %} {{ x }} {% y %}\n{% endraw %} {%- raw -%} q {%- endraw %}.",
    "\n\n{% if true %}\n\nx{% endif %}\n\n",
    "{{ {'a': {'b': 1}}['a']['b'] }}}}",
    "line\r\n  {% if true %}\r\nx{% endif %}\rend\r\n",
    "{% for i in numbers %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.previtem }}|{{ loop.nextitem }};{% endfor %}",
    "{% for i in [] %}x{% else %}none{% endfor %}{% for i in [1] %}{% break %}{% else %}no{% endfor %}",
    "{% for i in [1, 2] %}{% if i == 2 %}{% break %}{% endif %}{% else %}no{% endfor %}{% for i in [1] %}{% continue %}{% else %}yes{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in numbers if i > 1 %}{{ i }}:{{ loop.index }}/{{ loop.length }} {% endfor %}",
    "{% for k, v in nested.items() %}{{ k }}={{ v }};{% endfor %}{% for k in nested %}{{ k }}{% endfor %}",
    "{% for a, b in [(1, 2), [3, 4]] %}{{ a + b }} {% endfor %}{% for c in 'añ😀' %}[{{ c }}]{% endfor %}",
    "{% for i in [1,2] %}{% for j in [1,2] %}{{ loop.depth }}{{ loop.cycle('a','b') }}{{ i }}{{ j }} {% endfor %}{{ loop.index }}{% endfor %}",
    "{% set a = 1 %}{% for i in [1,2] %}{{ a }}{% set a = a + i %}{{ a }}{% endfor %}{{ a }}",
    "{% set ns = namespace(a=1, b='x') %}{% for i in [1,2] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c is defined }}",
    "{% if true %}{% set q = 5 %}{% endif %}{{ q }}{% if false %}{% set r = 5 %}{% endif %}{{ r is defined }}",
    "{% set a, b = [1, 2] %}{{ a }}{{ b }}",
    "{% set a, b = [1, 2, 3] %}",
    "{% set t %} caught {{ n }} {% endset %}[{{ t|trim }}]{% set u | upper | trim %} up {% endset %}[{{ u }}]",
    "{% macro m(a, b='d', c=n) %}<{{ a }}{{ b }}{{ c }}>{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=3, a=4) }}{{ m() }}",
    "{% macro f(k) %}{% if k > 0 %}{{ k }}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}",
    "{% if n == 1 %}a{% elif n == 7 %}b{% elif n == 7 %}c{% else %}d{% endif %}",
    "{% for i in none %}{% endfor %}",
    "{% for i in undefined_thing %}x{% endfor %}ok",
    "{% for i in 5 %}{% endfor %}",
    "{% if undefined_thing %}x{% else %}y{% endif %}",
    "{% set messages = messages[1:] %}{{ messages|length }}",
    "{% set ns.a = 1 %}",
    "{% set s = 'a\\\nb' + n|string + '.\\\n\\\nc' %}{{ s }}",
    "{% for k, v in nested.items() if k != 'k' %}{{ k }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% set l = [] %}{% for m in messages %}{% set l = l + [m] %}{% endfor %}{{ l|length }}{{ messages[0] == messages[:1][-1] }}",
    "{% if m is not defined and not messages[0].get('tool_calls') -%}\n  {%- set ns = namespace(last=-1) %}{% set a = nothing or {} %}{{ ns.last }}{{ a }}{{ messages[ns.last].role }}\n{%- endif -%}\n x",
    "{{ v | tojson(ensure_ascii=False) if v is not string else v }}{{ n | tojson if n is not string else n }}",
    "{%- for m in messages -%}{{- m.role ~ ': ' ~ (m.content | trim) -}}\n{%- if not loop.last %}\n---\n{% endif -%}{%- endfor -%}",
    "{% if %}", "{% endfor %}", "{% if x %}", "{{ 1 + }}", "{{ x", "{% for in y %}{% endfor %}",
    "{{ 'a' 1 }}", "{{ (1 }}", "{{ 1 ) }}", "{# open", "{{ x|no_such_filter }}", "{{ x is no_such_test }}",
    "{{ a..b }}", "{{ 'open }}", "{% break %}", "{{ f(a=1, 2) }}", "{% unknown_tag %}", "",
]


def cases():
    yield "chatml", CHATML, CONTEXT
    yield "chatml-no-system", CHATML, {**CONTEXT, "messages": CHAT[1:]}
    for messages in (CHAT, CHAT[1:], [CHAT[1], {"role": "a", "tool_calls": [{"function": {"n": 1}}]}],
                     [CHAT[1], {"role": "a", "tool_calls": []}]):
        yield "headers", HEADERS, {**CONTEXT, "messages": messages}
    for messages in (CHAT, CHAT[1:], CHAT[2:], CHAT[1:] + CHAT[:1]):
        yield "alternate", ALTERNATE, {**CONTEXT, "messages": messages}
    yield "think", THINK, {**CONTEXT, "messages": THOUGHTS}
    yield "think-off", THINK, {**CONTEXT, "messages": THOUGHTS[:3], "enable_thinking": False}
    yield "tools", TOOLS, CONTEXT
    for expression in EXPRESSIONS:
        assert expression.endswith("|")
        yield "expression", "{{ " + expression[:-1] + " }}", CONTEXT
    for statement in STATEMENTS:
        yield "statement", statement, CONTEXT


def main():
    env = environment()
    result = []
    for name, source, context in cases():
        case = {"name": name, "template": source}
        if context is not CONTEXT:
            case["context"] = {k: v for k, v in context.items() if CONTEXT.get(k, "?") is not v}
        try:
            case["output"] = env.from_string(source).render(context)
        except Exception as error:  # whatever it raises, we have to refuse
            case["error"] = f"{type(error).__name__}: {error}"
        result.append(case)
    golden = {"made_by": f"make_jinja_golden.py, jinja2 {jinja2.__version__}", "now": NOW,
              "context": CONTEXT, "cases": result}
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        json.dump(golden, out, ensure_ascii=False, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
