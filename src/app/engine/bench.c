#include "app_model/tool.h"
#include "bench_measure.h"
#include "bench_report.h"
#include "options/options.h"
#include "verbs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TOKENS_MAX = 1 << 17, BATCH_MAX = 64, PAGE = 64, MEMORY_MIB = 1 << 20 };

typedef struct settings {
    load_options load;
    uint64_t prefill;
    uint64_t decode;
    uint64_t batch;
    uint64_t depth;
    uint64_t runs;
    const char *score;
    bool json;
    bench_sizes sizes;
} settings;

static const char more[] = "Each figure is the median of the runs, after one that doesn't count; prompts are "
                           "random tokens. What the "
                           "model's context has no\nroom for is made shorter.";

/* "128,256" or "128,256,12"; "0": nothing. */
static bool read_score(settings *s) {
    uint64_t numbers[3] = {0};
    size_t count = 0;
    slice rest = slice_of_text(s->score);
    while (count < 3 && rest.length > 0) {
        size_t end = slice_find(rest, ',');
        if (!slice_to_u64(slice_part(rest, 0, end), &numbers[count]) || numbers[count] > TOKENS_MAX) {
            return false;
        }
        count++;
        rest = end == SIZE_MAX ? (slice){NULL, 0} : slice_after(rest, end + 1);
    }
    bool none = count == 1 && numbers[0] == 0;
    bool whole =
        rest.length == 0 && count >= 2 && numbers[0] > 0 && numbers[1] > 0 && numbers[2] <= ENGINE_SLOTS_MAX;
    s->sizes.score_prompt = (uint32_t)numbers[0];
    s->sizes.score_answer = (uint32_t)numbers[1];
    s->sizes.streams = (uint32_t)numbers[2];
    return none || whole;
}

static bool parse(int argc, char **argv, settings *s, int *status) {
    *s = (settings){.load = {.slots = 1, .memory_mib = MEMORY_MIB},
                    .prefill = 256,
                    .decode = 64,
                    .batch = 8,
                    .depth = 2048,
                    .runs = 3,
                    .score = "128,256"};
    const option_row rows[] = {
        {"prefill", OPTION_U64, &s->prefill, "TOKENS", "of a prompt", 1, TOKENS_MAX},
        {"decode", OPTION_U64, &s->decode, "TOKENS", "of an answer behind it", 1, TOKENS_MAX},
        {"batch", OPTION_U64, &s->batch, "N", "answers computed at once; 0: none", 0, BATCH_MAX},
        {"score", OPTION_TEXT, &s->score, "P,A[,N]",
         "tokens of a prompt and of an answer to be checked, N written and checked at once; 0: none", 0, 0},
        {"depth", OPTION_U64, &s->depth, "TOKENS", "before a prompt's part that is measured too; 0: none", 0,
         TOKENS_MAX},
        {"runs", OPTION_U64, &s->runs, "N", "of each; the median counts", 1, BENCH_RUNS_MAX},
        {"threads", OPTION_U64, &s->load.threads, "N", "that compute; 0: one per core, also the most", 0,
         ENGINE_THREADS_MAX},
        {"kernels", OPTION_TEXT, &s->load.kernels, "NAME", "this form of the loops; else the fastest", 0, 0},
        {"cache", OPTION_FLAG, &s->load.cache, NULL, "keep the packed weights beside the model", 0, 0},
        {"json", OPTION_FLAG, &s->json, NULL, "print it as JSON", 0, 0},
    };
    const option_table table = {
        .usage = "cellule engine bench [options] MODEL",
        .summary = "Measures a model on this machine: load time, memory, prefill, decode, many answers at "
                   "once, checking an answer,\nand attention's share at a long context.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true,
        .more = more,
    };
    if (!options_parse(&table, argc, argv, &s->load.model, status)) {
        return false;
    }
    if (!read_score(s)) {
        fprintf(stderr,
                "cellule engine bench: --score takes 0, or a prompt's and an answer's tokens as 128,256, and "
                "how many "
                "answers at once (at most %d) as in 128,256,12\n",
                ENGINE_SLOTS_MAX);
        *status = OPTIONS_WRONG_USAGE;
        return false;
    }
    return true;
}

static uint32_t cut(uint64_t wanted, uint64_t room) {
    return (uint32_t)(wanted < room ? wanted : room);
}

/* So that nothing is longer than the context. */
static bool fit_sizes(settings *s, uint32_t context, error *err) {
    bench_sizes *z = &s->sizes;
    uint32_t most_batch = BENCH_BATCH_PROMPT + BENCH_BATCH_STEPS + 1;
    if (context < most_batch + 1 || context < BENCH_FIRST_PROMPT + 2) {
        return error_set(err, ERROR_UNSUPPORTED,
                         "the model's context of %u tokens is too small for measuring", context);
    }
    z->runs = (uint32_t)s->runs;
    z->prefill = cut(s->prefill, context - 2);
    z->decode = cut(s->decode, context - 1 - z->prefill);
    z->batch = cut(s->batch, context - most_batch);
    z->depth = cut(s->depth, context - 1 - z->prefill) / PAGE * PAGE;
    z->score_prompt = cut(z->score_prompt, context / 2);
    z->score_answer = cut(z->score_answer, context - z->score_prompt);
    return true;
}

/* The second number of /proc/self/statm is the pages that are resident (proc(5)). It is opened before the
 * sandbox; 0: not known. */
static uint64_t resident_bytes(int statm) {
    char text[128] = {0};
    char *end = NULL;
    if (read(statm, text, sizeof text - 1) <= 0) {
        return 0;
    }
    (void)strtoull(text, &end, 10);
    return strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool measure(settings *s, tool *t, uint64_t file_bytes, int statm, error *err) {
    bench_times times = {0};
    const engine_information *i = engine_describe(t->model);
    if (!i->can_generate) {
        return error_set(err, ERROR_UNSUPPORTED, "%s writes no text: there is nothing to be measured",
                         s->load.model);
    }
    if (!fit_sizes(s, i->context, err) || !bench_first(t->model, &times.first, err)) {
        return false;
    }
    bench_report r = {.model = i,
                      .threads = (uint32_t)t->load.options.threads,
                      .file_bytes = file_bytes,
                      .load_seconds = t->load_seconds,
                      .resident_bytes = resident_bytes(statm),
                      .sizes = &s->sizes,
                      .times = &times};
    if (!bench_measure(t->model, &s->sizes, &times, err)) {
        return false;
    }
    buffer out = buffer_make(BENCH_REPORT_MAX);
    (s->json ? bench_report_append_json : bench_report_append_text)(&r, &out);
    bool good = tool_print(&out, err);
    buffer_free(&out);
    return good;
}

static bool run(settings *s, error *err) {
    tool t;
    model_files files;
    if (!model_files_map(s->load.model, &files, err)) {
        return false;
    }
    uint64_t file_bytes = files.size;
    model_files_unmap(&files);
    int statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    bool good = tool_open(&t, &s->load, err);
    if (good) {
        good = measure(s, &t, file_bytes, statm, err);
        tool_close(&t);
    }
    return good;
}

int engine_bench_main(int argc, char **argv) {
    settings s;
    error err;
    int status = 0;
    if (!parse(argc, argv, &s, &status)) {
        return status;
    }
    tool_exit(run(&s, &err) ? 0 : options_fail("cellule engine bench", &err));
}
