#ifndef STORE_KEYS_INTERNAL_H
#define STORE_KEYS_INTERNAL_H

#include "request.h"
#include "store/keys.h"

/* Shared by the operations that add a key: alone, or with its user. */
MUST_CHECK bool keys_check_new(const store_new_key *key, error *err);
store_new_key keys_copy_new(request *r, const store_new_key *key);
MUST_CHECK bool keys_insert(database *d, uint64_t user_id, const store_new_key *key, uint64_t *key_id,
                            error *err);
/* What is told of a key that was just added; slices as given. */
store_loaded_key keys_describe_new(const store_new_key *key, uint64_t key_id, uint64_t user_id,
                                   slice user_name, slice role);

#endif
