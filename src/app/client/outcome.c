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

outcome outcome_of_reading(const error *err) {
    return err->code == ERROR_LIMIT ? OUTCOME_REFUTED : OUTCOME_UNCHECKED;
}
