#include "base/memory.h"
#include "options/options.h"
#include "os/file.h"
#include "prompt.h"
#include "verbs.h"

#include <stdio.h>
#include <unistd.h>

enum { TOKENS_MAX = 1 << 20, TOP_K_MAX = 1 << 20, MEMORY_MIB_MAX = 1 << 20, MEMORY_MIB = 1024 };

typedef struct settings {
    prompt_settings prompt;
    load_options load;
    const char *schema_path;
    const char *grammar_path;
    uint64_t max_tokens;
    uint64_t top_k;
    double temperature;
    double top_p;
    double min_p;
} settings;

static const char more[] =
    "Without PROMPT it is read from standard input; if that is a terminal, each line is one turn of a "
    "conversation: /new begins\nanother, the end of input or Ctrl-C ends it. Ctrl-C stops an answer.\n"
    "The model is computed as for a pool's users: the same model, prompt, parameters and seed give the same "
    "answer everywhere.";

static bool parse(int argc, char **argv, settings *s, int *status) {
    *s = (settings){.load = {.slots = 1, .memory_mib = MEMORY_MIB}, .top_p = 1};
    option_words words = {.least = 1, .most = 2};
    const option_row rows[] = {
        {"system", OPTION_TEXT, &s->prompt.system, "TEXT", "a system message before the prompt", 0, 0},
        {"max-tokens", OPTION_U64, &s->max_tokens, "N", "length of an answer; 0: what the context takes", 0,
         TOKENS_MAX},
        {"temperature", OPTION_REAL, &s->temperature, "T", "0 takes the most likely token", 0, 2},
        {"top-p", OPTION_REAL, &s->top_p, "P", "the likeliest tokens that make up this share, above 0", 0, 1},
        {"top-k", OPTION_U64, &s->top_k, "N", "so many likeliest tokens; 0: all", 0, TOP_K_MAX},
        {"min-p", OPTION_REAL, &s->min_p, "P", "tokens at least so likely, of the likeliest one's share", 0,
         1},
        {"seed", OPTION_U64, &s->prompt.seed, "N", "the same one draws the same", 0, UINT64_MAX},
        {"schema", OPTION_TEXT, &s->schema_path, "FILE", "the answer follows this JSON schema", 0, 0},
        {"grammar", OPTION_TEXT, &s->grammar_path, "FILE", "the answer follows this GBNF grammar", 0, 0},
        {"raw", OPTION_FLAG, &s->prompt.raw, NULL, "go on with the prompt as it is: no chat template", 0, 0},
        {"context", OPTION_U64, &s->load.context, "TOKENS", "of a conversation; 0: as the model says", 0,
         ENGINE_CONTEXT_MAX},
        {"memory", OPTION_U64, &s->load.memory_mib, "MIB", "to compute with, beside the model", 1,
         MEMORY_MIB_MAX},
        {"threads", OPTION_U64, &s->load.threads, "N", "that compute; 0: one per core, also the most", 0,
         ENGINE_THREADS_MAX},
        {"kernels", OPTION_TEXT, &s->load.kernels, "NAME",
         "the same bits by another form of the loops; else the fastest", 0, 0},
        {"cache", OPTION_FLAG, &s->load.cache, NULL, "keep the packed weights beside the model", 0, 0},
        {"json", OPTION_FLAG, &s->prompt.json, NULL, "print one JSON object at the end instead of streaming",
         0, 0},
    };
    const option_table table = {
        .usage = "cellule engine run [options] MODEL [PROMPT]",
        .summary = "Answers a prompt on this machine, without a pool, and says how fast.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .words = &words,
        .more = more,
    };
    if (!options_parse(&table, argc, argv, NULL, status)) {
        return false;
    }
    if (s->prompt.raw && s->prompt.system != NULL) {
        fputs("cellule engine run: --raw leaves no place for --system: put it into the prompt\n", stderr);
        *status = OPTIONS_WRONG_USAGE;
        return false;
    }
    s->load.model = words.first[0];
    s->prompt.prompt = words.count > 1 ? words.first[1] : NULL;
    return true;
}

static bool read_constraint(const char *path, buffer *content, slice *constraint, error *err) {
    if (path != NULL && !file_read_all(path, content, err)) {
        return false;
    }
    if (path != NULL && buffer_length(content) == 0) {
        return error_set(err, ERROR_INVALID, "%s is empty: it binds an answer to nothing", path);
    }
    *constraint = buffer_slice(content);
    return true;
}

/* Everything is read before the sandbox. */
static bool run(settings *s, error *err) {
    buffer schema = buffer_make(ENGINE_SCHEMA_MAX);
    buffer grammar = buffer_make(ENGINE_SCHEMA_MAX);
    engine_parameters *p = &s->prompt.parameters;
    *p = (engine_parameters){.temperature = (float)s->temperature,
                             .top_p = (float)s->top_p,
                             .min_p = (float)s->min_p,
                             .top_k = (uint32_t)s->top_k,
                             .repetition_penalty = 1,
                             .max_tokens = (uint32_t)s->max_tokens};
    bool good = read_constraint(s->schema_path, &schema, &p->schema, err) &&
                read_constraint(s->grammar_path, &grammar, &p->grammar, err) &&
                prompt_run(&s->prompt, &s->load, err);
    buffer_free(&schema);
    buffer_free(&grammar);
    return good;
}

int engine_run_main(int argc, char **argv) {
    settings s;
    error err;
    int status = 0;
    if (!parse(argc, argv, &s, &status)) {
        return status;
    }
    tool_exit(run(&s, &err) ? (s.prompt.cancelled ? PROMPT_CANCELLED : 0)
                            : options_fail("cellule engine run", &err));
}
