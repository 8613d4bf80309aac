#ifndef POOL_MEMORY_FACTS_H
#define POOL_MEMORY_FACTS_H

#include "codec/json_writer.h"
#include "memory/fact_write.h"
#include "memory/task.h"

/* What a user has the pool remember: listed, read, added, edited, forgotten, searched. What isn't his is not
 * there. */
void facts_list(pool *p, http_request *request, const account *who, slice segment);
void fact_show(pool *p, http_request *request, const account *who, slice id);
void fact_add(pool *p, http_request *request, const account *who, slice segment);
void fact_edit(pool *p, http_request *request, const account *who, slice id);
void fact_forget(pool *p, http_request *request, const account *who, slice id);
/* facts_search.c */
void facts_search(pool *p, http_request *request, const account *who, slice segment);
/* GET /v1/memory: how much there is, and how far new vectors are. status.c */
void memory_status(pool *p, http_request *request, const account *who, slice segment);

/* The members of a fact in JSON. */
void fact_write_json(json_writer *w, const uint8_t id[RECORD_ID_SIZE], const fact *f);

#endif
