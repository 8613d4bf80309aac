#include "agent.h"

#include "base/log.h"
#include "codec/json.h"
#include "crypto/certificate.h"
#include "crypto/sign.h"
#include "http/client.h"
#include "proto/certificate.h"

#include <stdio.h>
#include <string.h>

enum {
    ANSWER_LIMIT = 65536,
    KEY_LIMIT = 4096,
    TIMEOUT_MS = 20000,
    URL_SIZE = 512,
    LIFETIME_MAX_MS = 86400000
};

/* A new client shows the new certificate at the next connection; the live one stays as it is. */
static bool use_certificate(agent *a, slice certificate, error *err) {
    net_tls *tls = net_tls_client_new(&(net_tls_client_options){.ca_pem = buffer_slice(&a->home.ca_pem),
                                                                .certificate_pem = certificate,
                                                                .key_pem = buffer_slice(&a->certificate.key)},
                                      err);
    if (tls == NULL) {
        return false;
    }
    net_tls_free(a->tls);
    a->tls = tls;
    return true;
}

static bool take_answer(agent *a, const http_client_answer *answer, error *err) {
    slice certificate;
    uint64_t lifetime_ms = 0;
    if (answer->cause != NULL) {
        return error_set(err, ERROR_IO, "%s", answer->cause->text);
    }
    if (answer->status != 201) {
        return error_set(err, answer->status == 403 ? ERROR_DENIED : ERROR_IO, "the pool refused (%u)",
                         answer->status);
    }
    json_value *root = json_parse(answer->body, (json_limits){.size = ANSWER_LIMIT, .depth = 2}, err);
    bool taken = root != NULL && json_get_text(root, "certificate", &certificate, err) &&
                 json_get_u64(root, "lifetime_ms", 0, LIFETIME_MAX_MS, &lifetime_ms, err) &&
                 use_certificate(a, certificate, err);
    json_free(root);
    a->certificate.renew_at = ev_now_ms(a->loop) + lifetime_ms / 2;
    return taken;
}

static void answered(void *context, const http_client_answer *answer) {
    agent *a = context;
    error err = {0};
    bool taken = take_answer(a, answer, &err);
    a->certificate.asked = false;
    buffer_wipe(&a->certificate.key);
    if (taken) {
        a->certificate.missing = false;
        log_debug("got a certificate from the pool");
        link_connect(a);
    } else if (err.code == ERROR_DENIED) {
        link_give_up(a, SLICE_LITERAL("this worker may not serve any more"));
    } else {
        log_warning("no certificate from the pool", LOG_CAUSE(&err));
        if (a->socket == NULL) {
            link_connect_later(a);
        }
    }
}

static bool take_public_key(slice key, uint8_t tls_key[PROTO_TLS_KEY_SIZE], error *err) {
    if (key.data == NULL || key.length != PROTO_TLS_KEY_SIZE) {
        return error_set(err, ERROR_INTERNAL, "a TLS key has another size than is asked for");
    }
    memcpy(tls_key, key.data, PROTO_TLS_KEY_SIZE);
    return true;
}

static bool build_body(agent *a, buffer *body, error *err) {
    proto_certificate wish = {.worker_id = {0}};
    buffer public_key = buffer_make(CERTIFICATE_PUBLIC_KEY_MAX);
    buffer bytes = buffer_make(PROTO_CERTIFICATE_MAX);
    buffer_wipe(&a->certificate.key);
    bool built = certificate_make_client_key(&a->certificate.key, &public_key, err) &&
                 take_public_key(buffer_slice(&public_key), wish.tls_key, err);
    if (built) {
        memcpy(wish.worker_id, a->home.worker_id, sizeof wish.worker_id);
        proto_certificate_bytes(&wish, a->home.pool_id, &bytes);
        built = (!buffer_failed(&bytes) || error_memory(err)) &&
                sign_bytes(a->home.key, buffer_slice(&bytes), wish.signature, err) &&
                proto_certificate_encode(&wish, body, err);
    }
    buffer_free(&public_key);
    buffer_free(&bytes);
    return built;
}

static bool ask(agent *a, error *err) {
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    bool is_ipv6 = strchr(a->home.host, ':') != NULL;
    char url[URL_SIZE];
    http_client_options options = {
        .ca_pem = buffer_slice(&a->home.ca_pem), .timeout_ms = TIMEOUT_MS, .max_bytes = ANSWER_LIMIT};
    buffer body = buffer_make(PROTO_CERTIFICATE_MAX);
    if (a->certificate.client == NULL) {
        a->certificate.client = http_client_new(a->loop, err);
    }
    snprintf(url, sizeof url, "https://%s%s%s:%u%s", is_ipv6 ? "[" : "", a->home.host, is_ipv6 ? "]" : "",
             a->home.port, PROTO_CERTIFICATE_PATH);
    bool asked = a->certificate.client != NULL && build_body(a, &body, err) &&
                 http_client_request(a->certificate.client, "POST", url, headers, buffer_slice(&body),
                                     &options, answered, a, err) != NULL;
    buffer_free(&body);
    return asked;
}

void certificate_init(agent *a) {
    a->certificate.key = buffer_make(KEY_LIMIT);
}

void certificate_stop(agent *a) {
    http_client_free(a->certificate.client);
    a->certificate.client = NULL;
    buffer_wipe(&a->certificate.key);
}

void certificate_refused(agent *a) {
    log_debug("the pool asks for a certificate");
    a->certificate.missing = true;
}

void certificate_fetch(agent *a) {
    error err = {0};
    if (a->certificate.asked) {
        return;
    }
    a->certificate.asked = ask(a, &err);
    if (!a->certificate.asked) {
        log_warning("no certificate asked for", LOG_CAUSE(&err));
        if (a->socket == NULL) {
            link_connect_later(a);
        }
    }
}

void certificate_check(agent *a) {
    if (a->certificate.renew_at != 0 && ev_now_ms(a->loop) >= a->certificate.renew_at) {
        certificate_fetch(a);
    }
}
