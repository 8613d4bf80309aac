#include "app_model/tool.h"
#include "options/options.h"
#include "options/terminal.h"
#include "os/sandbox.h"
#include "summary.h"
#include "verbs.h"

#include <stdio.h>
#include <unistd.h>

enum { OUTPUT_MAX = 64 * 1024 * 1024 };

static bool print(const gguf *file, const model_files *files, bool json, error *err) {
    summary s;
    buffer out = buffer_make(OUTPUT_MAX);
    if (!summary_make(&s, file, files, err)) {
        return false;
    }
    if (json) {
        summary_append_json(&s, &out);
    } else {
        summary_append_text(&s, &out);
    }
    bool good = !buffer_failed(&out);
    if (good) {
        terminal_write(stdout, buffer_slice(&out));
        good = tool_written(err);
    } else {
        error_set(err, ERROR_LIMIT, "out of memory, or the model's keys take more than %d MiB to show",
                  OUTPUT_MAX >> 20);
    }
    buffer_free(&out);
    return good;
}

/* The file is read in the sandbox, as when it is served. */
static bool run(const char *path, bool json, error *err) {
    model_files files;
    if (!model_files_map(path, &files, err) || !sandbox_enter(err)) {
        return false;
    }
    gguf *file = gguf_open(files.parts, files.count, err);
    if (file == NULL) {
        return error_context(err, "%s", path);
    }
    bool good = print(file, &files, json, err);
    gguf_free(file);
    return good;
}

int engine_info_main(int argc, char **argv) {
    bool json = false;
    const char *path = NULL;
    error err;
    int status = 0;
    const option_row rows[] = {
        {"json", OPTION_FLAG, &json, NULL, "print it as JSON", 0, 0},
    };
    const option_table table = {
        .usage = "cellule engine info [options] FILE",
        .summary = "Says what a GGUF file holds: sizes, tensor types, tokenizer, every key; and whether its "
                   "family and "
                   "tokenizer\nare known here. Of a split model FILE is the first part.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true,
    };
    if (!options_parse(&table, argc, argv, &path, &status)) {
        return status;
    }
    status = run(path, json, &err) ? 0 : options_fail("cellule engine info", &err);
    fflush(NULL);
    _exit(status);
}
