#include "verify/agreement.h"

#include <math.h>

/* At most one honest pair in a hundred is to count as a deviation. How often they really do is taken for more
 * than what was counted, by 1.5 standard deviations, and never for less than half of that hundredth, so that
 * one deviation weighs three nats at most. A cheat is taken to alter one answer in ten. With these a worker
 * is quarantined wrongly less than once in a million answers, whether the calibration had 200 pairs or 4000
 * (measured). */
static const double tail = 0.01;
static const double lowest_rate = 0.005;
static const double cheat_rate = 0.1;
static const double confidence = 1.5;
static const double shortest_cut = 0.125;
static const size_t logprobs_spare = 2; /* where texts part, the place of a token is known about */

size_t agreement_common_tokens(const uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count) {
    size_t count = a_count < b_count ? a_count : b_count;
    size_t common = 0;
    while (common < count && a[common] == b[common]) {
        common++;
    }
    return common;
}

size_t agreement_common_text(slice a, slice b) {
    size_t common = 0;
    while (common < a.length && common < b.length && a.data[common] == b.data[common]) {
        common++;
    }
    bool inside = (common < a.length && (a.data[common] & 0xc0) == 0x80) ||
                  (common < b.length && (b.data[common] & 0xc0) == 0x80);
    while (inside && common > 0) { /* back to where the character began */
        common--;
        inside = (a.data[common] & 0xc0) == 0x80;
    }
    return common;
}

static double within(double value, double low, double high) {
    return value >= low ? (value <= high ? value : high) : low; /* what is no number becomes the lowest */
}

static double closeness(const agreement_pair *pair) {
    if (pair->logprob_count == 0) {
        return 1;
    }
    double sum = 0;
    for (size_t i = 0; i < pair->logprob_count; i++) {
        double difference = (double)pair->claimed_logprobs[i] - (double)pair->repeated_logprobs[i];
        sum += within(exp(-fabs(difference)), 0, 1);
    }
    return sum / (double)pair->logprob_count;
}

double agreement_score(const agreement_pair *pair) {
    size_t longer = pair->claimed > pair->repeated ? pair->claimed : pair->repeated;
    double share = longer == 0 ? 1 : within((double)pair->common / (double)longer, 0, 1);
    double tie = pair->has_gap ? within(exp(-fmax(0, pair->gap)), 0, 1) : 0;
    if (pair->has_gap && isnan(pair->gap)) {
        tie = 0;
    }
    return closeness(pair) * (share + (1 - share) * tie);
}

/* Of what is compared as much as the other can have said. */
static slice comparable(const agreement_text *answer, const agreement_text *limited) {
    if (!limited->was_cut || limited->limit >= answer->limit || answer->text.length == 0) {
        return answer->text;
    }
    double tokens = fmax((double)answer->tokens, (double)limited->limit);
    double expected = (double)answer->text.length * (double)limited->limit / tokens;
    bool is_credible = (double)limited->text.length >= expected * shortest_cut;
    return is_credible ? slice_part(answer->text, 0, limited->text.length) : answer->text;
}

void agreement_logprobs_add(agreement_logprobs *l, const float *values, size_t count, size_t tokens,
                            size_t before, size_t after) {
    if (l->count >= AGREEMENT_LOGPROBS_MAX) {
        return;
    }
    l->incomplete = l->incomplete || count != tokens;
    for (size_t i = 0; i < count && !l->incomplete && l->count < AGREEMENT_LOGPROBS_MAX; i++) {
        size_t end = before + (size_t)((double)(after - before) * (double)(i + 1) / (double)count);
        l->values[l->count] = values[i];
        l->ends[l->count++] = (uint32_t)end;
    }
}

bool agreement_logprobs_given(const agreement_logprobs *l) {
    return l != NULL && l->count > 0 && !l->incomplete;
}

/* So many tokens lie wholly within the first `common` bytes. */
static size_t tokens_within(const agreement_logprobs *l, size_t common) {
    size_t count = 0;
    while (count < l->count && l->ends[count] <= common) {
        count++;
    }
    return count;
}

/* False: of so much less than the other that it is as good as none. */
static bool add_logprobs(agreement_pair *pair, const agreement_logprobs *one,
                         const agreement_logprobs *other) {
    size_t a = tokens_within(one, pair->common);
    size_t b = tokens_within(other, pair->common);
    size_t fewer = a < b ? a : b;
    size_t more = a < b ? b : a;
    pair->claimed_logprobs = one->values;
    pair->repeated_logprobs = other->values;
    pair->logprob_count = fewer;
    return 2 * fewer + logprobs_spare >= more;
}

double agreement_of_texts(const agreement_text *one, const agreement_text *other) {
    slice claimed = comparable(one, other);
    slice repeated = comparable(other, one);
    agreement_pair pair = {.claimed = claimed.length,
                           .repeated = repeated.length,
                           .common = agreement_common_text(claimed, repeated)};
    bool both = agreement_logprobs_given(one->logprobs) && agreement_logprobs_given(other->logprobs);
    return !both || add_logprobs(&pair, one->logprobs, other->logprobs) ? agreement_score(&pair) : 0;
}

/* The last bin is for what is the same; the others divide the rest evenly. */
static size_t bin_of(double score) {
    return (size_t)(within(score, 0, 1) * (AGREEMENT_BINS - 1));
}

void agreement_calibrate(agreement_calibration *c, double score) {
    if (c->pairs >= AGREEMENT_PAIRS_MAX) {
        c->pairs = 0;
        for (size_t i = 0; i < AGREEMENT_BINS; i++) {
            c->bins[i] /= 2;
            c->pairs += c->bins[i];
        }
    }
    c->bins[bin_of(score)]++;
    c->pairs++;
}

bool agreement_is_calibrated(const agreement_calibration *c) {
    return c->pairs >= AGREEMENT_PAIRS_MIN;
}

/* The first bin that isn't a deviation, and how many pairs are below it. */
static size_t limit_bin(const agreement_calibration *c, uint32_t *below) {
    size_t bin = 0;
    *below = 0;
    while (bin + 1 < AGREEMENT_BINS && *below + c->bins[bin] <= tail * c->pairs) {
        *below += c->bins[bin++];
    }
    return bin;
}

double agreement_limit(const agreement_calibration *c) {
    uint32_t below = 0;
    return agreement_is_calibrated(c) ? (double)limit_bin(c, &below) / (AGREEMENT_BINS - 1) : 0;
}

static double ratio(const agreement_calibration *c, double score, double part) {
    if (!agreement_is_calibrated(c)) {
        return 0;
    }
    uint32_t below = 0;
    bool deviates = bin_of(score) < limit_bin(c, &below);
    double count = below + 1.0; /* Laplace's rule: never sure of 0 */
    double pairs = (count + confidence * sqrt(count)) / (c->pairs + 2.0);
    double honest = fmax(lowest_rate, part * pairs);
    double cheat = honest + cheat_rate * (1 - honest);
    return deviates ? log(cheat / honest) : log((1 - cheat) / (1 - honest));
}

double agreement_ratio(const agreement_calibration *c, double score) {
    return ratio(c, score, 1);
}

double agreement_ratio_of_three(const agreement_calibration *c, double with_other, double with_third,
                                double of_others) {
    double claim = ratio(c, fmax(with_other, with_third), 0.5);
    return claim > 0 && ratio(c, of_others, 0.5) > 0 ? 0 : claim;
}

bool agreement_check(const agreement_calibration *c, error *err) {
    uint64_t sum = 0;
    for (size_t i = 0; i < AGREEMENT_BINS; i++) {
        sum += c->bins[i];
    }
    if (sum != c->pairs || sum > AGREEMENT_PAIRS_MAX || c->by_referees > 1) {
        return error_set(err, ERROR_CORRUPT, "a calibration's counts don't add up");
    }
    return true;
}
