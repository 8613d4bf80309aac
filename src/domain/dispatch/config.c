#include "dispatch/dispatch.h"

dispatch_config dispatch_config_default(void) {
    return (dispatch_config){
        .queue_deadline_ms = 60000,
        .job_deadline_ms = 900000,
        .first_token_timeout_ms = 120000,
        .progress_timeout_ms = 30000,
        .dead_after_ms = 25000,
        .cancel_grace_ms = 2000,
        .hung_grace_ms = 10000,
        .stale_ms = 30000,
        .model_grace_ms = 15000,
        .queue_limit = 1000,
        .queue_limit_per_user = 100,
        .max_attempts = 3,
        .credit_window = 256,
    };
}

const char *dispatch_failure_name(dispatch_failure reason) {
    static const char *const names[] = {
        [DISPATCH_NO_WORKER] = "no_worker",
        [DISPATCH_QUEUE_DEADLINE] = "queue_deadline",
        [DISPATCH_JOB_DEADLINE] = "job_deadline",
        [DISPATCH_TOO_MANY_TRIES] = "too_many_tries",
        [DISPATCH_NOT_RESUMABLE] = "not_resumable",
        [DISPATCH_REFUSED] = "refused",
        [DISPATCH_LOST] = "lost",
    };
    return names[reason];
}

const char *dispatch_closing_name(dispatch_closing reason) {
    static const char *const names[] = {
        [DISPATCH_REPLACED] = "replaced",
        [DISPATCH_DEAD] = "dead",
        [DISPATCH_UNRESPONSIVE] = "unresponsive",
    };
    return names[reason];
}
