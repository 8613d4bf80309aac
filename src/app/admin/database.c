#include "call.h"

#include "net/egress.h"
#include "os/clock.h"
#include "store/copy.h"
#include "store/server.h"

#include <stdio.h>
#include <sys/stat.h>

/* `cellule admin database`: what is done with a site's database while no pool serves it. */

/* SLOW: who waits longer than that is told how far it is, and again each time as much has passed. */
enum { SLOW_MS = 2000 };

typedef struct watch {
    uint64_t told_ms;
} watch;

static void tell(void *context, const store_copy_progress *progress) {
    watch *w = context;
    uint64_t now = clock_monotonic_ms();
    if (now - w->told_ms >= SLOW_MS) {
        w->told_ms = now;
        fprintf(stderr, "%s: %llu of %llu rows; %llu in all so far\n", progress->table,
                (unsigned long long)progress->rows, (unsigned long long)progress->of,
                (unsigned long long)progress->all_rows);
    }
}

/* Who writes the address here means it, wherever it lies. */
static bool let_through(const char *path, error *err) {
    store_server server;
    return !store_path_is_server(path) ||
           (store_server_find(path, &server, err) &&
            (server.host[0] == '\0' ||
             net_egress_allow_host(slice_of_text(server.host), server.port, true, err)));
}

/* One file, by whatever names: its own lock would be taken for another program's. */
static bool are_two(const char *from, const char *to, error *err) {
    struct stat a;
    struct stat b;
    bool one = !store_path_is_server(from) && !store_path_is_server(to) && stat(from, &a) == 0 &&
               stat(to, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    return !one ||
           error_set(err, ERROR_INVALID, "%s and %s are the same file; name another to copy into", from, to);
}

static int copy(int argc, char **argv) {
    static const char program[] = "cellule admin database copy";
    option_words words = {.least = 2, .most = 2};
    const option_table table = {
        .usage = "cellule admin database copy FROM TO",
        .summary =
            "Copies a site's database, a file or postgresql://user@host/name, into an empty one of either "
            "kind,\nall of it or nothing. The pool must be stopped; then name TO as database in pool.yaml.",
        .words = &words};
    int status = 0;
    error err = {0};
    uint64_t rows = 0;
    watch w = {.told_ms = clock_monotonic_ms()};
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    net_egress_begin("");
    if (!are_two(words.first[0], words.first[1], &err) || !let_through(words.first[0], &err) ||
        !let_through(words.first[1], &err) ||
        !store_copy(words.first[0], words.first[1], tell, &w, &rows, &err)) {
        return options_fail(program, &err);
    }
    printf("copied %llu rows; every table was counted\n", (unsigned long long)rows);
    return 0;
}

int admin_database_main(int argc, char **argv) {
    static const verb verbs[] = {{"copy", copy, "into another file or PostgreSQL"}};
    return options_run_verb("cellule admin database", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
