#ifndef POOL_MEMORY_CONVERSATIONS_H
#define POOL_MEMORY_CONVERSATIONS_H

#include "state.h"

/* A user's own conversations: listed, read, renamed, deleted, searched, exported. What isn't his is not
 * there. */
void conversations_list(pool *p, http_request *request, const account *who, slice segment);
void conversation_show(pool *p, http_request *request, const account *who, slice id);
void conversation_rename(pool *p, http_request *request, const account *who, slice id);
void conversation_delete(pool *p, http_request *request, const account *who, slice id);
/* Streamed while it is read, so that its length doesn't matter (export.c). */
void conversation_export(pool *p, http_request *request, const account *who, slice id);
/* search.c */
void conversations_search(pool *p, http_request *request, const account *who, slice segment);

#endif
