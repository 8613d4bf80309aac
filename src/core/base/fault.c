#include "base/fault.h"

#ifdef CELLULE_FAULTS
#define FIU_ENABLE 1
#include <fiu.h>

bool fault_here(const char *name) {
    return fiu_fail(name) != 0;
}
#endif
