#include "crypto/start.h"

#include "unit.h"

#include <sys/wait.h>
#include <unistd.h>

enum { FIRST = 100 /* OpenSSL's own context is made by fewer allocations */, STARTED, REFUSED, WRONG };

static int start_without(int nth) {
    error err;
    fault_fail_nth(nth);
    bool started = crypto_start(&err);
    bool reached = fault_stop();
    return started ? STARTED : reached ? REFUSED : WRONG;
}

/* Once in a process, so each in one of its own. */
static void test_a_first_start_without_memory_is_an_error(void **state) {
    (void)state;
    unsigned refused = 0;
    for (int nth = 0; nth < FIRST; nth++) {
        int status = 0;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            _exit(start_without(nth));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_in_range(WEXITSTATUS(status), STARTED, REFUSED);
        refused += WEXITSTATUS(status) == REFUSED;
    }
#ifdef CELLULE_FAULTS
    assert_true(refused > FIRST / 10);
#else
    assert_int_equal(refused, 0);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_first_start_without_memory_is_an_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
