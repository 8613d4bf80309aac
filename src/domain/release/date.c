#include "release/manifest.h"

#include <inttypes.h>
#include <stdio.h>

enum { DAY_SECONDS = 86400, YEAR_LEAST = 1970, YEAR_MOST = 9999 };

static bool is_leap(uint64_t year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static uint64_t days_of_month(uint64_t year, uint64_t month) {
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year) ? 1U : 0U);
}

/* Digits with leading zeros, `count` of them. */
static bool take_digits(slice *rest, size_t count, uint64_t *value) {
    *value = 0;
    if (rest->length < count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t c = rest->data[i];
        if (c < '0' || c > '9') {
            return false;
        }
        *value = *value * 10 + (uint64_t)(c - '0');
    }
    *rest = slice_after(*rest, count);
    return true;
}

static bool take_dash(slice *rest) {
    if (rest->length == 0 || rest->data[0] != '-') {
        return false;
    }
    *rest = slice_after(*rest, 1);
    return true;
}

bool release_date_parse(slice text, uint64_t *unix_s) {
    uint64_t year = 0;
    uint64_t month = 0;
    uint64_t day = 0;
    *unix_s = 0;
    if (!take_digits(&text, 4, &year) || !take_dash(&text) || !take_digits(&text, 2, &month) ||
        !take_dash(&text) || !take_digits(&text, 2, &day) || text.length > 0 || year < YEAR_LEAST ||
        month < 1 || month > 12 || day < 1 || day > days_of_month(year, month)) {
        return false;
    }
    uint64_t days = day - 1;
    for (uint64_t y = YEAR_LEAST; y < year; y++) {
        days += is_leap(y) ? 366 : 365;
    }
    for (uint64_t m = 1; m < month; m++) {
        days += days_of_month(year, m);
    }
    *unix_s = days * DAY_SECONDS;
    return true;
}

void release_date_write(uint64_t unix_s, char text[RELEASE_DATE_SIZE]) {
    uint64_t days = unix_s / DAY_SECONDS;
    uint64_t year = YEAR_LEAST;
    uint64_t month = 1;
    while (year <= YEAR_MOST && days >= (is_leap(year) ? 366U : 365U)) {
        days -= is_leap(year) ? 366 : 365;
        year++;
    }
    if (year > YEAR_MOST) {
        snprintf(text, RELEASE_DATE_SIZE, "9999-12-31");
        return;
    }
    while (days >= days_of_month(year, month)) {
        days -= days_of_month(year, month);
        month++;
    }
    snprintf(text, RELEASE_DATE_SIZE, "%04u-%02u-%02u", (unsigned)year % 10000, (unsigned)month % 100,
             (unsigned)(days + 1) % 100);
}
