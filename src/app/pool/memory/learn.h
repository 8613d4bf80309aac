#ifndef POOL_MEMORY_LEARN_H
#define POOL_MEMORY_LEARN_H

#include "memory/gate.h"

/* POST /v1/memory/learn {"conversation","model"}: a model lists what lasts of one of the user's conversations
 * (memory/lesson.h), and what isn't known yet is added to his facts. Only when he asks for it. */
void memory_learn(pool *p, http_request *request, const account *who, slice segment);

#endif
