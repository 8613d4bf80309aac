#include "privilege/privilege.h"

#include "base/log.h"
#include "crypto/secret.h"
#include "net/egress.h"
#include "os/random.h"
#include "os/sandbox.h"
#include "state.h"
#include "store/server.h"

#include <stdio.h>

enum { DNS_PORT = 53, MISSING_SIZE = 128 };

bool privilege_start(pool *p, const char *site_folder, error *err) {
    privilege *own = &p->privilege;
    bool signer_confined = false;
    bool keeper_confined = false;
    uint8_t transfer[SEAL_KEY_SIZE]; /* each has its copy; this one is wiped before anybody is listened to */
    if (!random_bytes(transfer, sizeof transfer, err)) {
        return false;
    }
    own->signer = signer_start(site_folder, transfer, &signer_confined, &own->key, err);
    if (own->signer == NULL) {
        secret_wipe(transfer, sizeof transfer);
        return error_context(err, "opening the site %s", site_folder);
    }
    own->keeper = keeper_start(site_folder, p->settings_path, transfer, &keeper_confined, err);
    secret_wipe(transfer, sizeof transfer);
    own->helpers_confined = signer_confined && keeper_confined;
    return own->keeper != NULL;
}

bool privilege_hand_over(pool *p, error *err) {
    uint8_t *seal_key = p->site.verify->session_keys;
    bool handed = session_keys_open(&p->privilege.session_keys, p->privilege.signer, seal_key, err);
    secret_wipe(seal_key, SEAL_KEY_SIZE);
    return handed;
}

static void lose(pool *p, const char *what) {
    log_error("a helper process has ended: the pool stops", LOG_TEXT("process", what));
    error_set(&p->start_failure, ERROR_IO, "the pool's %s process has ended; start the pool again", what);
    ev_loop_stop(p->loop);
}

static void signer_left(void *context, unsigned events) {
    (void)events;
    lose(context, "signer");
}

static void keeper_left(void *context, unsigned events) {
    (void)events;
    lose(context, "keeper");
}

static bool watch(pool *p, error *err) {
    privilege *own = &p->privilege;
    own->signer_watch = ev_watch_new(p->loop, helper_descriptor(own->signer), signer_left, p, err);
    own->keeper_watch = own->signer_watch == NULL
                            ? NULL
                            : ev_watch_new(p->loop, helper_descriptor(own->keeper), keeper_left, p, err);
    if (own->keeper_watch == NULL) {
        return false;
    }
    ev_watch_set(own->signer_watch, EV_HANGUP);
    ev_watch_set(own->keeper_watch, EV_HANGUP);
    return true;
}

/* Names are looked up over TCP too, where an answer is long. */
static size_t all_ports(uint16_t ports[NET_EGRESS_PORTS_MAX + 1], bool *any) {
    size_t count = 0;
    *any = !net_egress_ports(ports, &count);
    ports[count++] = DNS_PORT;
    return count;
}

/* What looking names up reads, and what a lost connection to the database takes to be made again. */
static size_t all_places(const pool *p, sandbox_place places[SANDBOX_NAME_PLACES + STORE_SERVER_FILES_MAX]) {
    const char *files[STORE_SERVER_FILES_MAX];
    size_t count = p->store == NULL ? 0 : store_server_files(p->store, files);
    memcpy(places, sandbox_name_places, sizeof sandbox_name_places);
    for (size_t i = 0; i < count; i++) {
        places[SANDBOX_NAME_PLACES + i] = (sandbox_place){files[i], SANDBOX_READ};
    }
    return SANDBOX_NAME_PLACES + count;
}

static bool needs_local(const pool *p) {
    store_server server;
    error ignored;
    return store_path_is_server(p->database) && store_server_find(p->database, &server, &ignored) &&
           server.host[0] == '\0';
}

static void say(const pool *p, bool local, const sandbox_walls *walls) {
    char missing[MISSING_SIZE];
    snprintf(missing, sizeof missing, "%s%s%s", walls->calls ? "" : " seccomp",
             walls->files ? "" : " Landlock", walls->files && !walls->ports ? " Landlock's ports" : "");
    bool whole = missing[0] == '\0' && p->privilege.helpers_confined;
    const char *connects =
        net_egress_is_empty() ? (local ? "its database" : "nobody") : "whom pool.yaml and sso.yaml name";
    if (whole) {
        log_info("confined: no files, no programs, no private key", LOG_TEXT("may_connect_to", connects));
    } else {
        log_warning("the kernel lacks what would confine this process wholly",
                    LOG_TEXT("missing", missing[0] == '\0' ? "something for a helper" : missing + 1),
                    LOG_TEXT("may_connect_to", connects));
    }
}

bool privilege_drop(pool *p, error *err) {
    uint16_t ports[NET_EGRESS_PORTS_MAX + 1];
    bool any_port = false;
    sandbox_walls walls;
    sandbox_place places[SANDBOX_NAME_PLACES + STORE_SERVER_FILES_MAX];
    sandbox_profile profile = {.rights = 0};
    if (p->privilege.signer == NULL) {
        log_warning("this pool keeps the rights of its user, as --unconfined asks");
        return true;
    }
    if (!net_egress_is_empty()) {
        profile = (sandbox_profile){.rights = SANDBOX_CONNECT | SANDBOX_READ,
                                    .places = places,
                                    .place_count = all_places(p, places),
                                    .port_count = all_ports(ports, &any_port)};
        profile.ports = any_port ? NULL : ports;
    }
    profile.rights |= needs_local(p) ? SANDBOX_LOCAL : 0;
    if (!watch(p, err) || !sandbox_confine(&profile, &walls, err)) {
        return false;
    }
    say(p, (profile.rights & SANDBOX_LOCAL) != 0, &walls);
    return true;
}

void privilege_unwatch(pool *p) {
    ev_watch_free(p->privilege.signer_watch);
    ev_watch_free(p->privilege.keeper_watch);
    p->privilege.signer_watch = NULL;
    p->privilege.keeper_watch = NULL;
}

void privilege_stop(pool *p) {
    privilege *own = &p->privilege;
    sign_key_free(own->key);
    session_keys_close(&own->session_keys);
    helper_stop(own->signer);
    helper_stop(own->keeper);
    *own = (privilege){.signer = NULL};
}
