#include "threads/crew.h"

#include "unit.h"

#include "arithmetic/arithmetic.h"

#include <fenv.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { THINGS_MAX = 500, PHASES = 7, RUNS = 200 };

static const uint32_t counts[] = {1, 2, 3, 7};

static crew *make_crew(uint32_t count) {
    error err = {0};
    crew *c = crew_new(count, &err);
    assert_non_null(c);
    assert_int_equal(crew_count(c), count);
    return c;
}

typedef struct job {
    size_t total;
    size_t grain;
    _Atomic uint32_t taken[PHASES][THINGS_MAX];
    _Atomic uint32_t members;
    uint64_t indices; /* a bit each, by the lock */
    pthread_mutex_t lock;
    uint64_t values[2][THINGS_MAX]; /* each phase computes from what the one before wrote */
    _Atomic bool wrong;
} job;

static uint64_t next_value(const job *j, size_t phase, size_t i) {
    const uint64_t *before = j->values[(phase + 1) % 2];
    return phase == 0 ? i + 1 : before[i] + 3 * before[j->total - 1 - i];
}

/* Each portion is computed from things that other members made in the phase before, so that a phase which
 * begins too early shows. */
static void work(void *context, crew_member *self) {
    job *j = context;
    atomic_fetch_add(&j->members, 1);
    pthread_mutex_lock(&j->lock);
    j->indices |= UINT64_C(1) << crew_index(self);
    pthread_mutex_unlock(&j->lock);
    for (size_t phase = 0; phase < PHASES; phase++) {
        size_t first = 0;
        size_t last = 0;
        while (crew_take(self, j->total, j->grain + phase, &first, &last)) {
            if (first >= last || last > j->total || last - first > j->grain + phase) {
                atomic_store(&j->wrong, true);
                break;
            }
            for (size_t i = first; i < last; i++) {
                atomic_fetch_add(&j->taken[phase][i], 1);
                j->values[phase % 2][i] = next_value(j, phase, i);
            }
        }
        crew_wait(self);
    }
}

static void check_run(crew *c, size_t total, size_t grain) {
    static job j;
    static uint64_t expected[2][THINGS_MAX];
    error err = {0};
    memset(&j, 0, sizeof j);
    j.total = total;
    j.grain = grain;
    assert_int_equal(pthread_mutex_init(&j.lock, NULL), 0);
    assert_true(crew_run(c, work, &j, &err));
    pthread_mutex_destroy(&j.lock);
    assert_false(j.wrong);
    assert_in_range(j.members, 1, crew_count(c));
    assert_true((j.indices & 1) != 0 && j.indices < UINT64_C(1) << crew_count(c));
    for (size_t phase = 0; phase < PHASES; phase++) {
        for (size_t i = 0; i < total; i++) {
            const uint64_t *before = expected[(phase + 1) % 2];
            assert_int_equal(j.taken[phase][i], 1);
            expected[phase % 2][i] = phase == 0 ? i + 1 : before[i] + 3 * before[total - 1 - i];
        }
    }
    assert_memory_equal(j.values[(PHASES - 1) % 2], expected[(PHASES - 1) % 2], total * sizeof(uint64_t));
}

static void test_every_portion_is_taken_once_and_phases_are_in_order(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        crew *c = make_crew(counts[i]);
        for (size_t run = 0; run < RUNS; run++) {
            check_run(c, 1 + run * 7 % THINGS_MAX, 1 + run % 5);
        }
        crew_free(c);
    }
}

static void sleep_a_little(void) {
    nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
}

/* Whoever takes the turn sleeps; the others go to sleep as well, waiting for it. */
static void wait_at_every_turn(void *context, crew_member *self) {
    uint64_t *sum = context;
    for (uint32_t turn = 0; turn < 6; turn++) {
        size_t first = 0;
        size_t last = 0;
        while (crew_take(self, 1, 1, &first, &last)) {
            sleep_a_little();
            *sum = *sum * 10 + turn;
        }
        crew_wait(self);
    }
}

static void test_members_that_sleep_while_they_wait_are_woken(void **state) {
    (void)state;
    error err = {0};
    crew *c = make_crew(3);
    for (size_t run = 0; run < 3; run++) {
        uint64_t sum = 0;
        sleep_a_little();
        assert_true(crew_run(c, wait_at_every_turn, &sum, &err));
        assert_int_equal(sum, 12345);
    }
    crew_free(c);
}

/* Each holds its thing until every member has one. */
static void hold(void *context, crew_member *self) {
    _Atomic uint32_t *holders = context;
    size_t first = 0;
    size_t last = 0;
    while (crew_take(self, 3, 1, &first, &last)) {
        atomic_fetch_add(holders, 1);
        while (atomic_load(holders) < 3) {
            sleep_a_little();
        }
    }
}

static void test_all_members_work_at_once(void **state) {
    (void)state;
    error err = {0};
    crew *c = make_crew(3);
    _Atomic uint32_t holders = 0;
    assert_true(crew_run(c, hold, &holders, &err));
    assert_int_equal(holders, 3);
    crew_free(c);
}

static void test_a_crew_that_never_ran_can_be_freed(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        crew_free(make_crew(counts[i]));
    }
    crew_free(NULL);
}

static void test_sizes_out_of_bounds_are_refused(void **state) {
    (void)state;
    error err = {0};
    assert_null(crew_new(0, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_null(crew_new(CREW_MAX + 1, &err));
    assert_int_equal(err.code, ERROR_INVALID);
}

/* Results that flushing to zero or another rounding would change. The operands are volatile, so that the
 * processor computes them here. */
typedef struct roundings {
    uint32_t subnormal;
    uint32_t third;
    uint32_t negative;
} roundings;

typedef struct all_roundings {
    roundings of[7];
    _Atomic uint32_t holders;
} all_roundings;

static roundings round_some(void) {
    volatile float small = 0x1p-100f;
    volatile float smaller = 0x1.8p-40f;
    volatile float one = 1;
    volatile float three = 3;
    volatile float tiny = 0x1p-140f;
    volatile float subnormal = small * smaller + tiny;
    volatile float third = one / three;
    volatile float negative = -one / three;
    return (roundings){bits_of_float(subnormal), bits_of_float(third), bits_of_float(negative)};
}

/* By every member: each holds its thing until all have one. */
static void compute(void *context, crew_member *self) {
    all_roundings *all = context;
    size_t first = 0;
    size_t last = 0;
    while (crew_take(self, 7, 1, &first, &last)) {
        all->of[first] = round_some();
        atomic_fetch_add(&all->holders, 1);
        while (atomic_load(&all->holders) < 7) {
            sleep_a_little();
        }
    }
}

static void flush_to_zero(bool on) {
#if defined(__x86_64__)
    unsigned mode = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(on ? mode | 0x8040U : mode & ~0x8040U);
#else
    (void)on;
#endif
}

static void test_members_compute_alike_whatever_the_caller_set(void **state) {
    (void)state;
    static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    for (size_t i = 0; i < 8; i++) {
        error err = {0};
        all_roundings all = {0};
        const int mode = modes[i % 4];
        assert_int_equal(fesetround(mode), 0);
        flush_to_zero(i >= 4);
        crew *c = crew_new(7, &err); /* threads inherit the mode */
        bool ran = c != NULL && crew_run(c, compute, &all, &err);
        volatile float tiny = 0x1p-140f;
        volatile float half_of_tiny = tiny * 0.5f;
        const bool flushes = half_of_tiny == 0;
        const int after = fegetround();
        flush_to_zero(false);
        assert_int_equal(fesetround(FE_TONEAREST), 0);
        crew_free(c);
        assert_true(ran);
        assert_int_equal(after, mode);
#if defined(__x86_64__)
        assert_int_equal(flushes, i >= 4);
#endif
        for (size_t k = 0; k < 7; k++) {
            assert_int_equal(all.of[k].subnormal, bits_of_float(0x1.8p-140f + 0x1p-140f));
            assert_int_equal(all.of[k].third, 0x3eaaaaab);
            assert_int_equal(all.of[k].negative, 0xbeaaaaab);
        }
    }
}

static void test_a_failed_allocation_leaves_nothing(void **state) {
    (void)state;
    for (int nth = 0;; nth++) {
        error err = {0};
        fault_fail_nth(nth);
        crew *c = crew_new(3, &err);
        bool failed = fault_stop();
        assert_true(failed == (c == NULL));
        crew_free(c);
        if (!failed) {
            return;
        }
        assert_int_equal(err.code, ERROR_MEMORY);
        assert_true(nth < 10);
    }
}

static void test_a_thread_that_is_refused_leaves_nothing(void **state) {
    (void)state;
    for (int nth = 0;; nth++) {
        error err = {0};
        char told[sizeof err.text];
        fault_fail_nth_at("thread", nth);
        crew *c = crew_new(4, &err);
        bool failed = fault_stop();
        assert_true(failed == (c == NULL));
        crew_free(c);
        if (!failed) {
            return;
        }
        snprintf(told, sizeof told, "the system gives no more than %d threads: use fewer", nth + 1);
        assert_string_equal(err.text, told);
        assert_true(nth < 3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_portion_is_taken_once_and_phases_are_in_order),
        cmocka_unit_test(test_members_that_sleep_while_they_wait_are_woken),
        cmocka_unit_test(test_all_members_work_at_once),
        cmocka_unit_test(test_a_crew_that_never_ran_can_be_freed),
        cmocka_unit_test(test_sizes_out_of_bounds_are_refused),
        cmocka_unit_test(test_members_compute_alike_whatever_the_caller_set),
        cmocka_unit_test(test_a_failed_allocation_leaves_nothing),
        cmocka_unit_test(test_a_thread_that_is_refused_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
