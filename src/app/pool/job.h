#ifndef POOL_JOB_H
#define POOL_JOB_H

#include "chat_request.h"
#include "ledger/receipt.h"
#include "proto/message.h"
#include "state.h"
#include "verify/agreement.h"
#include "verify/policy.h"
#include "work.h"

/* One question on its way: the client's request, the dispatcher's job, and the answer so far. Lives in the
 * request's arena and ends with the request:
 *
 *   waiting ──first delta──> answering ──done, receipt stored──> answered
 *      └──────────┴── failed (an error goes out) or left (the client is gone)
 *
 * Invariants: `handle` is NULL exactly when the dispatcher has let go; `text` holds all that came of the
 * answer, of which nothing is ever taken back once `started`; while `replayed` < text length, what comes must
 * equal it. */
typedef struct receipt_storing receipt_storing;
typedef struct required required; /* required.h */
typedef struct proved proved;     /* proved.h */
typedef struct keepsake keepsake; /* memory/keep.h */

typedef struct job {
    work work;              /* first */
    list_node node;         /* in pool.jobs */
    list_node stalled_node; /* in pool.stalled */
    http_request *request;
    dispatch_job *handle;
    uint64_t user_id;
    uint64_t key_id;
    uint64_t login;        /* account's */
    uint64_t expires_ms;   /* account's */
    ev_timer expiry_timer; /* until then */
    chat_request chat;
    uint64_t created_ms;   /* Unix */
    uint64_t submitted_ms; /* monotonic */
    uint64_t seed;
    verify_mode mode;   /* how strictly it is checked, at least: proof/proof.h */
    uint8_t check_draw; /* random, known to nobody else: receipts.h */
    uint8_t nonce[32];
    uint8_t salt[RECEIPT_SALT_SIZE];
    buffer text;                /* of the answer */
    const fleet_worker *writer; /* of the last of `text`; NULL: there is none */
    size_t replayed;            /* bytes of `text` that the current worker has produced */
    buffer tokens;              /* ids of the current worker's run, uint32_t each */
    uint64_t token_count;
    agreement_logprobs *logprobs; /* of these tokens, in the request's arena; NULL: none were given */
    bool head_sent;               /* streaming: the HTTP head is out */
    bool started;                 /* streaming: the first byte of the answer is out */
    slice chunk_prefix;           /* streaming: what every event begins with */
    bool input_refused;
    const fleet_worker *doubted; /* called the question impossible, and another was asked; NULL: nobody has */
    uint32_t doubted_context;    /* that it says it has for this model */
    uint8_t doubted_digest[HASH_SIZE];
    char refusal[256];        /* what the worker said when it refused the job */
    receipt_storing *storing; /* the receipt is with the store */
    buffer end; /* what completes the answer: made before its receipt is stored, so that nothing but the
                   connection can fail afterwards */
    ev_timer queue_timer; /* streaming: news while it waits */
    ev_deferred by_two;   /* its worker's tier asks for two workers at once: soon they are asked */
    bool hold;            /* nothing goes out before the answer is proved */
    proved *proved;       /* while it is held */
    required *required;   /* with VERIFY_REQUIRED: who answers it. Then `handle` and `tokens` are unused. */
    keepsake *keep;       /* its user wants it kept; NULL: he doesn't */
    bool failed;          /* it ends with an error, which its reader is told */
} job;

/* Takes over the request, and `kept` (NULL: none): makes the job, submits it, answers errors. */
void job_start(pool *p, http_request *request, const account *who, const chat_request *chat, verify_mode mode,
               keepsake *kept);

/* What a worker has said under the id it was given. */
typedef struct answer_said {
    dispatch_id id;
    slice text;
    const uint32_t *tokens;
    size_t token_count;
} answer_said;
/* The receipt of that, from what the pool knows and what the worker claims; its signature is not looked at.
 * ERROR_INVALID: the claim can't be true. */
MUST_CHECK bool job_make_receipt(const job *j, const answer_said *said, const fleet_worker *worker,
                                 const proto_done *done, signed_receipt *entry, error *err);
/* Work's check_done (job_receipt.c). */
MUST_CHECK bool job_check_receipt(work *w, const fleet_worker *worker, const proto_done *done,
                                  signed_receipt *entry, error *err);
/* The answer is complete: what is to be kept of it goes to the store, before its receipt. True, too, where
 * nothing is. */
MUST_CHECK bool job_keep_answer(job *j, slice text, receipt_finish finish, error *err);
/* Whether that came to be, once the receipt is stored. */
MUST_CHECK bool job_is_kept(const job *j, error *err);
/* The store's answer to a receipt. */
void job_receipt_stored(job *j, const error *failure);
/* Describes the question, for work's `describe`, and what a delta may hold, for `delta`. */
void job_describe_question(const job *j, proto_message *message);
MUST_CHECK bool job_check_delta(const proto_delta *delta, error *err);
/* Ends the job and its request with an error, in the form that fits how much has been sent. */
void job_end_with_error(job *j, unsigned status, const char *code, const char *message);
/* Ends it for want of memory, unless the client has left: then its end follows. */
void job_end_for_memory(job *j);
/* Ends it because its receipt could not be stored. */
void job_end_unstored(job *j, const error *failure);
/* Ends it because it could not be kept as its user wants. */
void job_end_not_kept(job *j, const error *failure);
/* Ends job and request: all of the stream has been sent, or (`whole` false) can't be. */
void job_end_stream(job *j, bool whole);
/* Answers a request that isn't streamed with `end`. */
void job_finish_whole(job *j);
/* Of the time in which the whole answer must be there; at least 1. */
uint64_t job_time_left(const job *j);
/* Forgets what came and has it answered anew, under the id that `work` has now. */
MUST_CHECK bool job_submit_again(job *j, error *err);
/* Why a worker won't answer, kept for the client; and what to tell it then. */
void job_note_refusal(job *j, const proto_fail *fail);
void job_refusal(const job *j, unsigned *status, const char **code, const char **text);
/* A random id that begins with the time. */
MUST_CHECK bool job_draw_id(dispatch_id *id, error *err);
/* The head of a streamed answer; it is sent once. False: the connection is being cut. */
MUST_CHECK bool job_send_head(job *j);
/* Nothing points at the job any more, and nothing is computed for it. The request is still to be ended. */
void job_release(job *j);
/* These end requests for embeddings (embeddings.h) just so. */
/* Ends every job of a key, or of a user (`key_id` 0), with an error: the key was revoked. */
void job_end_revoked(pool *p, uint64_t user_id, uint64_t key_id);
/* Those of a session of a person (account's `login`), which has ended. */
void job_end_login(pool *p, uint64_t login);
/* Every job of every key. */
void job_end_all_revoked(pool *p);
/* Ends the jobs that wait for a worker, or every job, with an error: the pool is going down. */
void job_end_queued(pool *p);
void job_end_all(pool *p);
/* Looks again at jobs whose client was behind. */
void job_check_stalled(void *context);

#endif
