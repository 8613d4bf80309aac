#include "train.h"

#include "optimise.h"
#include "pass.h"
#include "samples.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

enum {
    SHARDS = 2,
    SECOND_TURN_PERCENT = 5,
    SEQUENCE_TOKENS_TYPICAL = 160,
    /* An answer's beginning decides which answer comes, and is what paraphrases teach; the rest is learned by
     * heart soon. So most answers break off after their beginning, which is quicker too. */
    BEGINNING_PERCENT = 80,
    BEGINNING_TOKENS = 6,
    VARIED_PERCENT = 80,
    /* The last fifth of the steps settles what was learned: fewer changes, nothing dropped. */
    SETTLING_VARIED_PERCENT = 30
};

/* One thread's half of a step. */
typedef struct shard {
    pass work;
    gathering samples;
    float *gradient;
    double divisor; /* predictions of the whole step */
    double loss;
} shard;

typedef struct training {
    const tokenizer *tokenizer;
    const train_settings *settings;
    model *m;
    optimiser optimiser;
    shard shards[SHARDS];
    pairings pairs;
    random_source random;
    uint64_t step;
    uint64_t steps; /* an estimate made at the start; the learning rate follows it */
} training;

static void *run_shard(void *argument) {
    shard *s = argument;
    batch b = gathering_batch(&s->samples);
    s->loss = 0;
    if (b.sequences > 0) {
        pass_forward(&s->work, &b);
        s->loss = pass_loss(&s->work, &b, s->divisor);
        pass_backward(&s->work, &b, s->gradient);
    }
    return NULL;
}

static double predictions(const gathering *g) {
    size_t count = 0;
    for (size_t i = 0; i < g->count; i++) {
        count += g->targets[i] != PASS_NO_TARGET;
    }
    return (double)count;
}

/* Rises over the first 3 %, then falls along a cosine to 1 % of the highest. */
static float learning_rate(const training *t) {
    double done = (double)t->step / (double)t->steps;
    done = done > 1 ? 1 : done;
    double share =
        done < 0.03 ? done / 0.03 : 0.01 + 0.99 * 0.5 * (1 + cos(3.14159265358979 * (done - 0.03) / 0.97));
    return t->settings->rate * (float)share;
}

/* Returns the mean loss per token. */
static bool run_step(training *t, double *loss, error *err) {
    double divisor = 0;
    pthread_t thread;
    for (int i = 0; i < SHARDS; i++) {
        divisor += predictions(&t->shards[i].samples);
    }
    for (int i = 0; i < SHARDS; i++) {
        t->shards[i].divisor = divisor;
    }
    int failed = pthread_create(&thread, NULL, run_shard, &t->shards[1]);
    if (failed != 0) {
        return error_set_errno(err, ERROR_IO, failed, "cannot start a thread");
    }
    (void)run_shard(&t->shards[0]);
    pthread_join(thread, NULL);
    float *sum = t->shards[0].gradient;
    float *other = t->shards[1].gradient;
    for (size_t i = 0; i < t->m->parameter_count; i++) {
        sum[i] += other[i];
        other[i] = 0;
    }
    t->step++;
    optimiser_step(&t->optimiser, t->m, sum, learning_rate(t));
    *loss = (t->shards[0].loss + t->shards[1].loss) / divisor;
    return true;
}

/* Fills the shards from the pairs at *next on. A pair that doesn't fit any more waits for the next step. */
static bool gather(training *t, size_t *next, error *err) {
    bool settles = t->step * 5 >= t->steps * 4;
    sample_changes changes = {.random = &t->random,
                              .varied_percent = settles ? SETTLING_VARIED_PERCENT : VARIED_PERCENT};
    for (int i = 0; i < SHARDS; i++) {
        gathering *g = &t->shards[i].samples;
        gathering_clear(g);
        t->shards[i].work.dropped = settles ? 0 : t->settings->dropped;
        for (uint32_t n = 0; n < t->settings->sequences / SHARDS && *next < t->pairs.count; n++) {
            size_t turns =
                1 + (*next + 1 < t->pairs.count && random_percent(&t->random, SECOND_TURN_PERCENT) ? 1U : 0U);
            changes.answer_tokens =
                random_percent(&t->random, BEGINNING_PERCENT) ? BEGINNING_TOKENS : SIZE_MAX;
            if (!gathering_add(g, t->tokenizer, t->pairs.items + *next, turns, &changes)) {
                break;
            }
            *next += turns;
        }
    }
    return t->shards[0].samples.sequences > 0 ||
           error_set(err, ERROR_LIMIT, "a question with its answer is longer than a batch");
}

static bool run_epoch(training *t, uint32_t epoch, time_t began, error *err) {
    double total = 0;
    uint64_t first = t->step;
    samples_shuffle(&t->pairs, &t->random);
    for (size_t next = 0; next < t->pairs.count;) {
        double loss = 0;
        if (!gather(t, &next, err) || !run_step(t, &loss, err)) {
            return false;
        }
        total += loss;
    }
    printf("epoch %u of %u: loss %.4f, step %llu of about %llu, %lld s\n", epoch + 1, t->settings->epochs,
           total / (double)(t->step - first), (unsigned long long)t->step, (unsigned long long)t->steps,
           (long long)(time(NULL) - began));
    fflush(stdout);
    return true;
}

bool train(arena *a, const question_set *set, const tokenizer *words, const train_settings *settings,
           model *m, error *err) {
    training t = {.tokenizer = words, .settings = settings, .m = m, .random = random_make(settings->seed, 2)};
    size_t half = settings->sequences / SHARDS;
    size_t capacity = half * SEQUENCE_TOKENS_TYPICAL;
    capacity = capacity < PASS_SEQUENCE_MAX ? PASS_SEQUENCE_MAX : capacity;
    size_t sequence = m->shape.context < PASS_SEQUENCE_MAX ? m->shape.context : PASS_SEQUENCE_MAX;
    if (half == 0 || settings->epochs == 0) {
        return error_set(err, ERROR_INVALID,
                         "nothing to train: epochs and conversations per step are at least 1 and 2");
    }
    if (!samples_pair(a, set, false, &t.pairs, err) ||
        !optimiser_make(a, m, settings->decay, &t.optimiser, err)) {
        return false;
    }
    for (int i = 0; i < SHARDS; i++) {
        shard *s = &t.shards[i];
        s->gradient = arena_allocate_array(a, m->parameter_count, sizeof(float));
        if (s->gradient == NULL) {
            return error_memory(err);
        }
        if (!pass_make(a, m, capacity, sequence, true, &s->work, err) ||
            !gathering_make(a, capacity, half, &s->samples, err)) {
            return false;
        }
        s->work.random = random_make(settings->seed, 3 + (uint64_t)i);
    }
    double conversations = (double)t.pairs.count / (1 + SECOND_TURN_PERCENT / 100.0);
    t.steps = (uint64_t)ceil(conversations / (double)(half * SHARDS)) * settings->epochs;
    time_t began = time(NULL);
    for (uint32_t epoch = 0; epoch < settings->epochs; epoch++) {
        if (!run_epoch(&t, epoch, began, err)) {
            return false;
        }
    }
    return true;
}
