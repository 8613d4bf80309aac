#include "audit/audit.h"
#include "auth/role.h"
#include "auth/token.h"
#include "base/memory.h"
#include "codec/json.h"
#include "codec/json_writer.h"
#include "commands.h"
#include "crypto/key_file.h"
#include "crypto/secret.h"
#include "crypto/start.h"
#include "database.h"
#include "egress.h"
#include "options/options.h"
#include "os/clock.h"
#include "os/random.h"
#include "store/keys.h"

#include <stdio.h>

/* The way back of an admin who has lost every key, for whoever can read the site's folder: it holds the
 * pool's own keys, so that this gives nobody a right that he didn't have. */

enum { ANSWER_LIMIT = 4096 };

typedef struct admin_key_options {
    const char *site;
    const char *admin;
    const char *passphrase_file;
    bool json;
} admin_key_options;

/* What is known of the name; the store answers at once, as it has no loop. */
typedef struct search {
    slice name;
    uint64_t last;
    size_t count;
    bool found;
    bool disabled;
    bool is_admin;
    error failure;
} search;

static void users_listed(void *context, const store_user *users, size_t count, const error *failure) {
    search *s = context;
    s->count = count;
    if (failure != NULL) {
        s->failure = *failure;
    }
    for (size_t i = 0; i < count; i++) {
        s->last = users[i].id;
        if (slice_equal(users[i].name, s->name)) {
            s->found = true;
            s->disabled = users[i].disabled;
            s->is_admin = slice_equal_text(users[i].role, auth_role_name(AUTH_IT_ADMIN));
        }
    }
}

static bool find_admin(store *database, search *s, error *err) {
    do {
        s->count = 0;
        if (!store_user_list(database, s->last, STORE_LIST_MAX, users_listed, s, err)) {
            return false;
        }
        if (s->failure.code != ERROR_NONE) {
            *err = s->failure;
            return false;
        }
    } while (!s->found && s->count == STORE_LIST_MAX);
    if (s->found && (s->disabled || !s->is_admin)) {
        return error_set(err, ERROR_CONFLICT, "%.*s is %s; name another with --admin", SLICE_FORMAT(s->name),
                         s->disabled ? "disabled" : "no it_admin");
    }
    return true;
}

static void key_added(void *context, const store_loaded_key *key, const error *failure) {
    (void)key;
    if (failure != NULL) {
        *(error *)context = *failure;
    }
}

static bool add_key(store *database, const search *s, char text[AUTH_USER_KEY_LENGTH + 1], error *err) {
    uint8_t secret[AUTH_SECRET_SIZE];
    store_new_key key = {.label = SLICE_LITERAL("made on the pool's machine"), .created_ms = clock_unix_ms()};
    error failure = {0};
    if (!random_bytes(secret, sizeof secret, err)) {
        return false;
    }
    auth_user_key_make(secret, text);
    secret_wipe(secret, sizeof secret);
    bool added = auth_user_key_hash(slice_of_text(text), key.token_hash, err) &&
                 (s->found ? store_key_add(database, s->name, &key, key_added, &failure, err)
                           : store_user_add(database, s->name, slice_of_text(auth_role_name(AUTH_IT_ADMIN)),
                                            &key, key_added, &failure, err));
    if (added && failure.code != ERROR_NONE) {
        *err = failure;
        added = false;
    }
    return added;
}

/* The entry first: without it there is no key. */
static bool make_key(pool *p, const admin_key_options *options, char text[AUTH_USER_KEY_LENGTH + 1],
                     error *err) {
    char path[SITE_PATH_SIZE];
    search s = {.name = slice_of_text(options->admin)};
    const audit_record record = {.outcome = AUDIT_ALLOWED,
                                 .action = "admin_key_made",
                                 .target = SLICE_LITERAL("cellule pool admin-key"),
                                 .person = s.name,
                                 .detail = "on the pool's machine, while it was stopped"};
    if (!store_user_name_is_valid(s.name)) {
        return error_set(err, ERROR_INVALID, "--admin takes 1 to 64 of a-z, 0-9 and . _ @ -");
    }
    if (!site_path(options->site, SITE_SETTINGS, path, err) || !site_exists(options->site, err) ||
        !pool_settings_load(path, &p->settings, err) || !egress_start(p, err) ||
        !site_open(options->site, &p->site, err)) {
        return false;
    }
    store *database = site_database_open(p->site.folder, p->settings.database, false, err);
    bool made = database != NULL && find_admin(database, &s, err) &&
                audit_enter_stopped(p, database, &record, err) && add_key(database, &s, text, err);
    store_close(database);
    audit_stop(p);
    return made;
}

static bool print_key(const admin_key_options *options, const char *key, error *err) {
    if (!options->json) {
        printf("key of %s (%s):\n%s\nIt is shown only now: keep it safe.\n", options->admin,
               auth_role_name(AUTH_IT_ADMIN), key);
        return true;
    }
    buffer text = buffer_make(ANSWER_LIMIT);
    json_writer w = json_writer_make(&text);
    json_write_object_begin(&w);
    json_add_text(&w, "admin", slice_of_text(options->admin));
    json_add_text(&w, "admin_key", slice_of_text(key));
    json_write_object_end(&w);
    bool written = !buffer_failed(&text) || error_memory(err);
    if (written) {
        printf("%.*s\n", SLICE_FORMAT(buffer_slice(&text)));
    }
    buffer_wipe(&text);
    return written || error_context(err, "the key is made, but can't be shown: make another");
}

static int run(const admin_key_options *options) {
    error err = {0};
    uint64_t seed = 0;
    char key[AUTH_USER_KEY_LENGTH + 1] = "";
    pool *p = memory_allocate_zeroed(1, sizeof *p);
    if (p == NULL) {
        error_memory(&err);
        return options_fail("cellule pool admin-key", &err);
    }
    bool made = crypto_start(&err) && key_file_use_from(options->passphrase_file, &err) &&
                random_bytes(&seed, sizeof seed, &err) && random_bytes(p->map_seed, sizeof p->map_seed, &err);
    if (made) {
        json_start(seed);
        made = make_key(p, options, key, &err);
        egress_stop();
        site_close(&p->site);
        pool_settings_free(&p->settings);
    }
    made = made && print_key(options, key, &err);
    secret_wipe(key, sizeof key);
    memory_free(p);
    key_file_forget();
    crypto_stop();
    return made ? 0 : options_fail("cellule pool admin-key", &err);
}

int pool_admin_key_main(int argc, char **argv) {
    admin_key_options options = {.site = "./site", .admin = "admin"};
    const option_row rows[] = {
        {"site", OPTION_TEXT, &options.site, "DIR", "the site's folder", 0, 0},
        {"admin", OPTION_TEXT, &options.admin, "NAME", "whose key; added as it_admin if there is none", 0, 0},
        OPTION_PASSPHRASE_ROW(&options.passphrase_file),
        {"json", OPTION_FLAG, &options.json, NULL, "print the result as JSON", 0, 0},
    };
    const option_table table = {
        .usage = "cellule pool admin-key [options]",
        .summary =
            "Makes a key for an admin, on the machine of a pool that is stopped: the way back when every "
            "key\nis lost or revoked. It is entered in the audit log.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    int status = 0;
    return options_parse(&table, argc, argv, NULL, &status) ? run(&options) : status;
}
