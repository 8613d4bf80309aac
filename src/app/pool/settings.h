#ifndef POOL_SETTINGS_H
#define POOL_SETTINGS_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "proto/message.h"

#include <stdint.h>

/* Every setting of the pool: one row gives the YAML key, the default, the bounds, when it counts, --help and
 * the documentation. NUMBER(name, default, least, most, when, doc) and TEXT(name, default, when, doc).
 * AT_START: the next start takes it; LIVE: SIGHUP too. */
#define POOL_SETTINGS(NUMBER, TEXT)                                                                          \
    TEXT(listen, "0.0.0.0:8443", AT_START, "address and port to serve HTTPS on")                             \
    TEXT(public_address, "", LIVE,                                                                           \
         "host:port that workers and clients dial; empty: this host's name and the port")                    \
    TEXT(log_level, "info", LIVE, "least level logged: debug, info, warning or error")                       \
    TEXT(log_format, "text", LIVE, "text (key=value) or json (a JSON object a line)")                        \
    TEXT(egress, "", AT_START,                                                                               \
         "what the pool may connect to: \"host:443, 10.1.0.0/16, host:443=public, ...\"; empty: nothing")    \
    TEXT(database, "", AT_START,                                                                             \
         "\"postgresql://user@host/name\", or a file of SQLite's by its whole path; empty: pool.db in DIR")  \
    NUMBER(connections_limit, 16384, 16, 1000000, AT_START, "open connections at most")                      \
    NUMBER(body_limit, 4194304, 1024, 67108864, AT_START, "bytes of a request body at most")                 \
    NUMBER(head_timeout_ms, 10000, 100, 600000, AT_START, "a request's head must be whole within this")      \
    NUMBER(body_timeout_ms, 30000, 100, 600000, AT_START, "a request's body must be whole within this")      \
    NUMBER(idle_timeout_ms, 75000, 1000, 3600000, AT_START, "a kept-alive connection may be idle this long") \
    NUMBER(write_timeout_ms, 30000, 100, 600000, AT_START,                                                   \
           "a client that takes no byte of its answer for this long is cut off")                             \
    NUMBER(queue_limit, 1000, 1, 1000000, LIVE, "questions waiting for a worker at most")                    \
    NUMBER(queue_limit_per_user, 50, 1, 1000000, LIVE, "of these, of one user")                              \
    NUMBER(queue_deadline_ms, 30000, 10, 3600000, LIVE, "a question waits this long for a worker")           \
    NUMBER(model_grace_ms, 15000, 1, 3600000, LIVE,                                                          \
           "a question waits this long for a worker to come back when none has its model")                   \
    NUMBER(job_deadline_ms, 600000, 1000, 86400000, LIVE, "an answer must be complete within this")          \
    NUMBER(first_token_timeout_ms, 60000, 100, 3600000, LIVE,                                                \
           "a worker that says nothing for this long about a new job is taken to hang")                      \
    NUMBER(progress_timeout_ms, 20000, 100, 3600000, LIVE,                                                   \
           "a worker that stops in mid-answer for this long is taken to hang")                               \
    NUMBER(attempts_limit, 3, 1, 10, LIVE, "workers tried for one question at most")                         \
    NUMBER(credit_window, 256, 16, 65536, LIVE, "tokens a worker may be ahead of the client")                \
    NUMBER(max_tokens_default, 1024, 1, PROTO_ANSWER_MAX, LIVE,                                              \
           "length of an answer where the client names none")                                                \
    NUMBER(max_tokens_limit, 32768, 1, PROTO_ANSWER_MAX, LIVE,                                               \
           "length of an answer at most; more asked for is refused")                                         \
    NUMBER(beat_ms, 10000, 100, 60000, AT_START, "workers say that they live this often; dead after 2.5")    \
    NUMBER(join_token_minutes, 10, 1, 1440, LIVE, "a join token can be used for this long")                  \
    NUMBER(worker_days, 365, 1, 3650, LIVE,                                                                  \
           "a worker is enrolled for this long where the admin names no other")                              \
    NUMBER(session_token_seconds, 600, 60, 900, LIVE, "a session token is good for this long")               \
    NUMBER(session_hours, 12, 1, 720, LIVE, "a session can be refreshed for this long after it was made")    \
    NUMBER(session_key_days, 30, 1, 365, LIVE, "the key that signs session tokens is changed this often")    \
    NUMBER(own_key_days, 90, 1, 3650, LIVE,                                                                  \
           "a key that somebody makes who logged in by single sign-on is good for this long at most")        \
    NUMBER(contractor_days, 30, 1, 365, LIVE, "a contractor's worker is enrolled for this long at most")     \
    NUMBER(worker_certificate_minutes, 0, 0, 1440, AT_START,                                                 \
           "workers show a TLS certificate of so many minutes, 60 is usual (mutual TLS); 0: none")           \
    TEXT(approval, "on", LIVE,                                                                               \
         "on: another person approves each worker; off: an admin's own join token is enough")                \
    NUMBER(approval_hours, 72, 1, 720, LIVE, "a request must be approved and used within this")              \
    TEXT(recovery_officers, "", LIVE,                                                                        \
         "who gives users' memory back: \"name=public key, ...\", as cellule admin recovery-key prints it")  \
    NUMBER(recovery_needed, 0, 0, 16, LIVE,                                                                  \
           "so many of them together, 2 or more; 0: nobody but its user opens a memory")                     \
    NUMBER(receipt_days, 90, 1, 3650, LIVE, "receipts are kept for this long")                               \
    NUMBER(conversation_days, 0, 0, 3650, LIVE,                                                              \
           "conversations that users keep are deleted when they haven't changed for this long; 0: never")    \
    NUMBER(fact_days, 0, 0, 3650, LIVE, "facts that users have the pool remember, likewise; 0: never")       \
    NUMBER(fact_memory_mib, 256, 1, 65536, LIVE,                                                             \
           "MiB of memory for what facts are found by, of all users: 1.5 KiB a fact, more with a model")     \
    TEXT(verify, "spot", LIVE,                                                                               \
         "least check of answers by another worker: off, spot, every, proved or required")                   \
    TEXT(verify_models, "", LIVE, "stricter for some models: \"name=mode, ...\"")                            \
    TEXT(verify_tiers, "", LIVE, "stricter for workers of some tiers: \"name=mode, ...\"")                   \
    TEXT(model_files, "", LIVE,                                                                              \
         "which file a model is: \"name=SHA-256, name=SHA-256:profile, ...\"; others come as workers say")   \
    NUMBER(verify_floor, 3, 1, 100, LIVE, "percent of a worker's answers that spot checks at least")         \
    NUMBER(check_delay_ms, 3000, 0, 3600000, LIVE, "a check begins at a random time up to this later")       \
    NUMBER(check_deadline_ms, 300000, 1000, 86400000, LIVE, "a check must be done within this")              \
    NUMBER(check_patience_ms, 600000, 0, 86400000, LIVE,                                                     \
           "a check or dispute that found no idle slot for this long goes before questions")                 \
    NUMBER(dispute_wait_ms, 1800000, 1, 86400000, LIVE,                                                      \
           "a dispute that nobody could judge for this long is left to an admin")                            \
    NUMBER(checks_at_once, 8, 1, 1024, LIVE, "checks under way at most")                                     \
    NUMBER(recheck_answers, 100, 0, 10000, LIVE,                                                             \
           "answers of a worker kept, sealed, to be checked if it is convicted; 0 keeps none")               \
    NUMBER(recheck_hours, 24, 1, 720, LIVE, "they, and checks that find no verifier, are kept this long")    \
    NUMBER(honeytoken_every, 0, 0, 1000000, LIVE,                                                            \
           "after about so many answers a worker gets a prompt with a marker of its own; 0: never")          \
    NUMBER(honeytoken_delay_ms, 60000, 0, 86400000, LIVE, "it comes at a random time up to this later")      \
    TEXT(embedding_model, "", LIVE,                                                                          \
         "model that makes the vectors users' facts are searched by; empty: the embedder that needs none")   \
    TEXT(release_check, "auto", AT_START,                                                                    \
         "if this program isn't the signed release that it was installed as: refuse, warn or off; auto: "    \
         "refuse for a release, off for a development build")                                                \
    TEXT(release_keys, "", AT_START,                                                                         \
         "file of the maintainers' keys, for a development build; a release has them in it")                 \
    TEXT(worker_releases, "", LIVE,                                                                          \
         "programs that workers may run: \"SHA-256, same, signed, signed>=1.2.3\"; empty: any")              \
    NUMBER(drain_timeout_ms, 30000, 0, 3600000, LIVE,                                                        \
           "on SIGTERM, answers under way may take this long to end")

typedef struct pool_settings {
#define NUMBER(name, initial, least, most, when, doc) uint64_t name;
#define TEXT(name, initial, when, doc) char *name;
    POOL_SETTINGS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
} pool_settings;

/* Reads the YAML file: an absent key takes its default; an unknown one, a wrong type or a value out of bounds
 * is an error that names it. A NULL path gives the defaults. The caller frees with pool_settings_free. */
MUST_CHECK bool pool_settings_load(const char *path, pool_settings *settings, error *err);
/* The same from its text, which the error doesn't name. */
MUST_CHECK bool pool_settings_parse(slice text, pool_settings *settings, error *err);
void pool_settings_free(pool_settings *settings);
/* Exchanges the LIVE settings of the two, so that `running` takes what was read; twice undoes it. */
void pool_settings_swap(pool_settings *running, pool_settings *read);

/* Appends the names of the AT_START settings that differ: "listen, beat_ms"; nothing if none does. */
void pool_settings_list_waiting(const pool_settings *running, const pool_settings *read, buffer *names);

/* Every setting with default, bounds and documentation, as the commented YAML that --help shows. Owned by the
 * caller (memory_free); NULL if memory is out. */
MUST_CHECK char *pool_settings_describe(void);

#endif
