#ifndef UNIT_H
#define UNIT_H

/* What every unit test includes: cmocka in the order it wants, and faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <stdbool.h>

/* Makes the nth allocation from now (0 is the next) fail, once. Does nothing in a build without faults. */
void fault_fail_nth(int nth);
/* Ends it. True if the allocation was reached, so a loop over nth knows when it is done. */
bool fault_stop(void);
/* fault_fail_nth for any fault point by name ("memory", "write"). */
void fault_fail_nth_at(const char *point, int nth);

#endif
