#include "operation.h"

#include <stdio.h>

enum { QUOTE_MAX = 240, RANGE_MAX = 100 * 1000 };

/* The template's own words; what it took from the conversation is left out, and so are controls. */
static bool function_raise(run *r, const value *subject, const value *const given[], value *result) {
    (void)subject;
    (void)result;
    char words[QUOTE_MAX + 1];
    size_t length = 0;
    text t = text_trusted((slice){NULL, 0});
    if (given[0] != NULL && !value_to_text(r, given[0], &t)) {
        return false;
    }
    for (size_t i = 0; i < t.bytes.length && length < QUOTE_MAX; i++) {
        uint8_t c = t.bytes.data[i];
        if (text_trusted_at(&t, i)) {
            words[length++] = (char)(c < ' ' || c == 0x7f ? ' ' : c);
        }
    }
    words[length] = 0;
    return error_set(r->err, ERROR_INVALID, "the model's chat template refuses the conversation: %s", words);
}

static bool function_range(run *r, const value *subject, const value *const given[], value *result) {
    (void)subject;
    int64_t numbers[3] = {0, 0, 1};
    for (size_t i = 0; i < 3; i++) {
        if (!argument_whole(r, given[i], "range", numbers[i], &numbers[i])) {
            return false;
        }
    }
    if (given[0] == NULL || numbers[2] == 0) {
        return run_fail(r, "'range' takes one to three numbers, the last not 0");
    }
    int64_t from = given[1] == NULL ? 0 : numbers[0];
    int64_t to = given[1] == NULL ? numbers[0] : numbers[1];
    int64_t step = numbers[2];
    int64_t reach = 0;
    if (__builtin_sub_overflow(to, from, &reach) || step < -INT64_MAX) {
        return run_limit(r, "values of a range");
    }
    bool empty = step > 0 ? reach <= 0 : reach >= 0;
    int64_t count = empty ? 0 : (reach - (step > 0 ? 1 : -1)) / step + 1;
    if (count > RANGE_MAX) {
        return run_limit(r, "values of a range");
    }
    value *items = run_allocate(r, (size_t)count, sizeof *items);
    for (int64_t i = 0; items != NULL && i < count; i++) {
        items[i] = value_integer(from + i * step);
    }
    *result = value_list(VALUE_LIST, items, (size_t)count);
    return items != NULL && run_step(r, (size_t)count);
}

static bool put_keywords(run *r, const arguments *given, dict *d) {
    for (size_t i = 0; i < given->keyword_count; i++) {
        value key = value_text(text_trusted(given->keywords[i].name));
        if (!dict_put(r, d, &key, &given->keywords[i].value)) {
            return false;
        }
    }
    return true;
}

/* A mapping to begin with, then keywords. */
static bool make(run *r, const arguments *given, value_kind kind, value *result) {
    dict *d = dict_new(r);
    if (d == NULL) {
        return false;
    }
    if (given->count > 1 || (given->count == 1 && given->items[0].kind != VALUE_DICT)) {
        return run_fail(r, "'dict' and 'namespace' take a mapping and keywords");
    }
    for (size_t i = 0; given->count == 1 && i < given->items[0].dict->count; i++) {
        const dict_entry *entry = &given->items[0].dict->entries[i];
        if (!run_step(r, 1) || !dict_append(r, d, &entry->key, &entry->value)) {
            return false;
        }
    }
    *result = (value){.kind = kind, .dict = d};
    return put_keywords(r, given, d);
}

static bool function_dict(run *r, const value *subject, const arguments *given, value *result) {
    (void)subject;
    return make(r, given, VALUE_DICT, result);
}

static bool function_namespace(run *r, const value *subject, const arguments *given, value *result) {
    (void)subject;
    return make(r, given, VALUE_NAMESPACE, result);
}

typedef struct moment {
    int64_t year;
    int month; /* from 1 */
    int day;
    int weekday; /* Sunday is 0 */
    int day_of_year;
    int second; /* of the day */
} moment;

static int64_t floor_division(int64_t a, int64_t b) {
    return a / b - (a % b < 0 ? 1 : 0);
}

/* Civil date of a day since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static moment moment_of(int64_t seconds) {
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t days = floor_division(seconds, 86400);
    int64_t shifted = days + 719468;
    int64_t era = floor_division(shifted, 146097);
    int64_t day = shifted - era * 146097;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t of_year = day - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    moment m = {.day = (int)(of_year - (153 * month + 2) / 5 + 1),
                .month = (int)(month < 10 ? month + 3 : month - 9)};
    m.year = year + era * 400 + (m.month <= 2 ? 1 : 0);
    m.weekday = (int)(days + 4 - floor_division(days + 4, 7) * 7);
    m.second = (int)(seconds - days * 86400);
    bool leap = (m.year % 4 == 0 && m.year % 100 != 0) || m.year % 400 == 0;
    m.day_of_year = before[m.month - 1] + m.day + (leap && m.month > 2 ? 1 : 0);
    return m;
}

/* One conversion of C's strftime in the C locale; false if it isn't one of these. */
static bool put_conversion(const moment *m, uint8_t conversion, char *words, size_t size) {
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
    int hour = m->second / 3600;
    int twelve = hour % 12 == 0 ? 12 : hour % 12;
    int minute = m->second / 60 % 60;
    int second = m->second % 60;
    int year = (int)m->year;
    switch (conversion) {
    case 'Y':
        return snprintf(words, size, "%d", year) > 0;
    case 'y':
        return snprintf(words, size, "%02d", (year % 100 + 100) % 100) > 0;
    case 'm':
        return snprintf(words, size, "%02d", m->month) > 0;
    case 'B':
        return snprintf(words, size, "%s", months[m->month - 1]) > 0;
    case 'b':
    case 'h':
        return snprintf(words, size, "%.3s", months[m->month - 1]) > 0;
    case 'd':
        return snprintf(words, size, "%02d", m->day) > 0;
    case 'e':
        return snprintf(words, size, "%2d", m->day) > 0;
    case 'j':
        return snprintf(words, size, "%03d", m->day_of_year) > 0;
    case 'A':
        return snprintf(words, size, "%s", days[m->weekday]) > 0;
    case 'a':
        return snprintf(words, size, "%.3s", days[m->weekday]) > 0;
    case 'w':
        return snprintf(words, size, "%d", m->weekday) > 0;
    case 'u':
        return snprintf(words, size, "%d", m->weekday == 0 ? 7 : m->weekday) > 0;
    case 'H':
        return snprintf(words, size, "%02d", hour) > 0;
    case 'I':
        return snprintf(words, size, "%02d", twelve) > 0;
    case 'M':
        return snprintf(words, size, "%02d", minute) > 0;
    case 'S':
        return snprintf(words, size, "%02d", second) > 0;
    case 'p':
        return snprintf(words, size, "%s", hour < 12 ? "AM" : "PM") > 0;
    case 'F':
        return snprintf(words, size, "%d-%02d-%02d", year, m->month, m->day) > 0;
    case 'D':
        return snprintf(words, size, "%02d/%02d/%02d", m->month, m->day, (year % 100 + 100) % 100) > 0;
    case 'T':
        return snprintf(words, size, "%02d:%02d:%02d", hour, minute, second) > 0;
    case 'R':
        return snprintf(words, size, "%02d:%02d", hour, minute) > 0;
    case 'n':
        return snprintf(words, size, "\n") > 0;
    case 't':
        return snprintf(words, size, "\t") > 0;
    case '%':
        return snprintf(words, size, "%%") > 0;
    default:
        return false;
    }
}

static bool function_strftime_now(run *r, const value *subject, const value *const given[], value *result) {
    static const int64_t years_most = 9999;
    (void)subject;
    text format;
    if (given[0] == NULL || !argument_text(r, given[0], "format", (slice){NULL, 0}, &format)) {
        return given[0] == NULL ? run_fail(r, "'strftime_now' takes a format") : false;
    }
    if (r->now < 0 || r->now > (years_most - 1970) * 365 * 86400) {
        return run_fail(r, "the date is out of range");
    }
    moment m = moment_of(r->now);
    text_builder b = run_builder(r);
    slice bytes = format.bytes;
    for (size_t i = 0; i < bytes.length; i++) {
        char words[32] = "";
        if (bytes.data[i] != '%') {
            text_append_bytes(&b, slice_part(bytes, i, 1), false);
            continue;
        }
        i++;
        if (i == bytes.length || !put_conversion(&m, bytes.data[i], words, sizeof words)) {
            return run_fail(r, "'strftime_now' is given a conversion that this engine doesn't have");
        }
        text_append_literal(&b, words, false);
    }
    text t;
    if (!run_built(r, &b, &t)) {
        return false;
    }
    *result = value_text(t);
    return true;
}

const operation functions[] = {
    {.name = "raise_exception", .parameters = {"message"}, .call = function_raise},
    {.name = "range", .parameters = {"start", "stop", "step"}, .call = function_range},
    {.name = "namespace", .call_any = function_namespace},
    {.name = "dict", .call_any = function_dict},
    {.name = "strftime_now", .parameters = {"format"}, .call = function_strftime_now},
    {.name = NULL},
};
