#include "app_engine/engine_main.h"

#include "options/options.h"
#include "verbs.h"

#include <string.h>

static const verb verbs[] = {
    {"serve", engine_serve_main, "load a model and compute; what the worker starts, over a pipe"},
    {"run", engine_run_main, "answer a prompt, here"},
    {"bench", engine_bench_main, "say how fast a model is here"},
    {"golden", engine_golden_main, "hash what this machine computes, to be compared with another"},
    {"info", engine_info_main, "say what a model file holds"},
};

int engine_main(int argc, char **argv) {
    /* `cellule engine --model FILE` serves. */
    if (argc > 1 && strncmp(argv[1], "--", 2) == 0 && strcmp(argv[1], "--help") != 0) {
        return engine_serve_main(argc, argv);
    }
    return options_run_verb("cellule engine", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
