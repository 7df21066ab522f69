#pragma once

#include "caravan/error.hpp"

/// Always on: for what a user, a file or the environment can get wrong. `message` is evaluated on failure
/// only.
#define CARAVAN_CHECK(condition, ErrorType, message) \
  do {                                               \
    if (!(condition)) throw ErrorType(message);      \
  } while (false)

/// For a programmer's mistake. Off with NDEBUG unless CARAVAN_AUDIT is defined.
#if !defined(NDEBUG) || defined(CARAVAN_AUDIT)
#define CARAVAN_AUDITS 1
#define CARAVAN_EXPECT(condition) \
  CARAVAN_CHECK(condition, ::caravan::Error, "broken precondition: " #condition)
#else
#define CARAVAN_AUDITS 0
#define CARAVAN_EXPECT(condition) \
  do {                            \
  } while (false)
#endif
