#include "enrol/enrolments.h"

#include "enrol/approvals.h"
#include "enrol/tokens.h"
#include "os/clock.h"
#include "proof/proof.h"

/* Who lends a machine speaks for himself alone, and judges nobody. */
static bool may_ask_for(http_request *request, const account *who, const machine_wish *wish) {
    if (who->role != AUTH_WORKER_OWNER) {
        return true;
    }
    if (!slice_equal_text(wish->owner, who->user_name)) {
        reply_error(request, 403, "owner", "not_allowed", "you may ask for machines of your own: owner %s",
                    who->user_name);
        return false;
    }
    if (wish->referee) {
        reply_error(request, 403, "referee", "not_allowed", "an admin asks for referees");
        return false;
    }
    return true;
}

void enrolment_request(pool *p, http_request *request, const account *who, slice segment) {
    machine_wish wish;
    (void)segment;
    if (!machine_wish_read(p, request, &wish) || !may_ask_for(request, who, &wish)) {
        return;
    }
    buffer exact = buffer_make(MACHINE_WISH_MAX);
    machine_wish_write(&wish, slice_of_text(who->user_name), clock_unix_ms(), &exact);
    if (buffer_failed(&exact)) {
        reply_out_of_memory(request);
    } else {
        approvals_ask(p, request, who, "enrolment", buffer_slice(&exact));
    }
    buffer_free(&exact);
}

static bool check_wish(const pool *p, const machine_wish *wish, error *err) {
    if (proof_owner_is_blacklisted(p, wish->owner)) {
        return error_set(err, ERROR_CONFLICT, "this owner is on the blacklist");
    }
    return clock_unix_ms() < wish->expires_ms ||
           error_set(err, ERROR_CONFLICT, "the time that was asked for is over; ask anew");
}

/* The token is made of the bytes that were approved, and of nothing else. The store sees to it that they
 * were, and that it is done once. */
static void request_found(void *context, const store_approval *a, const error *failure) {
    reply_later *later = context;
    machine_wish wish;
    json_value *root = NULL;
    error err = {0};
    if (failure != NULL || later->request == NULL) {
        reply_later taken = reply_later_take(later);
        (void)!reply_later_waits(&taken, failure);
        reply_later_end(&taken);
    } else if (!approvals_check(a, &err) || !machine_wish_parse(a->request, &wish, &root, &err) ||
               !check_wish(later->pool, &wish, &err)) {
        reply_later_fail(later, &err);
    } else {
        join_token_make(later, &wish, &(token_approval){.id = a->id, .request = a->request});
    }
    json_free(root);
}

void enrolment_token(pool *p, http_request *request, const account *who, slice id) {
    uint64_t number = 0;
    error err = {0};
    if (!slice_to_u64(id, &number) || number == 0 || number > INT64_MAX) {
        reply_error(request, 404, NULL, "not_found", "a request's id is a number; the list shows it");
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later != NULL && !store_approval_get(p->store, number, request_found, later, &err)) {
        reply_later_fail(later, &err);
    }
}
