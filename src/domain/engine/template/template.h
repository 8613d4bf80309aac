#ifndef ENGINE_TEMPLATE_H
#define ENGINE_TEMPLATE_H

#include "base/arena.h"
#include "tokenizer/tokenizer.h"

/* A model's chat template: the subset of Jinja (jinja.palletsprojects.com, 3.1) that models' templates use,
 * with what Hugging Face's transformers sets: blocks trimmed, `break` and `continue`, an immutable sandbox.
 * What a template asks for beyond it is refused by name. Source and conversation are hostile: every size,
 * depth and count is bounded, and rendering ends. Pure; the same input gives the same bytes everywhere. */
typedef struct chat_template chat_template;

enum {
    TEMPLATE_SOURCE_MAX = 256 * 1024,        /* bytes */
    TEMPLATE_NODES_MAX = 64 * 1024,          /* parts of a parsed template */
    TEMPLATE_NESTING_MAX = 128,              /* blocks and expressions within each other */
    TEMPLATE_DEPTH_MAX = 600,                /* evaluations under way at once, macros included */
    TEMPLATE_STEPS_MAX = 20 * 1000 * 1000,   /* evaluations, and each 64 bytes or one value handled */
    TEMPLATE_OUTPUT_MAX = 16 * 1024 * 1024,  /* bytes */
    TEMPLATE_MEMORY_MAX = 256 * 1024 * 1024, /* bytes that a rendering takes of its arena */
    TEMPLATE_JSON_DEPTH_MAX = 32,
    TEMPLATE_JSON_VALUES_MAX = 100 * 1000,
};

/* Copies the source. ERROR_UNSUPPORTED names the filter, test, method or statement that is beyond the subset,
 * ERROR_INVALID the line that isn't Jinja, ERROR_LIMIT the bound that is passed. */
MUST_CHECK chat_template *chat_template_new(slice source, error *err);
void chat_template_free(chat_template *t); /* NULL is allowed */
/* ChatML, as Qwen and SmolLM have it: what a model without a template gets when it has the markers. */
extern const char chat_template_chatml[];

/* One message. An empty slice is a field that isn't there. */
typedef struct chat_message {
    slice role; /* trusted: the caller takes it from a closed list */
    slice content;
    bool content_is_none; /* content: null, as beside tool calls */
    slice name;
    slice reasoning;    /* `reasoning_content` */
    slice tool_call_id; /* of a tool's answer */
    slice tool_calls;   /* a JSON array, as in OpenAI's API: `arguments` may be text that holds an object */
} chat_message;

typedef struct chat_input {
    const chat_message *messages;
    size_t message_count;
    slice tools;       /* a JSON array; empty: none */
    slice variables;   /* a JSON object with more variables, such as enable_thinking; empty: none */
    slice first_token; /* `bos_token` and `eos_token`, trusted */
    slice end_token;
    bool add_generation_prompt;
    bool has_now; /* without it `strftime_now` is undefined: there is no clock here */
    int64_t now;  /* Unix seconds, told to the template as UTC */
} chat_input;

/* Renders to spans (tokenizer/tokenizer.h): trusted text was written by the template itself, byte by byte,
 * and only that may become a special token. What is derived from messages, tools or variables is not,
 * whatever the template did with it; nor is what it makes of numbers, lists and mappings. Neighbours differ
 * in `trusted`. All lives in `memory`. ERROR_INVALID: the template itself refuses the conversation (its words
 * are quoted) or stumbles over it; ERROR_LIMIT, ERROR_UNSUPPORTED and ERROR_MEMORY as above. Any number of
 * threads may render one template. */
MUST_CHECK bool chat_template_render(const chat_template *t, const chat_input *input, arena *memory,
                                     token_span **spans, size_t *count, error *err);

#endif
