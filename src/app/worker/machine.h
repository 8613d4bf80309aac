#ifndef WORKER_MACHINE_H
#define WORKER_MACHINE_H

#include "proto/message.h"

/* systemd's id of the machine (machine-id(5)), which should not leave it as it is. */
#define MACHINE_ID_PATH "/etc/machine-id"

/* hello's `machine`: SHA-256 of the envelope "cellule machine v1" over the pool's id and the file's first
 * line, without the blanks around it. Zeros if there is no such file, it can't be read or holds no id. False:
 * memory is out. */
MUST_CHECK bool machine_identify(const char *path, const uint8_t pool_id[PROTO_POOL_ID_SIZE],
                                 uint8_t machine[PROTO_MACHINE_SIZE], error *err);

#endif
