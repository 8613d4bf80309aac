#include "app_model/tool.h"
#include "base/memory.h"
#include "crypto/start.h"
#include "golden_report.h"
#include "options/options.h"
#include "os/sandbox.h"
#include "verbs.h"

#include <stdio.h>

static bool prepare(golden *g, error *err) {
    for (size_t i = 0; i < g->model_count; i++) {
        if (!model_files_map(g->paths[i], &g->files[i], err)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < GOLDEN_THREADS && g->model_count > 0; i++) {
        g->threads[i] = engine_threads_new(i + 1, err);
        if (g->threads[i] == NULL) {
            return false;
        }
    }
    return sandbox_enter(err);
}

static bool choose_forms(golden *g, const char *wanted, error *err) {
    g->form_count = golden_forms(g->forms);
    for (size_t i = 0; wanted != NULL && i < g->form_count; i++) {
        if (strcmp(g->forms[i], wanted) == 0) {
            g->forms[0] = g->forms[i];
            g->form_count = 1;
            return true;
        }
    }
    return wanted == NULL || error_set(err, ERROR_INVALID, "there are no kernels \"%s\" here", wanted);
}

static bool run_operations(golden *g, error *err) {
    void *memory = memory_allocate(golden_memory());
    if (memory == NULL) {
        return error_memory(err);
    }
    for (size_t i = 0; i < g->form_count; i++) {
        g->operation_count = golden_run(g->forms[i], memory, g->operations[i]);
    }
    memory_free(memory);
    return g->operation_count > 0 ||
           error_set(err, ERROR_INTERNAL, "the processor's rounding mode can't be set");
}

static bool compute(golden *g, error *err) {
    if (!run_operations(g, err)) {
        return false;
    }
    for (size_t i = 0; i < g->model_count; i++) {
        if (!golden_model_run(&g->models[i], &g->files[i], g->forms, g->form_count, g->threads, err)) {
            return error_context(err, "%s", g->paths[i]);
        }
    }
    return true;
}

static void say_forms(const golden *g) {
    fputs("kernels: ", stderr);
    for (size_t i = 0; i < g->form_count; i++) {
        fprintf(stderr, "%s%s", i == 0 ? "" : ", ", g->forms[i]);
    }
    fputs(golden_count_differences(g) == 0 ? ": all give the same bits\n" : ": NOT the same bits\n", stderr);
}

static bool print(const golden *g, error *err) {
    buffer out = buffer_make(GOLDEN_OUTPUT_MAX);
    (g->json ? golden_append_json : golden_append_text)(g, &out);
    bool good = tool_print(&out, err);
    buffer_free(&out);
    if (!good) {
        return false;
    }
    say_forms(g);
    size_t differences = golden_count_differences(g);
    return differences == 0 ||
           error_set(err, ERROR_CORRUPT, "%zu results differ: this build must not compute for others",
                     differences);
}

static bool run(golden *g, const char *form, error *err) {
    return crypto_start(err) && choose_forms(g, form, err) && prepare(g, err) && compute(g, err) &&
           print(g, err);
}

static void release(golden *g) {
    for (size_t i = 0; i < GOLDEN_THREADS; i++) {
        engine_threads_free(g->threads[i]);
    }
    for (size_t i = 0; i < g->model_count; i++) {
        model_files_unmap(&g->files[i]);
    }
    memory_free(g);
}

static bool make_and_run(const option_words *words, const char *form, bool json, error *err) {
    golden *g = memory_allocate_zeroed(1, sizeof *g);
    if (g == NULL) {
        return error_memory(err);
    }
    g->paths = words->first;
    g->model_count = words->count;
    g->json = json;
    bool good = run(g, form, err);
    release(g);
    return good;
}

int engine_golden_main(int argc, char **argv) {
    const char *form = NULL;
    bool json = false;
    option_words words = {.most = GOLDEN_MODELS_MAX};
    error err;
    int status = 0;
    const option_row rows[] = {
        {"kernels", OPTION_TEXT, &form, "NAME", "only this form of the loops; else all there are", 0, 0},
        {"json", OPTION_FLAG, &json, NULL, "print it as JSON", 0, 0},
    };
    const option_table table = {
        .usage = "cellule engine golden [options] [MODEL...]",
        .summary = "Hashes what each operation of the engine gives, and what each model answers to fixed "
                   "prompts, by every form of the\nloops, with 1 to 3 threads, alone and beside others. All "
                   "must be equal, here and on any other machine; else it exits\nwith 1.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .words = &words,
        .more = "Standard output is the same on all machines: compare it with diff.",
    };
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    tool_exit(make_and_run(&words, form, json, &err) ? 0 : options_fail("cellule engine golden", &err));
}
