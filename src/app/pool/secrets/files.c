#include "secrets/files.h"

#include "crypto/key_file.h"
#include "os/clock.h"
#include "secrets/staging.h"

/* In the order in which they are put in place. */
static const site_file files[] = {SITE_CA_KEY, SITE_CA_CERTIFICATE, SITE_SERVER_KEY, SITE_SERVER_CERTIFICATE};
static const staging_list exchanged = {files, sizeof files / sizeof files[0]};

enum { FORMER_CHAIN = 3 /* leaf, the bridge, the authority before */ };

secrets_issued secrets_issued_make(void) {
    return (secrets_issued){.server = certificate_pair_make(), .ca_pem = buffer_make(SITE_PEM_LIMIT)};
}

void secrets_issued_free(secrets_issued *issued) {
    certificate_pair_free(&issued->server);
    buffer_free(&issued->ca_pem);
}

bool secrets_settle(const char *folder, error *err) {
    return staging_settle(folder, &exchanged, err) || error_context(err, "exchanging the certificates");
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
    bool done =
        secrets_settle(folder, err) && read_authority(folder, &authority, err) &&
        site_read_server(folder, &former, err) &&
        certificate_renew_server(&authority, buffer_slice(&former.certificate), now_unix_ms, &issued->server,
                                 err) &&
        append(&issued->server.certificate, behind_leaf(buffer_slice(&former.certificate)), err) &&
        append(&issued->ca_pem, buffer_slice(&authority.certificate), err) &&
        staging_write(folder, SITE_SERVER_KEY, buffer_slice(&issued->server.key), err) &&
        staging_write(folder, SITE_SERVER_CERTIFICATE, buffer_slice(&issued->server.certificate), err) &&
        secrets_settle(folder, err);
    certificate_pair_free(&authority);
    certificate_pair_free(&former);
    return done;
}

static bool stage_all(const char *folder, const certificate_pair *authority, const secrets_issued *issued,
                      error *err) {
    return staging_write(folder, SITE_CA_KEY, buffer_slice(&authority->key), err) &&
           staging_write(folder, SITE_CA_CERTIFICATE, buffer_slice(&authority->certificate), err) &&
           staging_write(folder, SITE_SERVER_KEY, buffer_slice(&issued->server.key), err) &&
           staging_write(folder, SITE_SERVER_CERTIFICATE, buffer_slice(&issued->server.certificate), err);
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
