#ifndef WORKER_RUNTIME_REQUEST_H
#define WORKER_RUNTIME_REQUEST_H

#include "base/buffer.h"
#include "engine/pipe.h"
#include "proto/message.h"

/* What is asked of a runtime, and what it says about itself. Pure. */
enum {
    RUNTIME_URL_MAX = 512,
    RUNTIME_NAME_MAX = 40, /* of a profile, without "runtime-" */
    RUNTIME_CONTEXT = 4096 /* tokens, where neither the runtime nor the user says */
};

/* "http://127.0.0.1:8080/v1/" becomes "http://127.0.0.1:8080": a scheme, a host, maybe a port and a path,
 * nothing else. ERROR_INVALID says what is wrong. */
MUST_CHECK bool runtime_url_parse(const char *text, char url[RUNTIME_URL_MAX + 1], error *err);
/* Whether what is sent there can be read on the way: neither encrypted nor on this machine. */
bool runtime_url_is_exposed(const char *url);

/* The body of a chat completion. ERROR_MEMORY, ERROR_LIMIT. */
MUST_CHECK bool runtime_request_write(slice model, const pipe_generate *wanted, buffer *out, error *err);

typedef struct runtime_description {
    char profile[PROTO_PROFILE_MAX + 1]; /* "runtime-NAME" */
    uint8_t digest[PROTO_DIGEST_SIZE];
    uint32_t context; /* 0: not told */
    uint32_t slots;   /* 0: not told */
    const char *more; /* a path that may tell more, NULL: none */
} runtime_description;

/* Reads the answer of /v1/models. `name` of the runtime: NULL takes what the server's own words tell. The
 * digest is the SHA-256 of the envelope "cellule runtime v1": runtime, model, and what the list says of it as
 * far as that is the same on every machine with the same model. ERROR_NOT_FOUND: no such model; ERROR_IO: not
 * such an answer. */
MUST_CHECK bool runtime_describe(slice json, slice model, const char *name, runtime_description *d,
                                 error *err);
/* Takes from the answer of `more` what it tells: context and slots, if they are in there. */
void runtime_describe_more(slice json, slice model, runtime_description *d);
/* 1 to RUNTIME_NAME_MAX of a-z, 0-9, '.', '_', '-'. */
MUST_CHECK bool runtime_name_is_valid(const char *name);

#endif
