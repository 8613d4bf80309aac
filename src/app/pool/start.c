#include "start.h"

#include "audit/audit.h"
#include "auth/token.h"
#include "base/log.h"
#include "codec/json.h"
#include "database.h"
#include "egress.h"
#include "enrol/approvals.h"
#include "enrol/certificates.h"
#include "hooks.h"
#include "job.h"
#include "memory/index.h"
#include "memory/keyring.h"
#include "memory/reading.h"
#include "os/host.h"
#include "os/random.h"
#include "privacy/erase.h"
#include "privacy/expire.h"
#include "proof/names.h"
#include "proof/proof.h"
#include "receipts.h"
#include "recovery/requests.h"
#include "rekey/rekey.h"
#include "routes.h"
#include "secrets/secrets.h"
#include "session.h"
#include "sso/backchannel.h"
#include "sso/browser.h"
#include "sso/device.h"
#include "sso/logins.h"
#include "sso/providers.h"
#include "sso/strangers.h"
#include "store/keys.h"
#include "yaml.h"

#include <stdio.h>
#include <sys/resource.h>

enum { SCRATCH_LIMIT = 8 * 1024 * 1024, OUTPUT_LIMIT = 4 * 1024 * 1024, NAMES_LIMIT = 4096 };

void pool_arm_dispatch(pool *p) {
    uint64_t now = ev_now_ms(p->loop);
    uint64_t next = dispatch_next_deadline(p->dispatch);
    if (next == UINT64_MAX) {
        ev_timer_stop(&p->dispatch_timer);
    } else {
        ev_timer_start(p->loop, &p->dispatch_timer, next > now ? next - now : 0);
    }
}

static void tick_dispatch(void *context) {
    pool *p = context;
    dispatch_tick(p->dispatch, ev_now_ms(p->loop));
    pool_arm_dispatch(p);
}

static void keep_house(void *context) {
    receipts_expire(context);
    proof_keep_house(context);
    logins_keep_house(context);
    devices_keep_house(context);
    browsers_keep_house(context);
    backchannel_keep_house(context);
    pool *p = context;
    readings_keep_house(p);
    keyring_keep_house(p->keyring);
    erase_go_on(p);
    privacy_expire(p);
    indexes_reconsider(p->indexes);
    recoveries_keep_house(p->recoveries);
    if (!p->models_compared) { /* the workers have had time to come */
        p->models_compared = true;
        names_warn_of_models(p);
    }
}

static void on_request(void *context, http_request *request) {
    routes_handle(context, request);
}

static void raise_descriptor_limit(const pool *p) {
    struct rlimit limit;
    rlim_t wanted = (rlim_t)p->settings.connections_limit + 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
            log_warning("fewer descriptors than connections_limit", LOG_U64("limit", limit.rlim_cur));
        }
    }
}

static void keys_loaded(void *context, const store_loaded_key *keys, size_t count, const error *failure) {
    pool *p = context;
    error err = {0};
    for (size_t i = 0; failure == NULL && i < count; i++) {
        if (!accounts_add_stored(p->accounts, &keys[i], &err)) {
            failure = &err;
        }
    }
    if (failure != NULL) {
        p->start_failure = *failure;
    }
}

static void workers_loaded(void *context, const store_worker *workers, size_t count, const error *failure) {
    pool *p = context;
    error err = {0};
    for (size_t i = 0; failure == NULL && i < count; i++) {
        if (!fleet_put_stored(p->fleet, &workers[i], &err)) {
            failure = &err;
        }
    }
    if (failure != NULL) {
        p->start_failure = *failure;
    }
    fleet_link_all(p->fleet);
}

/* The database is read before the loop runs: a store without a loop runs each operation at once. */
static bool load_database(pool *p, store *database, error *err) {
    bool loaded = store_load_keys(database, keys_loaded, p, err) &&
                  store_load_workers(database, workers_loaded, p, err) && proof_load(p, database, err) &&
                  rekey_load(p, database, err) &&
                  audit_load(p, database, p->check_only ? UINT64_MAX : AUDIT_AT_ONCE, err) &&
                  logins_load(p, database, err);
    if (loaded && p->start_failure.code != ERROR_NONE) {
        *err = p->start_failure;
        loaded = false;
    }
    return loaded;
}

static bool open_store(pool *p, error *err) {
    p->accounts = accounts_new(err);
    p->fleet = p->accounts == NULL ? NULL : fleet_new(p->map_seed, err);
    p->scratch = arena_new(SCRATCH_LIMIT);
    if (p->fleet == NULL || p->scratch == NULL) {
        return error_memory(err);
    }
    p->store = site_database_open(p->site.folder, p->database, true, err);
    if (p->store == NULL || !load_database(p, p->store, err)) {
        return false;
    }
    audit_start(p);
    return true;
}

static void fill_dispatch_config(const pool *p, dispatch_config *config) {
    const pool_settings *s = &p->settings;
    *config = dispatch_config_default();
    config->queue_deadline_ms = s->queue_deadline_ms;
    config->model_grace_ms = s->model_grace_ms;
    config->job_deadline_ms = s->job_deadline_ms;
    config->first_token_timeout_ms = s->first_token_timeout_ms;
    config->progress_timeout_ms = s->progress_timeout_ms;
    config->dead_after_ms = s->beat_ms * 5 / 2;
    config->queue_limit = s->queue_limit;
    config->queue_limit_per_user = s->queue_limit_per_user;
    config->max_attempts = (uint32_t)s->attempts_limit;
    config->credit_window = (uint32_t)s->credit_window;
    memcpy(config->map_seed, p->map_seed, sizeof config->map_seed);
}

static bool start_dispatch(pool *p, error *err) {
    dispatch_config config;
    dispatch_hooks hooks = pool_dispatch_hooks(p);
    fill_dispatch_config(p, &config);
    p->dispatch = dispatch_new(&config, &hooks, err);
    return p->dispatch != NULL;
}

static bool start_tls(pool *p, error *err) {
    certificate_pair server;
    if (!site_read_server(p->site.folder, &server, err)) {
        return false;
    }
    secrets_presents(p, buffer_slice(&server.certificate));
    p->tls = net_tls_server_new(buffer_slice(&server.certificate), buffer_slice(&server.key), err);
    certificate_pair_free(&server);
    return p->tls != NULL ||
           error_context(err, "%s/server.pem, %s/server.key", p->site.folder, p->site.folder);
}

static const char plain_http_answer[] =
    "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n"
    "{\"error\":{\"message\":\"this address speaks HTTPS only: begin the URL with https://\","
    "\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"https_wanted\"}}";

static bool start_network(pool *p, error *err) {
    net_config config = net_config_default();
    config.connection_limit = (size_t)p->settings.connections_limit;
    config.plain_answer = slice_of_text(plain_http_answer);
    p->net = net_new(p->loop, &config, err);
    return p->net != NULL;
}

static bool start_server(pool *p, error *err) {
    static const http_server_handlers handlers = {
        .on_request = on_request, .choose_body = routes_expect_body, .error_body = routes_error_body};
    const pool_settings *s = &p->settings;
    http_server_config config = http_server_config_default();
    slice host;
    uint16_t port = 0;
    char address[AUTH_ADDRESS_MAX + 1];
    config.body_limit = (size_t)s->body_limit;
    config.memory_limit = (size_t)s->body_limit * 2 + SCRATCH_LIMIT;
    config.output_limit = OUTPUT_LIMIT;
    config.head_timeout_ms = (uint32_t)s->head_timeout_ms;
    config.body_timeout_ms = (uint32_t)s->body_timeout_ms;
    config.idle_timeout_ms = (uint32_t)s->idle_timeout_ms;
    config.write_timeout_ms = (uint32_t)s->write_timeout_ms;
    p->server = http_server_new(p->net, &config, &handlers, p, err);
    if (p->server == NULL) {
        return false;
    }
    if (!auth_address_split(slice_of_text(s->listen), &host, &port)) {
        return error_set(err, ERROR_INVALID, "listen: \"%s\" is not ADDRESS:PORT; correct it", s->listen);
    }
    snprintf(address, sizeof address, "%.*s", SLICE_FORMAT(host));
    return http_server_listen(p->server, address, port, p->tls, &p->port, err) ||
           error_context(err, "listening on %s", s->listen);
}

static void find_host_name(pool *p) {
    host_names names = {0};
    error err = {0};
    if (host_find_names(&names, &err) && names.name_count > 0) {
        snprintf(p->host_name, sizeof p->host_name, "%s", names.names[0]);
    }
}

void pool_configure_log(const pool_settings *settings) {
    log_level level = LOG_INFO;
    if (log_level_parse(settings->log_level, &level)) {
        log_configure(level, strcmp(settings->log_format, "json") == 0);
    }
}

/* Each step leaves the pool in a state that pool_stop can undo. */
bool pool_start(pool *p, const char *site_folder, error *err) {
    uint64_t json_seed = 0;
    list_init(&p->jobs);
    list_init(&p->stalled);
    list_init(&p->sessions);
    list_init(&p->readings);
    list_init(&p->lessons);
    list_init(&p->embeddings);
    list_init(&p->embedding_requests);
    list_init(&p->erasings);
    ev_timer_init(&p->dispatch_timer, tick_dispatch, p);
    ev_timer_init(&p->stall_timer, job_check_stalled, p);
    ev_timer_init(&p->housekeeping_timer, keep_house, p);
    ev_timer_init(&p->drain_timer, NULL, NULL); /* run.c says what it does */
    rekey_init(p);
    if (!random_bytes(p->map_seed, sizeof p->map_seed, err) ||
        !random_bytes(&json_seed, sizeof json_seed, err)) {
        return false;
    }
    json_start(json_seed);
    raise_descriptor_limit(p);
    find_host_name(p);
    sign_key *key = p->privilege.key;
    p->privilege.key = NULL;
    if (!egress_start(p, err)) {
        sign_key_free(key);
        return false;
    }
    if (!site_open_with(site_folder, key, &p->site, err) || !privilege_hand_over(p, err) ||
        !secrets_start(p, err)) {
        return false;
    }
    p->loop = ev_loop_new(err);
    p->keyring = p->loop == NULL ? NULL : keyring_new(p, err);
    p->indexes = p->keyring == NULL ? NULL : indexes_new(p, err);
    p->recoveries = p->indexes == NULL ? NULL : recoveries_new(p, err);
    if (p->recoveries == NULL || !open_store(p, err) || !start_dispatch(p, err) || !start_tls(p, err) ||
        !certificates_start(p, err) || !start_network(p, err) || !start_server(p, err)) {
        return false;
    }
    if (!providers_load(p, err) || !devices_start(p, err) || !browsers_start(p, err) ||
        !backchannel_start(p, err) || !strangers_start(p, err)) {
        return false;
    }
    proof_start(p);
    names_warn_of_tiers(p);
    return true;
}

/* Nothing is to be done from time to time any more; but what threads have begun comes to its end while all
 * that it uses is there. */
static void settle(pool *p) {
    if (p->loop == NULL) {
        return;
    }
    ev_timer_stop(&p->dispatch_timer);
    ev_timer_stop(&p->stall_timer);
    ev_timer_stop(&p->housekeeping_timer);
    ev_timer_stop(&p->drain_timer);
    rekey_stop(p);
    ev_loop_settle(p->loop);
}

/* In the order in which things use each other. */
void pool_stop(pool *p) {
    p->stopping = true;
    if (p->dispatch != NULL) {
        job_end_all(p);
    }
    egress_stop();
    proof_stop(p);
    indexes_stop(p->indexes);
    http_server_free(p->server);
    providers_stop(p->providers);
    net_free(p->net);
    store_settle(p->store);
    settle(p);
    indexes_end(p->indexes);
    secrets_stop(p);
    net_tls_free(p->tls);
    certificates_stop(p);
    audit_stop(p);
    store_close(p->store);
    providers_free(p->providers);
    dispatch_free(p->dispatch);
    devices_free(p->devices);
    browsers_free(p->browsers);
    backchannel_free(p->backchannel);
    strangers_free(p->strangers);
    logins_free(p->logins);
    recoveries_free(p->recoveries);
    p->recoveries = NULL;
    keyring_free(p->keyring);
    indexes_free(p->indexes);
    accounts_free(p->accounts);
    fleet_free(p->fleet);
    arena_free(p->scratch);
    privilege_unwatch(p);
    ev_loop_free(p->loop);
    site_close(&p->site);
    release_status_free(&p->release);
    privilege_stop(p);
    pool_settings_free(&p->settings);
}

bool pool_check_certificate(const char *site_folder, error *err) {
    certificate_pair server;
    if (!site_read_server(site_folder, &server, err)) {
        return false;
    }
    net_tls *tls = net_tls_server_new(buffer_slice(&server.certificate), buffer_slice(&server.key), err);
    bool good = tls != NULL || error_context(err, "%s/server.pem, %s/server.key", site_folder, site_folder);
    certificate_pair_free(&server);
    net_tls_free(tls);
    return good;
}

static void reload_certificate(pool *p) {
    certificate_pair server;
    error err = {0};
    bool read = p->privilege.keeper != NULL ? keeper_read_server(p->privilege.keeper, &server, &err)
                                            : site_read_server(p->site.folder, &server, &err);
    if (!read) {
        log_error("certificate not reloaded", LOG_CAUSE(&err));
        return;
    }
    secrets_presents(p, buffer_slice(&server.certificate));
    if (net_tls_server_reload(p->tls, buffer_slice(&server.certificate), buffer_slice(&server.key), &err)) {
        log_info("certificate reloaded");
    } else {
        log_error("certificate not reloaded", LOG_CAUSE(&err));
    }
    certificate_pair_free(&server);
}

static bool read_settings(pool *p, pool_settings *settings, error *err) {
    if (p->privilege.keeper == NULL) {
        return pool_settings_load(p->settings_path, settings, err);
    }
    buffer text = buffer_make(YAML_SIZE_MAX);
    bool loaded = keeper_read_settings(p->privilege.keeper, &text, err) &&
                  pool_settings_parse(buffer_slice(&text), settings, err);
    buffer_free(&text);
    return loaded || error_context(err, "the configuration %s", p->settings_path);
}

/* Settings that count at the start only. */
static void tell_what_waits(const pool *p, const pool_settings *read) {
    buffer names = buffer_make(NAMES_LIMIT);
    pool_settings_list_waiting(&p->settings, read, &names);
    if (buffer_length(&names) > 0 && !buffer_failed(&names)) {
        log_warning("these settings were changed, but don't count before the pool is started again",
                    LOG_SLICE("settings", buffer_slice(&names)));
    }
    buffer_free(&names);
}

static void reload_settings(pool *p) {
    pool_settings settings;
    error err = {0};
    if (!read_settings(p, &settings, &err)) {
        log_error("settings not reloaded", LOG_CAUSE(&err));
        return;
    }
    bool asked = approval_is_asked(p);
    pool_settings_swap(&p->settings, &settings);
    dispatch_config config;
    fill_dispatch_config(p, &config);
    if (dispatch_configure(p->dispatch, &config, &err)) {
        pool_configure_log(&p->settings);
        log_info("settings reloaded");
        if (strcmp(settings.worker_releases, p->settings.worker_releases) != 0) {
            session_greet_again(p);
        }
        tell_what_waits(p, &settings);
        names_warn_of_tiers(p);
        names_warn_of_models(p);
        indexes_reconsider(p->indexes);
        if (approval_is_asked(p) != asked) {
            approvals_announce(p);
        }
        if (strcmp(settings.recovery_officers, p->settings.recovery_officers) != 0 ||
            settings.recovery_needed != p->settings.recovery_needed) {
            officers_announce(p, false);
        }
    } else {
        pool_settings_swap(&p->settings, &settings);
        log_error("settings not reloaded", LOG_CAUSE(&err));
    }
    pool_settings_free(&settings);
}

void pool_reload(pool *p) {
    audit_note_event(p, "pool_reload", (slice){NULL, 0}, NULL);
    reload_certificate(p);
    reload_settings(p);
    privacy_expire(p); /* what is kept may be kept for a shorter time now */
}
