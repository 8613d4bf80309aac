#include "egress.h"

#include "audit/audit.h"
#include "net/egress.h"

#include <stdio.h>

enum { WRITTEN_IN_SECOND = 5, TARGET_MAX = 300, DETAIL_MAX = 200 };

/* A loop that asks again and again must not fill the log. */
static bool may_write(pool *p) {
    uint64_t second = ev_now_ms(p->loop) / 1000;
    if (second != p->egress_second) {
        p->egress_second = second;
        p->egress_refused_in_second = 0;
    }
    if (p->egress_refused_in_second >= WRITTEN_IN_SECOND) {
        p->egress_unwritten++;
        return false;
    }
    p->egress_refused_in_second++;
    return true;
}

static void refused(void *context, const net_egress_refusal *r) {
    pool *p = context;
    char target[TARGET_MAX];
    char detail[DETAIL_MAX];
    if (p->loop == NULL || !may_write(p)) {
        return;
    }
    int length = snprintf(target, sizeof target, "%s port %u", r->host, r->port);
    bool at = r->address[0] != '\0';
    snprintf(detail, sizeof detail, "%s%s%s", at ? r->address : "", at ? ": " : "", r->reason);
    if (p->egress_unwritten > 0) {
        snprintf(detail + strlen(detail), sizeof detail - strlen(detail), "; %llu more before it not written",
                 (unsigned long long)p->egress_unwritten);
        p->egress_unwritten = 0;
    }
    audit_note(p, &(audit_record){.outcome = AUDIT_REFUSED,
                                  .action = "egress",
                                  .target = slice_of(target, (size_t)length),
                                  .detail = detail});
}

bool egress_start(pool *p, error *err) {
    net_egress_begin("name it under egress in pool.yaml if that is meant");
    net_egress_on_refused(refused, p);
    return net_egress_allow(slice_of_text(p->settings.egress), err) || error_context(err, "egress");
}

void egress_stop(void) {
    net_egress_on_refused(NULL, NULL);
}
