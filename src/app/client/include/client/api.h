#ifndef CLIENT_API_H
#define CLIENT_API_H

#include "base/buffer.h"
#include "base/error.h"
#include "codec/json.h"
#include "options/options.h"

/* The pool's API for the verbs that call it: blocking, one call after the other. */

/* Where the pool is, whom to trust, who calls. From the options, else the environment (CELLULE_URL,
 * CELLULE_CA, CELLULE_KEY), else the client file: --site DIR's client.json, or ~/.cellule/client.json. The
 * key never comes from an option, which others could see in the list of processes. Which programs the pool
 * may run, if that is named (CELLULE_POOL_RELEASE, "pool_release"), is asked before the key is shown. At a
 * public address the pool is only called where CELLULE_PUBLIC=yes or "public": true in the client file says
 * so. */
typedef struct api_options {
    const char *site;
    const char *url;
    const char *ca;
    const char *release;
} api_options;

#define API_OPTION_ROWS(o)                                                                                   \
    {"site", OPTION_TEXT, &(o)->site, "DIR", "read client.json of this site", 0, 0},                         \
        {"url", OPTION_TEXT, &(o)->url, "URL", "the pool; else CELLULE_URL or the client file", 0, 0},       \
        {"ca", OPTION_TEXT, &(o)->ca, "FILE", "the site's CA; else CELLULE_CA or the client file", 0, 0}, {  \
        "pool-release", OPTION_TEXT, &(o)->release, "PROGRAMS",                                              \
            "that the pool may run: SHA-256, same, signed, signed>=1.2.3; else any", 0, 0                    \
    }

typedef struct api api;

/* Where there is no key, what `cellule login` has left is used, and refreshed when it is due. ERROR_NOT_FOUND
 * says what is missing and where it may come from; ERROR_DENIED: the pool runs another program. */
MUST_CHECK api *api_open(const api_options *options, error *err);
/* By what `cellule login` has left alone. */
MUST_CHECK api *api_open_login(const api_options *options, error *err);
/* Of somebody who has neither yet. */
MUST_CHECK api *api_open_stranger(const api_options *options, error *err);
/* This key asks from now on. */
MUST_CHECK bool api_use_key(api *a, const char *key, error *err);
/* The pool's address and the path of the site's CA, as they were settled. */
const char *api_url(const api *a);
const char *api_ca_path(const api *a);
void api_close(api *a); /* NULL is allowed */

typedef struct api_answer {
    unsigned status;
    json_value *json; /* the caller frees it; NULL for a streamed answer */
    char job[64];     /* X-Cellule-Job, or empty */
    char notice[513]; /* X-Cellule-Notice, or empty */
} api_answer;

/* `body` NULL: none. A status that isn't 2xx is an error with the pool's own words. */
MUST_CHECK bool api_call(api *a, const char *method, const char *path, slice body, api_answer *answer,
                         error *err);
/* Posts a form. Any status with a JSON answer is a success: `answer->status` says which. */
MUST_CHECK bool api_post_form(api *a, const char *path, slice form, api_answer *answer, error *err);
/* Gets a file: `on_bytes` gets it piece by piece; false ends the call, with `err` set by it. Not a success
 * unless all of it came. */
MUST_CHECK bool api_download(api *a, const char *path,
                             bool (*on_bytes)(void *context, slice bytes, error *err), void *context,
                             error *err);
/* The same for an answer of server-sent events: `on_event` gets each one's data; false ends the call, which
 * is then taken to have succeeded. `header` NULL: no further one. */
MUST_CHECK bool api_stream(api *a, const char *path, const char *header, slice body,
                           bool (*on_event)(void *context, slice data), void *context, api_answer *answer,
                           error *err);

#endif
