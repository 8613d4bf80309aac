#include "admin/admin.h"
#include "app_engine/engine_main.h"
#include "app_release/release_main.h"
#include "client/client.h"
#include "mcp/mcp.h"
#include "options/options.h"
#include "pool/pool.h"
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int print_version(int argc, char **argv) {
    (void)argc;
    (void)argv;
    printf("cellule %s\n", CELLULE_VERSION);
    return 0;
}

/* A file that is opened must not get the number of a standard one that the caller has closed: what is meant
 * for a reader would be written into it. Its place is taken so that reading or writing it still fails. */
static bool keep_standard_places(void) {
    static const int modes[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int place = STDIN_FILENO; place <= STDERR_FILENO; place++) {
        if (fcntl(place, F_GETFD) < 0 && open("/dev/null", modes[place]) != place) {
            return false;
        }
    }
    return true;
}

/* Who asked must not take for success what was printed to nobody, or in part: a full disk is told only when
 * the last of it is written. */
static int finish(int status) {
    errno = 0;
    bool written = fflush(stdout) == 0;
    int reason = errno;
    if (written && ferror(stdout) == 0) {
        return status;
    }
    if (reason != EPIPE) { /* a reader who has seen enough knows */
        fprintf(stderr,
                "cellule: not all of the output was written%s%s; make room for it and look what was done\n",
                reason == 0 ? "" : ": ", reason == 0 ? "" : strerror(reason));
    }
    return status == 0 ? 1 : status;
}

int main(int argc, char **argv) {
    static const verb verbs[] = {
        {"pool", pool_main, "make a site (init), serve it (run)"},
        {"worker", worker_main, "enrol this machine (join), lend it (run)"},
        {"login", login_main, "log in by single sign-on, for ask and admin"},
        {"logout", logout_main, "end that login"},
        {"ask", ask_main, "ask a question, stream the answer, check its receipt"},
        {"key", key_main, "your own keys: make, exchange, revoke"},
        {"memory", memory_main, "what the pool remembers for you, and which keys open what you keep"},
        {"mcp", mcp_main, "serve one's facts to an agent (Model Context Protocol)"},
        {"conversation", conversation_main, "what you keep: list, read, find, write out, delete"},
        {"privacy", privacy_main, "all that is kept of you: write it out, erase it"},
        {"admin", admin_main, "users, keys and workers, over the pool's API"},
        {"verify", verify_main, "check a receipt, evidence, an audit log or a release offline"},
        {"engine", engine_main, "load a model and compute; started by the worker"},
        {"release", release_main, "for maintainers: keys, manifests, signatures"},
        {"version", print_version, "print the version"},
    };
    if (!keep_standard_places()) {
        return 1;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        return finish(print_version(argc, argv));
    }
    return finish(options_run_verb("cellule", verbs, sizeof verbs / sizeof verbs[0], argc, argv));
}
