#ifndef FAKE_WORKER_FAKE_H
#define FAKE_WORKER_FAKE_H

#include "base/list.h"
#include "crypto/sign.h"
#include "home.h"
#include "http/websocket.h"
#include "ledger/receipt.h"
#include "proto/session.h"

/* A worker without a model, for tests and benchmarks: it speaks the real protocol over real connections, and
 * its answers are a function of the question and the seed, so that any two give the same bits. With --behave
 * it breaks one rule. What happens is told on standard output, one JSON object a line. One loop thread. */

/* Name on the command line, what it does. Unless said otherwise at the first byte of each job, the rest being
 * right. */
#define BEHAVIOURS(X)                                                                                        \
    X(HONEST, "honest", "follows the protocol")                                                              \
    X(FORGED_RECEIPT, "forged-receipt", "a right answer with a wrong signature")                             \
    X(WRONG_TOKEN_COUNT, "wrong-token-count", "done claims more tokens than were sent")                      \
    X(PROMPT_TOKEN_LIE, "prompt-token-lie", "done claims a million tokens of prompt")                        \
    X(FALSE_CANCELLED, "false-cancelled", "done says that the job was cancelled")                            \
    X(FOREIGN_JOB, "foreign-job", "answers a job that nobody has, then its own")                             \
    X(STOLEN_JOB, "stolen-job", "session 0 also answers each job of the others; needs --count 2")            \
    X(OVER_CREDIT, "over-credit", "sends all tokens, whatever the credit")                                   \
    X(OVER_MAX_TOKENS, "over-max-tokens", "sends all its tokens, however few were asked for")                \
    X(SEQ_GAP, "seq-gap", "leaves a number out in its deltas")                                               \
    X(NEVER_ANSWER, "never-answer", "takes jobs and is silent; beats, and confirms cancels")                 \
    X(NEVER_CANCEL, "never-cancel", "takes jobs and is silent, about cancels too; beats")                    \
    X(ANSWER_THEN_HANG, "answer-then-hang", "stops after half of the answer; beats, and confirms cancels")   \
    X(ANSWER_THEN_CUT, "answer-then-cut", "cuts the connection after half of the answer")                    \
    X(NO_BEATS, "no-beats", "one beat, then never again")                                                    \
    X(BINARY_MESSAGE, "binary-message", "a binary message when a job comes")                                 \
    X(GARBAGE, "garbage", "text that isn't JSON when a job comes")                                           \
    X(HUGE_MESSAGE, "huge-message", "a message over 1 MiB when a job comes")                                 \
    X(POOL_MESSAGE, "pool-message", "a message that only pools send when a job comes")                       \
    X(DOUBLE_HELLO, "double-hello", "hello again when a job comes")                                          \
    X(NO_HELLO, "no-hello", "connects and is silent")                                                        \
    X(WRONG_PROOF, "wrong-proof", "a proof by another key")                                                  \
    X(WRONG_POOL, "wrong-pool", "a proof made for another pool")                                             \
    X(OTHER_KEY, "other-key", "claims its id under a key that isn't enrolled")                               \
    X(DIFFERENT_TEXT, "different-text", "answers other bits than the others")                                \
    X(OTHER_WORDS, "other-words", "the right tokens, another last letter of the text")                       \
    X(FIRST_TOKEN, "first-token", "another first token, the rest being right")                               \
    X(LAST_TOKEN, "last-token", "another last token, the rest being right")                                  \
    X(OTHER_COMMITMENT, "other-commitment", "the right tokens, as if from other logits")                     \
    X(NO_TOKENS, "no-tokens", "all of the text, but not one token of it")                                    \
    X(NOTHING, "nothing", "neither text nor tokens")                                                         \
    X(OTHER_PROMPT, "other-prompt", "the right answer, and a token too many is claimed of the prompt")       \
    X(OTHER_FINISH, "other-finish", "the right answer, and it is said to have ended by itself")              \
    X(CUT_SHORT, "cut-short", "half of the answer, as if its context ended there")                           \
    X(REFUSES_INPUT, "refuses-input", "calls every question impossible")                                     \
    X(FORGES_LATER, "forges-later", "wrong signatures from its 21st answer on")                              \
    X(NO_NEW_KEY, "no-new-key", "is silent when it is asked for another key")                                \
    X(FORGED_NEW_KEY, "forged-new-key", "a new key that the one before it doesn't sign for")                 \
    X(FEWER_VECTORS, "fewer-vectors", "a vector too few for the texts, or none")                             \
    X(OTHER_DIMENSION, "other-dimension", "vectors of another dimension than it offered")                    \
    X(NOT_FINITE, "not-finite", "a vector with an infinite value")                                           \
    X(NO_DIRECTION, "no-direction", "vectors of zeros")                                                      \
    X(MANY_TOKENS, "many-tokens", "more tokens than the texts can have")                                     \
    X(CUT_VECTORS, "cut-vectors", "cuts the connection instead of embedding")                                \
    X(ANSWERS_TEXTS, "answers-texts", "a delta, for texts that are to be embedded")                          \
    X(CURIOUS, "curious", "honest, and asks about the audit log without end")

typedef enum behaviour {
#define X(name, text, help) name,
    BEHAVIOURS(X)
#undef X
} behaviour;

/* What it does when it is to check another worker's answer, chosen with --checks. */
#define CHECK_BEHAVIOURS(X)                                                                                  \
    X(CHECK_HONEST, "honest", "compares with what an honest worker answers")                                 \
    X(CHECK_OWN, "own", "compares with what it would have answered itself, being no honest worker")          \
    X(CHECK_AGREE, "agree", "finds every answer right")                                                      \
    X(CHECK_WRONG_COMMITMENT, "wrong-commitment", "compares, but commits to something else")                 \
    X(CHECK_WRONG_EXPECTED, "wrong-expected", "names a token that isn't drawn, in right answers too")        \
    X(CHECK_OTHER_PROMPT, "other-prompt", "compares, but counts another prompt")                             \
    X(CHECK_FORGED, "forged", "a finding with a wrong signature")                                            \
    X(CHECK_REFUSE, "refuse", "gives checks up")                                                             \
    X(CHECK_NEVER, "never", "takes checks and is silent; beats, and confirms cancels")                       \
    X(CHECK_LEAVE, "leave", "cuts the connection instead of answering")

typedef enum check_behaviour {
#define X(name, text, help) name,
    CHECK_BEHAVIOURS(X)
#undef X
} check_behaviour;

typedef struct fake_options {
    const char *state;
    const char *join;
    const char *model;
    const char *profile;
    const char *digest;  /* 64 hex digits */
    const char *machine; /* 64 hex digits, or NULL */
    const char *says;    /* what its answers begin with, or NULL */
    behaviour behave;
    check_behaviour checks;
    uint64_t share; /* percent of the jobs in which it cheats */
    uint64_t noise; /* 0: drawn */
    uint64_t count;
    uint64_t slots;
    uint64_t reply_bytes;
    uint64_t tokens;
    uint64_t context;
    uint64_t dimension; /* of its vectors; 0: it generates and embeds nothing */
    bool both;          /* it generates, too */
    uint64_t events_per_second;
    uint64_t delay_ms;
    uint64_t spread_ms;
    bool echoes; /* its answers begin with the prompt */
    bool once;
    bool quiet;
    bool timestamps;
} fake_options;

/* Who a session says it is. Only the first FAKE_KEYS_KEPT keep their key in locked memory. */
enum { FAKE_COUNT_MAX = 100000, FAKE_KEYS_KEPT = 256 };

typedef struct fake_identity {
    uint8_t seed[SIGN_SEED_SIZE];
    uint8_t public_key[SIGN_PUBLIC_SIZE];
    uint8_t worker_id[PROTO_ID_SIZE];
    sign_key *key; /* NULL: made from the seed when needed */
} fake_identity;

typedef struct fake fake;

typedef struct fake_session {
    fake *owner;
    size_t number;
    const fake_identity *identity;
    fake_identity next; /* that the pool was told of */
    websocket *socket;
    proto_state state; /* PROTO_CLOSED: not connected */
    uint8_t nonce[PROTO_NONCE_SIZE];
    uint64_t lease_ms;
    uint32_t back_off_ms;
    ev_timer connect_timer;
    ev_timer beat_timer;
    list_node jobs;
    size_t job_count;
    struct fake_memory *memory; /* log.c; NULL: it isn't curious */
    bool revoked;               /* the end of the connection follows */
    bool ended;                 /* will not dial again */
} fake_session;

struct fake {
    fake_options options;
    worker_home home;
    uint8_t digest[PROTO_DIGEST_SIZE];
    uint8_t machine[PROTO_MACHINE_SIZE];
    ev_loop *loop;
    net *net;
    net_tls *tls;
    arena *scratch; /* for the message being handled */
    buffer output;  /* the message being sent */
    uint64_t noise; /* what makes this process's answers differ, with different-text and other-commitment */
    fake_identity *identities;
    sign_key *former_keys[FAKE_KEYS_KEPT];
    size_t former_count;
    fake_session *sessions;
    size_t serving;
    size_t ended;
    uint64_t since_ms; /* when the first session dialled, or the first was lost */
    uint64_t jobs_done;
    bool stopping;
};

/* identities.c: from the state folder, or enrolled now with the file of join tokens and kept there. */
MUST_CHECK bool fake_identities_load(fake *f, error *err);
void fake_identities_free(fake *f);
MUST_CHECK bool fake_sign(const fake_identity *who, slice bytes, uint8_t signature[SIGN_SIGNATURE_SIZE],
                          error *err);

/* session.c */
void fake_session_start(fake *f, size_t number);
/* Sends past the state table, so that broken messages go out too. */
void fake_send(fake_session *s, const proto_message *message);
void fake_send_hello(fake_session *s);

/* answer.c: what this worker says to a question: the same as any other, unless it cheats. */
typedef struct fake_words {
    char *text; /* may be NULL */
    size_t text_length;
    uint32_t *tokens;
    uint32_t count;
} fake_words;

uint32_t fake_prompt_tokens(const proto_job *wanted);
bool fake_cheats(const fake *f, const uint8_t id[PROTO_ID_SIZE]);
uint32_t fake_answer_tokens(const fake *f, const proto_job *wanted); /* how many */
bool fake_stops(const fake *f, uint32_t tokens);         /* an answer of so many tokens ended by itself */
size_t fake_text_length(const fake *f, uint32_t tokens); /* of so many tokens, in bytes */
void fake_answer(const fake *f, const proto_job *wanted, bool cheats, fake_words out);
/* Over nonce, tokens and, as it were, the logits. */
MUST_CHECK bool fake_commit(const fake *f, const uint8_t nonce[PROTO_NONCE_SIZE], bool cheats,
                            const uint32_t *tokens, size_t count, uint8_t commitment[PROTO_DIGEST_SIZE],
                            error *err);

/* check.c: what it finds of another's answer, signed. */
MUST_CHECK bool fake_check(const fake_session *s, const proto_job *wanted, bool cheats, proto_scored *scored,
                           error *err);

/* embed.c: vectors of texts, each a function of its text alone. */
void fake_embed(fake_session *s, const proto_job *wanted);

/* rekey.c */
void fake_rekey(fake_session *s, const proto_rekey *wanted);
void fake_rekeyed(fake_session *s, const proto_rekeyed *told);

/* log.c: a curious one checks what it is shown as a real worker does, and asks again. */
void fake_log_welcome(fake_session *s, const proto_welcome *welcome);
void fake_log_keys(fake_session *s, slice shown);
void fake_log_proof(fake_session *s, const proto_log_proof *proof);
void fake_log_closed(fake_session *s);

/* job.c */
void fake_job_start(fake_session *s, const proto_job *wanted);
void fake_job_cancel(fake_session *s, const uint8_t id[PROTO_ID_SIZE]);
void fake_job_credit(fake_session *s, const proto_credit *credit);
void fake_job_drop_all(fake_session *s);

/* report.c: a line about a session (NULL: about all). `id` and `text` may be NULL, `name` too. */
void fake_report(const fake_session *s, const char *event, const uint8_t id[PROTO_ID_SIZE], const char *name,
                 uint64_t number, slice text);
/* The same, also with --quiet: about the whole process. */
void fake_report_all(const fake *f, const char *event);

#endif
