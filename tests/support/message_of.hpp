#pragma once

#include <string>

#include "caravan/error.hpp"

namespace caravan::testing {

/// The message of the ErrorType that `run` throws; "" when it throws none, so that comparing it fails.
template <class ErrorType = Error, class Run>
std::string message_of(Run run) {
  try {
    run();
  } catch (const ErrorType& error) {
    return error.message();
  }
  return "";
}

/// The same with the scopes that it came through.
template <class ErrorType = Error, class Run>
std::string whole_message_of(Run run) {
  try {
    run();
  } catch (const ErrorType& error) {
    return error.what();
  }
  return "";
}

}  // namespace caravan::testing
