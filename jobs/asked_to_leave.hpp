#pragma once

#include <string>

#include "caravan/error.hpp"

namespace caravan::jobs {

/// Somebody asked a verb to leave, or nobody wants its output any more: no failure, and nothing is wrong with
/// what was given.
class AskedToLeave final : public Error {
 public:
  using Error::Error;
  ExitCode exit_code() const noexcept override { return ExitCode::requeue; }
};

}  // namespace caravan::jobs
