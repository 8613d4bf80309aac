#include "secrets/files.h"

#include "crypto/key_file.h"
#include "os/clock.h"

#include <stdio.h>

/* In the order in which they are put in place. */
static const site_file exchanged[] = {SITE_CA_KEY, SITE_CA_CERTIFICATE, SITE_SERVER_KEY,
                                      SITE_SERVER_CERTIFICATE};

enum {
    EXCHANGED_COUNT = sizeof exchanged / sizeof exchanged[0],
    FORMER_CHAIN = 3 /* leaf, the bridge, the authority before */
};

secrets_issued secrets_issued_make(void) {
    return (secrets_issued){.server = certificate_pair_make(), .ca_pem = buffer_make(SITE_PEM_LIMIT)};
}

void secrets_issued_free(secrets_issued *issued) {
    certificate_pair_free(&issued->server);
    buffer_free(&issued->ca_pem);
}

static bool next_path(const char *folder, site_file file, char path[SITE_PATH_SIZE], error *err) {
    char name[SITE_PATH_SIZE];
    if (!site_path(folder, file, name, err)) {
        return false;
    }
    int length = snprintf(path, SITE_PATH_SIZE, "%s.next", name);
    return (length > 0 && length < SITE_PATH_SIZE) ||
           error_set(err, ERROR_LIMIT, "the site's path is too long; choose a shorter one");
}

static bool settle_one(const char *folder, site_file file, bool keep, error *err) {
    char next[SITE_PATH_SIZE];
    char path[SITE_PATH_SIZE];
    if (!next_path(folder, file, next, err) || !site_path(folder, file, path, err)) {
        return false;
    }
    return !file_exists(next) || (keep ? file_replace(next, path, err) : file_remove(next, err));
}

bool secrets_settle(const char *folder, error *err) {
    char last[SITE_PATH_SIZE];
    bool settled = next_path(folder, SITE_SERVER_CERTIFICATE, last, err);
    bool counts = settled && file_exists(last); /* else it broke off before, and nothing of it does */
    for (size_t i = 0; settled && i < EXCHANGED_COUNT; i++) {
        settled = settle_one(folder, exchanged[i], counts, err);
    }
    return settled || error_context(err, "exchanging the certificates");
}

static bool stage(const char *folder, site_file file, slice content, error *err) {
    char path[SITE_PATH_SIZE];
    bool is_key = file == SITE_CA_KEY || file == SITE_SERVER_KEY;
    return next_path(folder, file, path, err) &&
           (is_key ? key_file_write(path, content, err) : file_write_atomic(path, content, 0644, err));
}

static bool read_authority(const char *folder, certificate_pair *authority, error *err) {
    char path[SITE_PATH_SIZE];
    return site_path(folder, SITE_CA_CERTIFICATE, path, err) &&
           file_read_all(path, &authority->certificate, err) && site_path(folder, SITE_CA_KEY, path, err) &&
           key_file_read(path, &authority->key, err);
}

/* What comes behind the first certificate. */
static slice behind_leaf(slice chain) {
    slice end = SLICE_LITERAL("-----END CERTIFICATE-----\n");
    size_t at = slice_find_slice(chain, end);
    return at == SIZE_MAX ? (slice){NULL, 0} : slice_after(chain, at + end.length);
}

bool secrets_has_former(slice chain_pem, slice ca_pem) {
    uint8_t presented[CERTIFICATE_PIN_SIZE];
    uint8_t own[CERTIFICATE_PIN_SIZE];
    error err = {0};
    return certificate_count(chain_pem) == FORMER_CHAIN && certificate_pin(ca_pem, own, &err) &&
           certificate_pin(behind_leaf(chain_pem), presented, &err) &&
           memcmp(presented, own, sizeof own) == 0 && !slice_equal(behind_leaf(chain_pem), ca_pem);
}

static bool append(buffer *chain, slice pem, error *err) {
    return buffer_append(chain, pem) || error_memory(err);
}

bool secrets_issue_server(const char *folder, uint64_t now_unix_ms, secrets_issued *issued, error *err) {
    certificate_pair authority = certificate_pair_make();
    certificate_pair former = certificate_pair_make();
    issued->server.certificate.limit = SITE_PEM_LIMIT;
    bool done = secrets_settle(folder, err) && read_authority(folder, &authority, err) &&
                site_read_server(folder, &former, err) &&
                certificate_renew_server(&authority, buffer_slice(&former.certificate), now_unix_ms,
                                         &issued->server, err) &&
                append(&issued->server.certificate, behind_leaf(buffer_slice(&former.certificate)), err) &&
                append(&issued->ca_pem, buffer_slice(&authority.certificate), err) &&
                stage(folder, SITE_SERVER_KEY, buffer_slice(&issued->server.key), err) &&
                stage(folder, SITE_SERVER_CERTIFICATE, buffer_slice(&issued->server.certificate), err) &&
                secrets_settle(folder, err);
    certificate_pair_free(&authority);
    certificate_pair_free(&former);
    return done;
}

static bool stage_all(const char *folder, const certificate_pair *authority, const secrets_issued *issued,
                      error *err) {
    return stage(folder, SITE_CA_KEY, buffer_slice(&authority->key), err) &&
           stage(folder, SITE_CA_CERTIFICATE, buffer_slice(&authority->certificate), err) &&
           stage(folder, SITE_SERVER_KEY, buffer_slice(&issued->server.key), err) &&
           stage(folder, SITE_SERVER_CERTIFICATE, buffer_slice(&issued->server.certificate), err);
}

bool secrets_issue_authority(const char *folder, uint64_t now_unix_ms, secrets_issued *issued, error *err) {
    certificate_pair authority = certificate_pair_make();
    certificate_pair successor = certificate_pair_make();
    certificate_pair former = certificate_pair_make();
    buffer bridge = buffer_make(SITE_PEM_LIMIT);
    buffer *chain = &issued->server.certificate;
    chain->limit = SITE_PEM_LIMIT;
    bool done = secrets_settle(folder, err) && read_authority(folder, &authority, err) &&
                site_read_server(folder, &former, err);
    if (done && secrets_has_former(buffer_slice(&former.certificate), buffer_slice(&authority.certificate))) {
        done = error_set(err, ERROR_CONFLICT,
                         "the authority before this one is still presented: end that first (--finish)");
    }
    done = done && certificate_make_successor(&authority, now_unix_ms, &successor, &bridge, err) &&
           certificate_move_server(&authority, &successor, buffer_slice(&former.certificate), now_unix_ms,
                                   &issued->server, err) &&
           append(chain, buffer_slice(&bridge), err) &&
           append(chain, buffer_slice(&authority.certificate), err) &&
           append(&issued->ca_pem, buffer_slice(&successor.certificate), err) &&
           stage_all(folder, &successor, issued, err) && secrets_settle(folder, err);
    certificate_pair_free(&authority);
    certificate_pair_free(&successor);
    certificate_pair_free(&former);
    buffer_free(&bridge);
    return done;
}

bool secrets_drop_former(const char *folder, secrets_issued *issued, error *err) {
    char path[SITE_PATH_SIZE];
    certificate_pair former = certificate_pair_make();
    buffer *chain = &issued->server.certificate;
    chain->limit = SITE_PEM_LIMIT;
    bool done = secrets_settle(folder, err) && site_path(folder, SITE_CA_CERTIFICATE, path, err) &&
                file_read_all(path, &issued->ca_pem, err) && site_read_server(folder, &former, err);
    slice whole = buffer_slice(&former.certificate);
    slice ca = buffer_slice(&issued->ca_pem);
    if (done && !secrets_has_former(whole, ca)) {
        done = error_set(err, ERROR_CONFLICT, "no authority before this one is presented");
    }
    done = done && append(chain, slice_part(whole, 0, whole.length - behind_leaf(whole).length), err) &&
           append(chain, ca, err) && append(&issued->server.key, buffer_slice(&former.key), err) &&
           site_path(folder, SITE_SERVER_CERTIFICATE, path, err) &&
           file_write_atomic(path, buffer_slice(chain), 0644, err);
    certificate_pair_free(&former);
    return done;
}

bool secrets_make(const char *folder, secrets_act act, secrets_issued *issued, error *err) {
    uint64_t now = clock_unix_ms();
    switch (act) {
    case SECRETS_SERVER:
        return secrets_issue_server(folder, now, issued, err);
    case SECRETS_AUTHORITY:
        return secrets_issue_authority(folder, now, issued, err);
    case SECRETS_DROP_FORMER:
        return secrets_drop_former(folder, issued, err);
    }
    return error_set(err, ERROR_INVALID, "no such exchange");
}
