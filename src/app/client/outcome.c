#include "outcome.h"

outcome outcome_of(const error *err) {
    switch (err->code) {
    case ERROR_CORRUPT:
    case ERROR_INVALID:
    case ERROR_LIMIT:
        return OUTCOME_REFUTED;
    default:
        return OUTCOME_UNCHECKED;
    }
}
