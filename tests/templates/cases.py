"""Conversations and small templates for compare.py."""

import json

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "The weather of a city, \"now\" or <later>; it's 5 < 7 & done.",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "Which city, e.g. Zürich"},
            "days": {"type": "integer", "minimum": 1, "maximum": 10, "default": 3},
            "scale": {"type": "string", "enum": ["C", "F"]}}, "required": ["city"]},
        "return": {"type": "string"}}},
    {"type": "function", "function": {"name": "stop", "description": "", "parameters": {
        "type": "object", "properties": {}, "strict": False, "ratio": 0.5, "tiny": 1e-7, "none": None}}},
]
ARGUMENTS = '{"city": "Bern", "days": 2, "exact": true, "list": [1, 2.5, null, "x"]}'


def call(number, name="get_weather", arguments=ARGUMENTS):
    return {"id": f"call{number:05d}", "type": "function", "function": {"name": name, "arguments": arguments}}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


SYSTEM = {"role": "system", "content": "  You are brief.\n"}
ANSWER = {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "{\"sky\": \"clear\"}"}
THOUGHT = "<think>\nHm, 1 < 2.\n</think>\n\nIt is."

CHATS = {
    "one": [user("Hello")],
    "empty": [user("")],
    "system": [SYSTEM, user("Hello\n")],
    "turns": [user("a"), assistant("b"), user("c")],
    "system and turns": [SYSTEM, user("  a "), assistant(" b\n"), user("c"), assistant("d"), user("é\u2028漢字 🙂\xa0")],
    "answered": [user("a"), assistant("b")],
    "odd": [user("a"), user("b")],
    "assistant first": [assistant("b"), user("a")],
    "thinking": [user("Is it?"), assistant(THOUGHT), user("Sure?")],
    "reasoning": [user("Is it?"), assistant("It is.", reasoning_content="\nHm.\n"), user("Sure?"),
                  assistant("Yes.", reasoning_content="Once more."), ],
    "tool": [user("Weather?"), assistant(None, tool_calls=[call(1)]), ANSWER],
    "tool and text": [SYSTEM, user("Weather?"), assistant("I look.", tool_calls=[call(1)]), ANSWER,
                      assistant("Clear."), user("Thanks")],
    "two tools": [user("Weather?"), assistant("", tool_calls=[call(1), call(2, "stop", "{}")]), ANSWER,
                  {**ANSWER, "name": "stop", "tool_call_id": "call00002", "content": "done"}],
    "unknown role": [{"role": "critic", "content": "no"}],
    "nothing": [],
}


def conversations():
    """(name, input) pairs."""
    for name, messages in CHATS.items():
        for more, extra in {"": {}, ", tools": {"tools": TOOLS}, ", dated": {"now": 1764003661},
                            ", no thinking": {"variables": {"enable_thinking": False, "date_string": "1 Jan 2025"}},
                            }.items():
            for prompt in (True, False):
                yield (f"{name}{more}{' with prompt' if prompt else ''}",
                       {"messages": messages, "add_generation_prompt": prompt, "bos_token": "<s>", "eos_token": "</s>",
                        **extra})


MARK = "ж"
MARKERS = ("<|im_start|>", "<|im_end|>", "</s>", "<s>", "[INST]", "[/INST]", "<|eot_id|>", "<|start_header_id|>system",
           "<start_of_turn>", "<end_of_turn>", "<|end|>", "<|assistant|>", "<<SYS>>", "</think>", "<tool_call>")
EVIL = MARK + MARK.join(MARKERS) + MARK


def hostile():
    arguments = json.dumps({"city": EVIL, EVIL: [EVIL]}, ensure_ascii=False)
    evil_call = {"id": EVIL, "type": "function", "function": {"name": EVIL, "arguments": arguments}}
    tools = [{"type": "function", "function": {"name": EVIL, "description": EVIL, "parameters": {
        "type": "object", "properties": {EVIL: {"type": EVIL, "description": EVIL}}, "required": [EVIL]}}}]
    chats = {
        "system": [{"role": "system", "content": EVIL}, user(EVIL), assistant(EVIL), user(EVIL)],
        "tools": [user(EVIL), assistant(None, tool_calls=[evil_call]),
                  {"role": "tool", "name": EVIL, "tool_call_id": EVIL, "content": EVIL}],
        "thinking": [user(EVIL), assistant(EVIL, reasoning_content=EVIL), user(f"<think>{EVIL}</think>{EVIL}")],
    }
    for name, messages in chats.items():
        for extra in ({}, {"tools": tools}):
            yield name, {"messages": messages, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>",
                         "variables": {"system_message": EVIL, "date_string": EVIL}, **extra}


HOSTILE = {"messages": [user(" " + EVIL + "\nline two\n\n" + EVIL)], "tools": [{"b": EVIL, "a": [EVIL, 5]}],
           "variables": {"n": 3, "names": [EVIL, "a b", EVIL]}}


def laundries():
    """Each writes only what is derived from the conversation."""
    text = "messages[0].content"
    for change in ("trim", "upper", "lower", "title", "capitalize", "string", "safe", "indent", "indent(2, true, true)",
                   "indent('<s>', true)", "replace('a', '<s>')", "replace('', '<s>')", "list|join", "list|join('<s>')",
                   "first", "last", "reverse", "tojson", "tojson(indent=2)", "list|sort|join", "list|unique|join",
                   "list|min", "list|max", "default('x')", "list", "map('upper')|join", "select|join('<s>')", "length",
                   "list|tojson", "list|map('string')|map('upper')|list|first", "trim('ж')"):
        yield f"{{{{ {text}|{change} }}}}"
    for change in ("strip()", "lstrip()", "rstrip()", "split('>')[1]", "split('>')[-1]", "split()[0]", "upper()",
                   "rsplit('>', 1)[0]", "rsplit('>', 1)[1]", "splitlines()[0]", "lower()", "title()", "capitalize()",
                   "replace('s', '<s>')", "split('<')|join('<s>')", "removeprefix(' ')", "removesuffix('x')",
                   "find('<')", "count('<')", "strip('ж')", "split('<', 2)|join('<')"):
        yield f"{{{{ {text}.{change} }}}}"
    yield f"{{{{ '<s>'.join({text}.split('<')) }}}}"
    yield f"{{{{ {text}[3:] ~ {text}[::-1] ~ {text}[2] ~ {text}[-3:] }}}}"
    yield f"{{{{ {text} + {text} * 2 }}}}"
    yield f"{{% set x %}}{{{{ {text} }}}}{{% endset %}}{{{{ x|trim|upper }}}}"
    yield f"{{% set x|upper %}}{{{{ {text} }}}}{{% endset %}}{{{{ x }}}}"
    yield f"{{% filter upper %}}{{{{ {text} }}}}{{% endfilter %}}"
    yield f"{{% macro m(a, b={text}) %}}{{{{ a ~ b }}}}{{% endmacro %}}{{{{ m({text}) }}}}"
    yield f"{{% set ns = namespace(x='') %}}{{% for c in {text} %}}{{% set ns.x = ns.x + c %}}{{% endfor %}}{{{{ ns.x }}}}"
    yield f"{{{{ {{'a': {text}}}['a'] }}}}{{{{ [{text}] }}}}{{{{ ({text},)[0] }}}}{{{{ {{'a': {text}}}|tojson }}}}"
    yield "{{ tools|tojson }}{{ tools[0].items()|list }}{{ tools[0]|items|list }}{{ tools[0].keys()|join }}"
    yield "{{ tools[0]|dictsort }}{% for k, v in tools[0]|items %}{{ k ~ v }}{% endfor %}{{ tools|map(attribute='b')|join }}"
    yield "{{ n }}{{ n + 1 }}{{ names|join('<s>') }}{{ names|join }}{{ names[0] ~ n }}{{ n|string }}{{ names|length }}"


SMALL = {
    "messages": [SYSTEM, user("Hello <b> World's \"end\"\tx"), assistant("one two  three"), user("ÄÖ漢字🙂")],
    "tools": TOOLS,
    "bos_token": "<s>",
    "add_generation_prompt": True,
    "now": 1709210096,
    "variables": {"n": 7, "m": -3, "half": 2.5, "big": 1e22, "words": ["b", "a", "C", "a"], "flag": True, "nothing": None,
                  "map": {"z": 1, "a": {"b": [1, 2, {"c": "d"}]}, "M": 3}, "text": "a-b_c d", "lines": "x\n\n  y\r\nz\n"},
}


def expressions():
    """Templates, one for each part of the language or more."""
    values = """
        1 + 2 * 3 - 4 | 7 // 2 | -7 // 2 | 7 % 3 | -7 % 3 | 7 % -3 | 7 / 2 | 2 ** 5 | -2 ** 2 | 2 ** 3 ** 2 | 1_000 + 1
        1.5 + 1 | 1.5 * 2 | .5 | 1e3 | 1.5e-7 | 1e16 | 1e15 | 123456789.125 | 0.1 + 0.2 | 1/3 | 100.0 | 5 - -3 | +4 | --4
        'a' + 'b' | 'a' ~ 1 ~ 2.0 ~ none ~ true ~ x | 'ab' * 3 | 3 * 'ab' | [1] * 2 | [1, 2] + [3] | (1,) + (2,)
        'it\\'s' | "a\\tb\\n" | '\\x41\\u00e9\\\\' | 'a' 'b' | '\\d' | '' | "'" | "\\"" | ['\\'', "\\"", '\\'"', 'é\\n\\x00']
        true | false | none | True | False | None | [] | {} | () | (1,) | (1, 2) | 1, 2 | [1, [2, 'x'], none, true, 2.0]
        {'a': 1, 'b': [1, 2]} | {1: 2, 'x': none, true: 3} | {'a': 1}['a'] | {'a': 1}.a | {'a': 1}.b | {'a': {'b': 2}}.a.b
        1 == 1.0 | 1 == true | 'a' == 'a' | [1] == [1] | {'a': 1} == {'a': 1} | (1,) == [1] | none == none | x == y
        1 < 2 < 3 | 1 < 3 < 2 | 1 != 2 | 2 >= 2 | 'a' < 'b' | 'a' <= 'B' | [1, 2] < [1, 3] | 1 < 'a' | none < 1 | x < 1
        'a' in 'cat' | 'a' in ['a'] | 'a' not in {'a': 1} | 1 in [1.0] | 1 in 'a' | 'a' in none | 'x' in x | none in [none]
        true and 'x' | '' or 'y' | 0 or none | not 0 | not not x | 1 and 0 or 2 | not 1 == 2 | (1 if true) | (1 if false)
        1 if false else 2 | 1 if 0 else 2 if 0 else 3 | ('a' if n > 3 else 'b') ~ 'c' | n is odd and n is not even
        x | x.y | x[0] | x + 1 | x ~ 1 | x|length | x|default('d') | x or 'e' | x is defined | x.y is defined | map.q.r
        messages[0].role | messages[-1]['content'] | messages[9] | messages[9].role | messages[1:]|length | messages|last
        messages[::-1][0].role | messages[:2]|map(attribute='role')|list | messages[1:-1][0].content | words[::2] | words[5:]
        words[-2:] | words[:-1] | words[3:0:-1] | words[::-2] | words[none:2] | 'abcdef'[1:4] | 'abcdef'[::-1] | 'äöü'[1]
        'äöü'[-1] | 'äöü'[1:] | 'abc'[5] | 'abc'[1:0] | text[2:] | 'abc'[-2:] | messages[3].content[2:] | 'x'[0][0] | words.0
        messages[3].content|length | messages[3].content|reverse | messages[3].content|list | 'a🙂b'[::-1] | 'abc'['x']
        map.a.b[2].c | map['a']['b'][0] | map.items()|list | map.keys()|list | map.values()|list | map.get('z')
        map.get('q') | map.get('q', 5) | map|items|list | map|length | map|list | map|dictsort | map|dictsort(true)
        map|dictsort(by='value') | map.z|string + 'x' | {'b': 2, 'a': 1}|dictsort(reverse=true) | map|first | map|join(',')
        '  a b '|trim | ' xax '|trim|trim('x') | 'xax'.strip('x') | ' a '.lstrip() ~ '|' | ' a '.rstrip() ~ '|' | '\xa0a\u2003'|trim
        'abc'|upper | 'ABC'|lower | 'hello wORLD-x (y'|title | 'hELLO'|capitalize | "it's o'clock".title() | 'aB'.capitalize()
        'a,b,,c'.split(',') | ' a  b '.split() | 'a,b,c'.split(',', 1) | 'a  b c'.split(none, 1) | 'a,b,c'.rsplit(',', 1)
        'abc'.split('') | 'abc'.split('x') | ''.split() | ''.split(',') | '</think>x'.split('</think>')[-1].lstrip('\\n')
        'a\\nb\\r\\nc\\n'.splitlines() | 'a\\nb'.splitlines(true) | 'abc'.startswith('ab') | 'abc'.endswith(('x', 'c'))
        'abc'.startswith('') | 'abcabc'.find('c') | 'äbc'.find('c') | 'abc'.find('x') | 'abcabc'.rfind('b') | 'aaa'.count('a')
        'abab'.replace('a', 'x') | 'abab'.replace('a', 'x', 1) | 'ab'.replace('', '-') | 'aab'|replace('a', 'bb') | 1|replace(1, 2)
        'aaa'|replace('a', 'b', 2) | ','.join(['a', 'b']) | ','.join([1]) | ', '.join(words) | '12'.isdigit() | ''.isdigit()
        'xab'.removeprefix('x') | 'abx'.removesuffix('x') | 'abx'.removesuffix('') | words|join | words|join(', ')
        [1, 'a', none]|join('-') | messages|join(',', attribute='role') | 'abc'|join('.') | [[1, 2], [3]]|map('join', '+')|list
        words|sort | words|sort(true) | words|sort(case_sensitive=true) | messages|sort(attribute='role')|map(attribute='role')|list
        words|unique|list | words|unique(true)|list | words|min | words|max | [3, 1, 2]|min | []|max | [1, 'a']|max | [1, 2]|sum
        [{'v': 1}, {'v': 2.5}]|sum(attribute='v') | [1]|sum(start=5) | words|reverse|list | words|first | words|last | []|first
        []|last is defined | ''|last | words|length | words|count | 5|length | none|length | words|list | 'ab'|list | x|list
        n|string ~ '!' | '42'|int + 1 | '4.7'|int | 'x'|int | 'x'|int(-1) | ' 12 '|int | 'ff'|int(base=16) | '0x1F'|int(0, 16)
        4.7|int | -4.7|int | true|int | none|int | words|int | '4.5'|float | 'x'|float | 'x'|float(1.5) | 3|float | x|int
        2.5|round | 3.5|round | -2.5|round | 2.675|round(2) | 2.3|round(0, 'ceil') | 2.7|round(method='floor') | 3|round
        1234.5678|round(2) | -3|abs | -3.5|abs | 'a'|abs | n|abs | none|default('d') | none|default('d', true) | ''|d('e', true)
        'x'|default | nothing is none | nothing is not none | nothing is defined | 'a'|safe ~ 'b'
        lines|indent | lines|indent(2) | lines|indent(2, true) | lines|indent(2, true, true) | lines|indent('> ') | ''|indent(2, true)
        lines|indent(width=3, blank=true) | 'a'|indent(first=true) | 'a\\n'|indent | 'a\\n\\nb'|indent(1)
        map|tojson | map|tojson(indent=2) | tools|tojson | tools|tojson(indent=4) | tools[0]|tojson(sort_keys=true)
        messages[3].content|tojson | messages[3].content|tojson(ensure_ascii=true) | 'a"b\\\\c\\n\\t\\x01\\x7f</é>'|tojson
        'é\\x7f🙂'|tojson(true) | [1, 2.0, 1e16, 1e-5, none, true, big, half]|tojson | {1: 2, none: 3, true: 4, 1.5: 5}|tojson
        []|tojson | {}|tojson | [[], {}]|tojson(indent=2) | (1, 2)|tojson | x|tojson | map|tojson(separators=(',', ':'))
        map|tojson(indent=1, separators=(',', '=')) | 'x'|tojson(indent=2) | [1]|tojson(indent=0) | map.items()|tojson
        [[1, 'a'], {'k': (1,)}]|string | half | big | m | -0.0 | 1e100 | 1e-100 | 5e-324 | 1.7976931348623157e308
        words|map('upper')|list | words|map('upper') is iterable | messages|map(attribute='content')|map('trim')|map('length')|list
        [{'a': {'b': 1}}, {'a': {'b': 2}}]|map(attribute='a.b')|list | [[1, 2]]|map(attribute=1)|list | [[1, 2]]|map(attribute='1')|list
        [{'a': 1}, {}]|map(attribute='a', default=0)|list | [{}]|map(attribute='a')|list|length | words|map('replace', 'a', 'x')|list
        messages|selectattr('role', 'equalto', 'user')|list|length | messages|rejectattr('role', '==', 'user')|map(attribute='role')|join(' ')
        messages|selectattr('tool_calls', 'defined')|list | messages|selectattr('content')|list|length | [1, 2, 3]|select('odd')|list
        [1, 2, 3]|reject('>', 1)|list | [0, 1, '', 'a']|select|list | [0, 1]|reject|list | words|select('in', ['a'])|list
        (messages|selectattr('role', 'equalto', 'system')|list)[0].content | messages|selectattr('role', 'in', ['user'])|list|length
        messages|select('mapping')|list|length | messages|map('length')|list | words|map('first')|select('string')|join
        n is number | half is float | n is integer | true is integer | true is boolean | 'a' is string | map is mapping
        words is sequence | 'a' is sequence | map is sequence | 1 is sequence | x is sequence | map.items() is sequence
        words is iterable | 'a' is iterable | 5 is iterable | none is iterable | x is iterable | true is true | 1 is true | 0 is false
        n is eq 7 | n is equalto(7) | n is ne(7) | n is gt 3 | n is lt 3 | n is ge(7) | n is le 6 | n is in [7] | 'a' is in 'abc'
        n is divisibleby 7 | n is divisibleby(2) | 'abc' is lower | 'ABC' is upper | 'aB' is lower | '1' is upper | none is sameas none
        1 is sameas true | raise_exception is callable | n is callable | 'upper' is filter | 'nope' is filter | 'odd' is test
        n is not defined or n is odd | x is not defined and 1 | [n is odd, 1] | n is defined == true
        range(3)|list | range(1, 4)|list | range(5, 0, -2)|list | range(0)|list | range(3)|length | range(2)[1] | range(1, 2, 0)
        dict(a=1, b=2) | dict({'a': 1}, b=2) | namespace(a=1).a | namespace({'a': 1}).a | strftime_now('%d %b %Y') | strftime_now('%Y-%m-%d %H:%M:%S %A %j %p %I %y %B %a %e %%')
        raise_exception('no') | unknown('x') | 5('x') | 'a'.get('b') | none.strip() | x.strip() | messages.items() | 1 // 0 | 1 % 0 | 1 / 0
        -1|abs | -n|abs | (-n)|abs | not n|string | 'a'~'b'|upper | 1+1|string|length | 2*'3'|int | [1,2,][0] | {'a': 1,}.a | n in [7] == true
        'a' if x else 'b' if n else 'c' | [x for_ if 0] | 'a' | upper | n if n else 0 | (n) | ((1, 2), 3) | 1 ,
        messages[0].content.strip().split(' ')[-1].upper()|lower|replace('.', '!') | messages[0]['content'] | trim | n | string
        loop | loop.index | caller | caller() | true + 1 | true ~ '' | 'a' - 'b' | [] - [] | {} + {} | 'a' * 'b' | 'x' < x
        [1, 2, 3][true] | words['0'] | map[1] | map[words] | {words: 1} | {}|tojson ~ [] | words.index('a')
        words.index('q') | words.count('a') | (1, 2).count(1) | 'a' == 'a' == 'a' | 10 is divisibleby 0
    """
    for line in values.splitlines():
        for value in filter(None, line.strip().split(" | ")):
            yield "{{ " + value + " }}"
    yield from STATEMENTS


STATEMENTS = [
    "", "text", "text\n", "text\n\n", "\n", "a\r\nb\rc\r\n", "{{ 1 }}\n", "{{ 1 }}\n\n", "{# note #}\nx", "a {# note #} b",
    "{% if true %}\n  a\n{% endif %}\nb", "  {% if true %}  \n  a\n  {% endif %}  \nb", "a\n  {%- if true -%}\n  b\n  {%- endif -%}\n c",
    "a\n  {%+ if true %}\n  b\n  {%+ endif +%}\n c", "a   {%- if true +%}   b{% endif %}", "a\n\n\n  {{- 1 -}}\n\n b", "  {{ 1 }}  \n  {{ 2 }}",
    "a\n   {#- x -#}\n  b", "   {# x #}\n  b", "a\n   {# x +#}\n b", "x {#+ y #}\n z", "{%raw%}{{ a }}{% if %}{%endraw%} b",
    "a\n  {%- raw -%}\n  {{ x }}\n  {%- endraw -%}\n  b", "a\n  {% raw %}\n  {{ x }}\n  {% endraw %}\n  b", "{{ '}}' }}{{ \"%}\" }}{{ {'a': {}} }}",
    "{% if 0 %}a{% elif n == 7 %}b{% else %}c{% endif %}", "{% if 0 %}a{% elif 0 %}b{% elif 0 %}d{% else %}c{% endif %}", "{% if x %}a{% endif %}",
    "{% for i in [1, 2, 3] %}{{ i }}{% endfor %}{{ i }}", "{% for i in [] %}a{% else %}b{% endfor %}", "{% for i in x %}a{% else %}b{% endfor %}",
    "{% for i in words %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}",
    "{% for i in words %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }};{% endfor %}", "{% for i in words %}{{ loop.previtem is defined }}{{ loop.depth }}{% endfor %}",
    "{% for k, v in map.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in map|dictsort %}{{ k }}={{ v }};{% endfor %}", "{% for k in map %}{{ k }};{% endfor %}",
    "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a, b in [[1, 2, 3]] %}{% endfor %}", "{% for a, b in [1] %}{% endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ loop.index }}/{{ loop.length }} {{ m.content }};{% endfor %}", "{% for m in messages if m.role == 'x' %}{% else %}none{% endfor %}",
    "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for c in 'äb' %}{{ c }}.{% endfor %}",
    "{% for i in range(3) %}{% for j in range(2) %}{{ loop.index }}{{ i }}{{ j }} {% endfor %}{{ loop.index }};{% endfor %}", "{% for i in 5 %}{% endfor %}", "{% for i in none %}{% endfor %}",
    "{% for i in words %}{{ loop.cycle('x', 'y') }}{% endfor %}", "{% for i in [1] %}{% set q = i %}{% endfor %}{{ q is defined }}", "{% for a in 1, 2 %}{{ a }}{% endfor %}",
    "{% set q = 1 %}{% for i in [1, 2] %}{% set q = q + 1 %}{{ q }}{% endfor %}{{ q }}", "{% set ns = namespace(q=1) %}{% for i in [1, 2] %}{% set ns.q = ns.q + i %}{% endfor %}{{ ns.q }}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns.b }}{{ ns['a'] }}", "{% set map.z = 1 %}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set (a, b) = [3, 4] %}{{ a + b }}",
    "{% if true %}{% set q = 1 %}{% endif %}{{ q }}", "{% set q %}  a{{ n }}\n{% endset %}[{{ q }}]", "{% set q | trim | upper %}  a{{ n }}\n{% endset %}[{{ q }}]", "{% set q|replace('a', 'b') %}a{% endset %}{{ q }}",
    "{% filter upper %}a{{ n }}{% endfilter %}", "{% filter trim|replace('a', 'b') %} a {% endfilter %}", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with %}{% set a = 1 %}{{ a }}{% endwith %}{{ a }}",
    "{% macro f(a, b=2, c=b) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}|{{ f(1, 3) }}|{{ f(1, c=5) }}|{{ f() }}|{{ f(b=1, a=2) }}", "{% macro f() %} x {% endmacro %}[{{ f()|trim }}]{{ f() ~ 'y' }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(q=2) }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, a=2) }}", "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}",
    "{% macro f() %}{{ q }}{{ n }}{% endmacro %}{% set q = 5 %}{{ f() }}", "{% macro f() %}{% set n = 1 %}{{ n }}{% endmacro %}{{ f() }}{{ n }}", "{% macro f() %}[{{ caller() }}]{% endmacro %}{% call f() %}x{{ n }}{% endcall %}",
    "{% macro f() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) f() %}{{ a }}-{{ b }}{% endcall %}", "{% macro f(x) %}{{ x is string }}{{ x }}{% endmacro %}{{ f(f('a')) }}", "{{ f() }}{% macro f() %}{% endmacro %}",
    "{% generation %}a{{ n }}{% set q = 1 %}{% endgeneration %}{{ q is defined }}", "{%- generation -%} a {%- endgeneration -%} b", "{% if messages[0].role == 'system' %}{% set s = messages[0].content|trim %}{% set loop_messages = messages[1:] %}{% endif %}{{ s }}{{ loop_messages|length }}",
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles ' ~ m.role) }}{% endif %}{% endfor %}", "{{ bos_token }}{{ eos_token }}{{ tools[0].function.name }}{{ documents }}",
    "{%- set f = {'a': 1} -%}{{ f.a }}{{ f['b'] }}{{ f.b|default('z') }}", "{{- 'x' -}}", "{{ 'a'\n  'b' }}", "{{ [\n1,\n2\n] }}", "{%- for m in messages -%}\n{{ m.role }}\n{%- endfor %}\n", "{% if n is defined and n %}y{% endif %}",
    "{% for t in tools %}{% set t = t.function %}{{ t.name }}: {{ t.parameters.properties.keys()|list|tojson }}{% if not loop.last %}, {% endif %}{% endfor %}", "{% for x in [1,2] %}{{ x }}{{ ', ' if not loop.last }}{% endfor %}",
    "{% if 1 %}", "{% endif %}", "{% for %}", "{{ 1 ", "{{ }}", "{% set = 1 %}", "{{ 'a }}", "{{ (1 }}", "{{ 1) }}", "{{ a..b }}", "{{ 1 2 }}", "{# a", "{% break %}", "{{ a b }}", "{{ [1 }}", "{{ {'a' 1} }}", "{{ 1 if }}", "{{ 'a'|}}", "{{ $ }}",
    "{% set x = 1 if false %}{{ x is defined }}", "{% set a = namespace(x=[1]) %}{% set a.x = a.x + [2] %}{{ a.x }}", "{{ messages[0]|tojson }}{{ messages[0] }}", "{{ messages|length > 2 and messages[-1].role == 'user' }}",
    "{% for i in range(2) %}{% macro g() %}{{ i }}{% endmacro %}{{ g() }}{% endfor %}", "{% set ns = namespace(f=none) %}{% for i in [4] %}{% macro g() %}{{ i }}!{% endmacro %}{% set ns.f = g %}{% endfor %}{{ ns.f is callable }}",
    "{% for a in [1] recursive_ %}{% endfor %}", "{% filter nope %}{% endfilter %}", "{% if true %}a{% else %}b{% else %}c{% endif %}", "{% macro %}{% endmacro %}", "{% call n %}{% endcall %}", "{% call n() %}{% endcall %}",
]


def refused():
    """(template, what the error names)"""
    return [
        ("{{ 'a'|wordcount }}", "wordcount"), ("{{ 'a' is escaped }}", "escaped"), ("{% include 'a' %}", "include"), ("{% extends 'a' %}", "extends"),
        ("{% import 'a' as b %}", "import"), ("{% block a %}{% endblock %}", "block"), ("{% do x %}", "do"), ("{% autoescape true %}{% endautoescape %}", "autoescape"),
        ("{{ words.append(1) }}", "append"), ("{{ map.update({}) }}", "update"), ("{{ 'a'.format(1) }}", "format"), ("{{ cycler('a') }}", "cycler"), ("{{ lipsum() }}", "lipsum"),
        ("{{ words|map('wordwrap')|list }}", "wordwrap"), ("{{ words|select('escaped')|list }}", "escaped"), ("{{ f(*words) }}", "*"), ("{{ f(**map) }}", "**"),
        ("{% if false %}{{ 'a'|pprint }}{% endif %}", "pprint"), ("{% for a in words recursive %}{% endfor %}", "for … recursive"), ("{% trans %}", "trans"),
    ]
