#ifndef POOL_PROVIDERS_INTERNAL_H
#define POOL_PROVIDERS_INTERNAL_H

#include "sso/providers.h"

struct providers {
    pool *pool;
    http_client *http;
    list_node calls; /* requests under way, but for what providers publish */
    bool closing;
    size_t count;
    provider list[PROVIDERS_MAX];
};

/* providers_file.c: reads the file into the list. */
MUST_CHECK bool providers_read(providers *all, const char *folder, const char *path, error *err);
void provider_clear(provider *one);

#endif
