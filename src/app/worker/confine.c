#include "confine.h"

#include "base/log.h"
#include "net/egress.h"
#include "os/sandbox.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DNS_PORT = 53, MODEL_PLACES = 2, PLACES_MAX = 64, MISSING_SIZE = 64 };

/* This program as the engine, and what it and the C library read as they start. */
static const sandbox_place engine_places[] = {
    {"/proc/self/exe", SANDBOX_START},
    {"/lib64/ld-linux-x86-64.so.2", SANDBOX_START},
    {"/lib/ld-linux-aarch64.so.1", SANDBOX_START},
    {"/lib", SANDBOX_READ},
    {"/lib64", SANDBOX_READ},
    {"/usr/lib", SANDBOX_READ},
    {"/usr/lib64", SANDBOX_READ},
    {"/usr/local/lib", SANDBOX_READ},
    {"/etc/ld.so.cache", SANDBOX_READ},
    {"/etc/ld.so.preload", SANDBOX_READ},
    {"/proc", SANDBOX_READ},
    {"/sys/devices/system", SANDBOX_READ},
    {"/dev/null", SANDBOX_READ | SANDBOX_WRITE},
};

static void folder_of(const char *path, char folder[PATH_MAX]) {
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
    snprintf(folder, PATH_MAX, "%.*s", (int)length, slash == NULL ? "." : path);
}

typedef struct place_list {
    sandbox_place all[PLACES_MAX];
    size_t count;
} place_list;

static void add(place_list *list, const sandbox_place *places, size_t count) {
    for (size_t i = 0; i < count && list->count < PLACES_MAX; i++) {
        list->all[list->count++] = places[i];
    }
}

static void say(const sandbox_walls *walls, bool starts_engine) {
    char missing[MISSING_SIZE];
    snprintf(missing, sizeof missing, "%s%s%s", walls->calls ? "" : " seccomp",
             walls->files ? "" : " Landlock", walls->files && !walls->ports ? " Landlock's ports" : "");
    if (missing[0] == '\0') {
        log_info("confined", LOG_TEXT("may_start", starts_engine ? "the engine" : "nothing"));
    } else {
        log_warning("the kernel lacks what would confine this process wholly",
                    LOG_TEXT("missing", missing + 1));
    }
}

bool worker_confine(const char *state, const char *model, bool cache, error *err) {
    char folders[MODEL_PLACES][PATH_MAX]; /* where it is named, and where a link leads */
    char real[PATH_MAX];
    uint16_t ports[NET_EGRESS_PORTS_MAX + 1];
    size_t port_count = 0;
    sandbox_walls walls;
    place_list list = {.count = 0};
    bool some_ports = net_egress_ports(ports, &port_count);
    ports[port_count++] = DNS_PORT; /* names are looked up over TCP too, where an answer is long */
    const sandbox_place own = {state, SANDBOX_READ | SANDBOX_WRITE};
    add(&list, &own, 1);
    add(&list, sandbox_name_places, SANDBOX_NAME_PLACES);
    if (model != NULL) {
        folder_of(model, folders[0]);
        folder_of(realpath(model, real) == NULL ? model : real, folders[1]);
        unsigned rights = cache ? SANDBOX_READ | SANDBOX_WRITE : SANDBOX_READ;
        const sandbox_place of_model[MODEL_PLACES] = {{folders[0], rights}, {folders[1], rights}};
        add(&list, engine_places, sizeof engine_places / sizeof engine_places[0]);
        add(&list, of_model, MODEL_PLACES);
    }
    const sandbox_profile profile = {.rights = SANDBOX_CONNECT | SANDBOX_READ | SANDBOX_WRITE |
                                               (model == NULL ? 0 : SANDBOX_START),
                                     .places = list.all,
                                     .place_count = list.count,
                                     .ports = some_ports ? ports : NULL,
                                     .port_count = port_count};
    if (!sandbox_confine(&profile, &walls, err)) {
        return false;
    }
    say(&walls, model != NULL);
    return true;
}
