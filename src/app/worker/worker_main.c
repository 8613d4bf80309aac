#include "worker/worker.h"

#include "commands.h"
#include "options/options.h"

int worker_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"join", worker_join_main, "enrol this machine with a join token"},
        {"run", worker_run_main, "lend this machine: run a model for the pool"},
    };
    return options_run_verb("cellule worker", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
