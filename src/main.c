#include "admin/admin.h"
#include "app_engine/engine_main.h"
#include "client/client.h"
#include "options/options.h"
#include "pool/pool.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

static int print_version(int argc, char **argv) {
    (void)argc;
    (void)argv;
    printf("cellule %s\n", CELLULE_VERSION);
    return 0;
}

int main(int argc, char **argv) {
    static const verb verbs[] = {
        {"pool", pool_main, "make a site (init), serve it (run)"},
        {"worker", worker_main, "enrol this machine (join), lend it (run)"},
        {"ask", ask_main, "ask a question, stream the answer, check its receipt"},
        {"admin", admin_main, "users, keys and workers, over the pool's API"},
        {"verify", verify_main, "check a receipt offline"},
        {"engine", engine_main, "load a model and compute; started by the worker"},
        {"version", print_version, "print the version"},
    };
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        return print_version(argc, argv);
    }
    return options_run_verb("cellule", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
