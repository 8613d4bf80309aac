#include "trust.h"

#include "base/log.h"
#include "proto/trust.h"

/* An older one may be one whose key is lost: whoever has that mustn't bring it back. */
static bool is_newer(const agent *a, slice ca, error *err) {
    uint64_t has = 0;
    uint64_t told = 0;
    return certificate_start(buffer_slice(&a->home.ca_pem), &has, err) && certificate_start(ca, &told, err) &&
           (told > has || error_set(err, ERROR_DENIED, "it is older than the one that is trusted"));
}

static bool take(agent *a, const proto_trust *told, error *err) {
    if (!proto_trust_verify(a->home.pool_id, succession_current(&a->keys.known), told, err) ||
        !is_newer(a, told->ca, err)) {
        return false;
    }
    net_tls *tls = net_tls_client_new(&(net_tls_client_options){.ca_pem = told->ca}, err);
    if (tls == NULL || !worker_home_replace_ca(a->state_folder, &a->home, told->ca, err)) {
        net_tls_free(tls);
        return false;
    }
    net_tls_free(a->tls); /* this connection holds it until it ends */
    a->tls = tls;
    if (a->certificate.renew_at != 0) {
        a->certificate.renew_at = ev_now_ms(a->loop); /* the new one has none to show */
    }
    return true;
}

void trust_take(agent *a, const proto_trust *told) {
    error err = {0};
    if (take(a, told, &err)) {
        log_info("the site has another authority: it is trusted from now on");
    } else {
        log_error("the pool names another authority, and it isn't taken", LOG_CAUSE(&err));
    }
}
