#ifndef STORE_VAULTS_INTERNAL_H
#define STORE_VAULTS_INTERNAL_H

#include "database.h"

/* A key was just revoked: its wrap goes, if another key that isn't revoked opens the same vault. */
MUST_CHECK bool vaults_forget_key(database *d, uint64_t key_id, error *err);

#endif
