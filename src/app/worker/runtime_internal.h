#ifndef WORKER_RUNTIME_INTERNAL_H
#define WORKER_RUNTIME_INTERNAL_H

#include "base/list.h"
#include "crypto/hash.h"
#include "http/client.h"
#include "runtime.h"
#include "runtime_logprobs.h"
#include "runtime_pieces.h"
#include "runtime_request.h"
#include "runtime_stream.h"

enum { RUNTIME_ENDPOINT_MAX = RUNTIME_URL_MAX + 32 };

typedef struct runtime_job runtime_job;

typedef struct runtime {
    backend base;
    ev_loop *loop;
    runtime_options options;
    const backend_handlers *handlers;
    void *context;
    http_client *client;
    char url[RUNTIME_URL_MAX + 1];
    buffer authorization; /* "Authorization: Bearer …" with a closing zero, or empty */
    buffer ca_pem;
    runtime_description description; /* of what it serves, while it is up */
    bool is_up;
    runtime_description found; /* while it is being asked */
    http_exchange *question;   /* what it serves */
    ev_timer question_timer;
    uint32_t pause_ms;
    bool refuses_logprobs; /* it answers without being asked for them alone */
    list_node jobs;        /* runtime_job.node */
    runtime_job *current;  /* whose stream is being read; NULL when that job is gone meanwhile */
} runtime;

/* Sends a request to `path` below the URL. */
MUST_CHECK http_exchange *runtime_ask(runtime *r, const char *method, const char *path, slice body,
                                      http_client_options *options,
                                      void (*callback)(void *context, const http_client_answer *answer),
                                      void *context, error *err);
/* It doesn't do what it should: all it was doing is lost, and it is asked again and again. */
void runtime_lose(runtime *r, const char *reason);
/* Asks it now whether it is still there. */
void runtime_question_soon(runtime *r);

/* The jobs (runtime_job.c). */
MUST_CHECK bool runtime_job_start(runtime *r, const uint8_t id[PIPE_JOB_SIZE], const pipe_generate *wanted);
void runtime_job_cancel(runtime *r, const uint8_t id[PIPE_JOB_SIZE]);
/* Without a word about them. */
void runtime_job_drop_all(runtime *r);
bool runtime_has_jobs(const runtime *r);

#endif
