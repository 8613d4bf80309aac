#include "commands.h"

#include "audit/audit.h"
#include "base/log.h"
#include "base/memory.h"
#include "crypto/key_file.h"
#include "crypto/start.h"
#include "database.h"
#include "enrol/approvals.h"
#include "job.h"
#include "options/options.h"
#include "privacy/erase.h"
#include "privacy/expire.h"
#include "recovery/officers.h"
#include "session.h"
#include "start.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { HOUSEKEEPING_MS = 60000, LAST_WORDS_MS = 100 };

typedef struct signals {
    ev_signal *terminate;
    ev_signal *interrupt;
    ev_signal *hangup;
} signals;

static void stop_loop(void *context) {
    pool *p = context;
    ev_loop_stop(p->loop);
}

/* Leaves a moment for the last bytes to go out: errors, and the close frames of the workers' connections. */
static void stop_soon(void *context) {
    pool *p = context;
    ev_timer_stop(&p->drain_timer);
    ev_timer_init(&p->drain_timer, stop_loop, p);
    ev_timer_start(p->loop, &p->drain_timer, LAST_WORDS_MS);
}

static void drain_is_over(void *context) {
    pool *p = context;
    log_warning("drain timeout: answers under way are cut off");
    job_end_all(p);
    stop_soon(p);
}

/* SIGTERM, SIGINT: no new questions; answers under way end; workers are sent away. A second signal stops at
 * once. */
static void terminate(void *context) {
    pool *p = context;
    if (p->draining) {
        ev_loop_stop(p->loop);
        return;
    }
    log_info("draining");
    p->draining = true;
    ev_timer_init(&p->drain_timer, drain_is_over, p);
    ev_timer_start(p->loop, &p->drain_timer, p->settings.drain_timeout_ms);
    job_end_queued(p);
    session_drain_all(p);
    http_server_drain(p->server, stop_soon, p);
}

static void reload(void *context) {
    pool_reload(context);
}

static bool start_signals(pool *p, signals *all, error *err) {
    all->terminate = ev_signal_new(p->loop, SIGTERM, terminate, p, err);
    all->interrupt = all->terminate == NULL ? NULL : ev_signal_new(p->loop, SIGINT, terminate, p, err);
    all->hangup = all->interrupt == NULL ? NULL : ev_signal_new(p->loop, SIGHUP, reload, p, err);
    return all->hangup != NULL;
}

static bool serve(pool *p, error *err) {
    signals all = {0};
    if (!audit_boot(p, err)) {
        return false;
    }
    if (p->start_failure.code != ERROR_NONE) {
        *err = p->start_failure;
        return false;
    }
    if (p->privilege.keeper != NULL) {
        key_file_forget(); /* the keeper has the passphrase */
    }
    /* All is open; threads begin behind the walls. */
    bool ready = privilege_drop(p, err) && store_start(p->store, p->loop, err) && log_start(err) &&
                 start_signals(p, &all, err);
    if (ready) {
        approvals_announce(p);
        erase_go_on(p);
        privacy_expire(p);
        officers_announce(p, true);
        ev_timer_start_repeating(p->loop, &p->housekeeping_timer, HOUSEKEEPING_MS);
        log_info("serving", LOG_TEXT("listen", p->settings.listen), LOG_U64("port", p->port),
                 LOG_TEXT("pool_id", p->site.pool_id_hex), LOG_U64("keys", accounts_count(p->accounts)),
                 LOG_U64("workers", fleet_count(p->fleet)));
        ev_loop_run(p->loop);
        log_info("stopped");
    }
    ev_signal_free(all.terminate);
    ev_signal_free(all.interrupt);
    ev_signal_free(all.hangup);
    if (ready && p->start_failure.code != ERROR_NONE) {
        *err = p->start_failure;
        return false;
    }
    return ready;
}

typedef struct run_options {
    const char *site;
    const char *config;
    const char *database;
    const char *passphrase_file;
    bool check;
    bool unconfined;
} run_options;

/* Before anything of the site is opened. A mere look at the settings leaves no mark. */
static bool check_release(pool *p, const run_options *options, error *err) {
    release_check check = {.policy = p->settings.release_check,
                           .keys_file = p->settings.release_keys,
                           .state_folder = options->site,
                           .only_look = options->check};
    return release_check_self(&check, &p->release, err);
}

static bool choose_database(pool *p, const run_options *options, error *err) {
    p->database = options->database != NULL ? options->database : p->settings.database;
    return database_check_setting(p->database, err);
}

static int run_pool(const run_options *options, const char *settings_path) {
    error err = {0};
    int status = 1;
    pool *p = memory_allocate_zeroed(1, sizeof *p);
    if (p == NULL) {
        error_memory(&err);
        return options_fail("cellule pool run", &err);
    }
    p->settings_path = settings_path;
    p->check_only = options->check;
    (void)signal(SIGXFSZ, SIG_IGN); /* a file at its size limit fails the write, not the pool */
    memory_wipe_freed();            /* what is asked and answered goes through here */
    bool settled = crypto_start(&err) && key_file_use_from(options->passphrase_file, &err) &&
                   site_exists(options->site, &err) &&
                   pool_settings_load(settings_path, &p->settings, &err) && choose_database(p, options, &err);
    if (settled) {
        pool_configure_log(&p->settings);
    }
    bool apart = settled && !options->check && !options->unconfined;
    bool released = settled && check_release(p, options, &err);
    bool served = released && options->check && site_is_served(options->site);
    bool started = released && !served && (!apart || privilege_start(p, options->site, &err)) &&
                   pool_start(p, options->site, &err);
    if (served && pool_check_certificate(options->site, &err)) {
        printf("the settings and the server certificate are in order; a pool serves the site %s and holds "
               "its keys "
               "and its database\n",
               options->site);
        status = 0;
    } else if (started && options->check) {
        printf("the settings and the site %s are in order\n", options->site);
        status = 0;
    } else if (started && serve(p, &err)) {
        status = 0;
    }
    if (status != 0) {
        options_fail("cellule pool run", &err);
    }
    pool_stop(p);
    log_stop();
    key_file_forget();
    crypto_stop();
    memory_free(p);
    if (apart && started) {
        (void)fflush(NULL);
        _exit(status); /* not by way of exit handlers, which may want rights that are gone */
    }
    return status;
}

int pool_run_main(int argc, char **argv) {
    run_options options = {.site = "./site"};
    const option_row rows[] = {
        {"site", OPTION_TEXT, &options.site, "DIR", "the site's folder", 0, 0},
        {"config", OPTION_TEXT, &options.config, "FILE", "settings in YAML, instead of DIR/pool.yaml", 0, 0},
        {"database", OPTION_TEXT, &options.database, "URL", "this database, whatever the settings say", 0, 0},
        OPTION_PASSPHRASE_ROW(&options.passphrase_file),
        {"unconfined", OPTION_FLAG, &options.unconfined, NULL,
         "keep the rights of the user who runs it: for debuggers", 0, 0},
        {"check", OPTION_FLAG, &options.check, NULL, "check settings, keys and database, then exit", 0, 0},
    };
    char *settings = pool_settings_describe();
    const option_table table = {
        .usage = "cellule pool run [options]",
        .summary =
            "Serves a site until SIGTERM, which lets answers under way end. SIGHUP rereads the certificate\n"
            "and the settings.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .more = settings,
    };
    int status = 0;
    char path[SITE_PATH_SIZE];
    error err = {0};
    bool parsed = options_parse(&table, argc, argv, NULL, &status);
    memory_free(settings);
    if (!parsed) {
        return status;
    }
    if (!site_path(options.site, SITE_SETTINGS, path, &err)) {
        return options_fail("cellule pool run", &err);
    }
    return run_pool(&options, options.config != NULL ? options.config : path);
}
