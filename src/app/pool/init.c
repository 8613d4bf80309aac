#include "commands.h"

#include "auth/role.h"
#include "auth/token.h"
#include "base/memory.h"
#include "codec/json_writer.h"
#include "crypto/key_file.h"
#include "crypto/secret.h"
#include "crypto/start.h"
#include "database.h"
#include "net/egress.h"
#include "options/options.h"
#include "os/clock.h"
#include "os/host.h"
#include "os/random.h"
#include "secrets/staging.h"
#include "settings.h"
#include "site.h"
#include "store/users.h"

#include <stdio.h>
#include <string.h>

enum { EXTRA_NAMES_LIMIT = 16, NAMES_LIMIT = HOST_NAME_LIMIT + HOST_ADDRESS_LIMIT + EXTRA_NAMES_LIMIT + 4 };

typedef struct init_options {
    const char *site;
    const char *listen;
    const char *names; /* further names and addresses for the certificate, comma-separated */
    const char *admin;
    const char *approval;
    const char *database;
    const char *passphrase_file;
    bool json;
} init_options;

/* What the server certificate is made out for. */
typedef struct server_names {
    host_names host;
    char extra[1024];
    const char *names[NAMES_LIMIT];
    const char *addresses[NAMES_LIMIT];
    certificate_names list;
} server_names;

static void add_name(server_names *all, const char *name, bool is_address) {
    const char **list = is_address ? all->addresses : all->names;
    size_t *count = is_address ? &all->list.address_count : &all->list.name_count;
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(list[i], name) == 0) {
            return;
        }
    }
    if (*count < NAMES_LIMIT) {
        list[(*count)++] = name;
    }
}

static bool looks_like_address(const char *name) {
    return strchr(name, ':') != NULL || name[strspn(name, "0123456789.")] == '\0';
}

static bool collect_names(const init_options *options, server_names *all, error *err) {
    *all = (server_names){0};
    if (!host_find_names(&all->host, err)) {
        return false;
    }
    if (snprintf(all->extra, sizeof all->extra, "%s", options->names) >= (int)sizeof all->extra) {
        return error_set(err, ERROR_LIMIT, "--names is longer than %zu bytes", sizeof all->extra - 1);
    }
    add_name(all, "localhost", false);
    add_name(all, "127.0.0.1", true);
    add_name(all, "::1", true);
    for (size_t i = 0; i < all->host.name_count; i++) {
        add_name(all, all->host.names[i], false);
    }
    for (size_t i = 0; i < all->host.address_count; i++) {
        add_name(all, all->host.addresses[i], true);
    }
    char *rest = NULL;
    size_t count = 0;
    for (char *name = strtok_r(all->extra, ", ", &rest); name != NULL; name = strtok_r(NULL, ", ", &rest)) {
        if (++count > EXTRA_NAMES_LIMIT) {
            return error_set(err, ERROR_LIMIT, "--names takes at most %d names", EXTRA_NAMES_LIMIT);
        }
        add_name(all, name, looks_like_address(name));
    }
    all->list.names = all->names;
    all->list.addresses = all->addresses;
    return true;
}

static bool write_file(const char *folder, site_file file, slice content, unsigned mode, error *err) {
    char path[SITE_PATH_SIZE];
    return site_path(folder, file, path, err) && file_write_atomic(path, content, mode, err);
}

static bool write_key(const char *folder, site_file file, slice content, error *err) {
    char path[SITE_PATH_SIZE];
    return site_path(folder, file, path, err) && key_file_write(path, content, err);
}

/* The chain ends with the CA itself, so that a machine that only knows its fingerprint can check it. */
static bool write_certificates(const char *folder, const server_names *names, error *err) {
    certificate_pair authority = certificate_pair_make();
    certificate_pair server = certificate_pair_make();
    uint64_t now = clock_unix_ms();
    bool done = certificate_make_authority("Cellule site CA", now, &authority, err) &&
                certificate_issue_server(&authority, &names->list, now, &server, err);
    if (done) {
        server.certificate.limit = SITE_PEM_LIMIT;
        buffer_append(&server.certificate, buffer_slice(&authority.certificate));
        done = !buffer_failed(&server.certificate) || error_memory(err);
    }
    done = done && write_key(folder, SITE_CA_KEY, buffer_slice(&authority.key), err) &&
           write_file(folder, SITE_CA_CERTIFICATE, buffer_slice(&authority.certificate), 0644, err) &&
           write_key(folder, SITE_SERVER_KEY, buffer_slice(&server.key), err) &&
           write_file(folder, SITE_SERVER_CERTIFICATE, buffer_slice(&server.certificate), 0644, err);
    certificate_pair_free(&authority);
    certificate_pair_free(&server);
    return done;
}

static bool write_pool_key(const char *folder, error *err) {
    char path[SITE_PATH_SIZE];
    sign_key *key = sign_key_generate(err);
    bool done = key != NULL && site_path(folder, SITE_POOL_KEY, path, err) && sign_key_save(key, path, err);
    sign_key_free(key);
    return done;
}

static void keep_failure(void *context, const store_loaded_key *key, const error *failure) {
    (void)key;
    if (failure != NULL) {
        *(error *)context = *failure;
    }
}

/* The first admin. Only the hash of the key is stored. */
static bool add_admin(const init_options *options, char key[AUTH_USER_KEY_LENGTH + 1], error *err) {
    uint8_t secret[AUTH_SECRET_SIZE];
    store_new_key stored = {.label = SLICE_LITERAL("first admin key"), .created_ms = clock_unix_ms()};
    if (!random_bytes(secret, sizeof secret, err)) {
        return false;
    }
    auth_user_key_make(secret, key);
    secret_wipe(secret, sizeof secret);
    store *database = NULL;
    error failure = {0};
    bool done = auth_user_key_hash(slice_of_text(key), stored.token_hash, err);
    if (done) {
        database = site_database_open(options->site, options->database, false, err);
        done = database != NULL && store_user_add(database, slice_of_text(options->admin),
                                                  slice_of_text(auth_role_name(AUTH_IT_ADMIN)), &stored,
                                                  keep_failure, &failure, err);
    }
    store_close(database);
    if (done && failure.code != ERROR_NONE) {
        *err = failure;
        done = false;
    }
    return done;
}

static bool write_settings(const init_options *options, error *err) {
    char *described = pool_settings_describe();
    if (described == NULL) {
        return error_memory(err);
    }
    buffer text = buffer_make(SITE_PEM_LIMIT);
    buffer_append_format(
        &text,
        "# The settings of this pool; those behind a # stand at their default.\n"
        "# After a change: cellule pool run --site DIR --check, then send the pool SIGHUP.\n"
        "# Those marked (restart) count from the next start.\n"
        "listen: \"%s\"\n\n"
        "# With \"on\" another person must approve each worker: for sites with two or more.\n"
        "approval: \"%s\"\n\n",
        options->listen, options->approval);
    if (options->database[0] != '\0') {
        buffer_append_format(&text, "database: \"%s\"\n\n", options->database);
    }
    buffer_append_text(&text, described);
    memory_free(described);
    bool done = (!buffer_failed(&text) || error_memory(err)) &&
                write_file(options->site, SITE_SETTINGS, buffer_slice(&text),
                           options->database[0] == '\0' ? 0644 : 0600, err); /* a URL may have a password */
    buffer_free(&text);
    return done;
}

/* Of a site that was made or removed by halves. What is left of an exchange would take the place of new keys.
 */
static bool has_rest(const char *folder) {
    static const site_file files[] = {SITE_CA_KEY,     SITE_POOL_KEY, SITE_SUCCESSION,
                                      SITE_VERIFY_KEY, SITE_DATABASE, SITE_AUDIT};
    bool found = false;
    for (size_t i = 0; !found && i < sizeof files / sizeof files[0]; i++) {
        char path[SITE_PATH_SIZE];
        error err = {0};
        found = (site_path(folder, files[i], path, &err) && file_exists(path)) ||
                (staging_path(folder, files[i], path, &err) && file_exists(path));
    }
    return found;
}

/* It is written between quotation marks. */
static bool check_database(const init_options *options, error *err) {
    net_egress_begin("name it under egress in pool.yaml if that is meant");
    return database_check_setting(options->database, err) &&
           (strpbrk(options->database, "\"\\\n") == NULL ||
            error_set(err, ERROR_INVALID, "--database: write \" and \\ as %%22 and %%5C"));
}

static bool init_site(const init_options *options, char key[AUTH_USER_KEY_LENGTH + 1], error *err) {
    char path[SITE_PATH_SIZE];
    server_names names;
    slice host;
    uint16_t port = 0;
    if (!auth_address_split(slice_of_text(options->listen), &host, &port)) {
        return error_set(err, ERROR_INVALID, "--listen takes ADDRESS:PORT, not \"%s\"", options->listen);
    }
    if (strcmp(options->approval, "on") != 0 && strcmp(options->approval, "off") != 0) {
        return error_set(err, ERROR_INVALID, "--approval takes on or off, not \"%s\"", options->approval);
    }
    if (!store_user_name_is_valid(slice_of_text(options->admin))) {
        return error_set(err, ERROR_INVALID, "--admin takes a name of 1 to 64 of a-z, 0-9 and . _ @ -");
    }
    if (!check_database(options, err) || !site_path(options->site, SITE_SETTINGS, path, err)) {
        return false;
    }
    if (file_exists(path)) {
        return error_set(err, ERROR_CONFLICT,
                         "there is a site in %s already; choose another folder with --site DIR",
                         options->site);
    }
    if (has_rest(options->site)) {
        return error_set(
            err, ERROR_CONFLICT,
            "%s holds the rest of a site without its pool.yaml: put that back, or remove the folder if "
            "making the site broke off",
            options->site);
    }
    /* pool.yaml comes last: a folder without it is no site. */
    return collect_names(options, &names, err) && file_make_folder(options->site, 0700, err) &&
           write_certificates(options->site, &names, err) && write_pool_key(options->site, err) &&
           site_make_verify_key(options->site, err) && add_admin(options, key, err) &&
           write_settings(options, err);
}

static bool print_result(const init_options *options, const site *made, const char *key, error *err) {
    char pin[HASH_HEX_SIZE];
    hex_encode(slice_of(made->ca_pin, sizeof made->ca_pin), pin);
    if (options->json) {
        buffer text = buffer_make(4096);
        json_writer w = json_writer_make(&text);
        json_write_object_begin(&w);
        json_add_text(&w, "site", slice_of_text(options->site));
        json_add_text(&w, "pool_id", slice_of_text(made->pool_id_hex));
        json_add_text(&w, "ca_pin", slice_of_text(pin));
        json_add_text(&w, "admin", slice_of_text(options->admin));
        json_add_text(&w, "admin_key", slice_of_text(key));
        json_write_object_end(&w);
        bool written = !buffer_failed(&text) || error_memory(err);
        if (written) {
            printf("%.*s\n", SLICE_FORMAT(buffer_slice(&text)));
        }
        buffer_wipe(&text);
        return written ||
               error_context(err, "the site is made, but its admin key can't be shown: make another "
                                  "with cellule pool admin-key");
    }
    printf("made the site %s\n"
           "  pool id    %s\n"
           "  CA pin     %s\n"
           "  admin key  %s\n"
           "The admin key is shown only now and stored nowhere: keep it safe.\n"
           "Next: cellule pool run --site %s%s%s\n",
           options->site, made->pool_id_hex, pin, key, options->site,
           options->passphrase_file == NULL ? "" : " --passphrase-file ",
           options->passphrase_file == NULL ? "" : options->passphrase_file);
    return true;
}

int pool_init_main(int argc, char **argv) {
    init_options options = {.site = "./site",
                            .listen = "0.0.0.0:8443",
                            .names = "",
                            .admin = "admin",
                            .approval = "off",
                            .database = ""};
    const option_row rows[] = {
        {"site", OPTION_TEXT, &options.site, "DIR", "folder to make it in", 0, 0},
        {"listen", OPTION_TEXT, &options.listen, "ADDRESS:PORT", "where the pool will serve", 0, 0},
        {"names", OPTION_TEXT, &options.names, "NAMES",
         "further names and addresses for the certificate, comma-separated", 0, 0},
        {"admin", OPTION_TEXT, &options.admin, "NAME", "name of the first admin", 0, 0},
        {"approval", OPTION_TEXT, &options.approval, "POLICY",
         "on: another person approves each worker; off, if not given: one admin is enough", 0, 0},
        {"database", OPTION_TEXT, &options.database, "URL",
         "postgresql://user@host/name, for a PostgreSQL instead of a file in the folder; it goes into "
         "pool.yaml",
         0, 0},
        OPTION_PASSPHRASE_ROW(&options.passphrase_file),
        {"json", OPTION_FLAG, &options.json, NULL, "print the result as JSON", 0, 0},
    };
    const option_table table = {
        .usage = "cellule pool init [options]",
        .summary = "Makes a site: an authority on P-256, a server certificate with this machine's names, the "
                   "pool's\n"
                   "Ed25519 key, the database, and the first admin key, which is printed once.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    int status = 0;
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    error err = {0};
    site made = {0};
    char key[AUTH_USER_KEY_LENGTH + 1] = "";
    if (!crypto_start(&err) || !key_file_use_from(options.passphrase_file, &err) ||
        !init_site(&options, key, &err) || !site_open(options.site, &made, &err) ||
        !print_result(&options, &made, key, &err)) {
        status = options_fail("cellule pool init", &err);
    }
    secret_wipe(key, sizeof key);
    site_close(&made);
    key_file_forget();
    crypto_stop();
    return status;
}
