#pragma once

#include <fmt/format.h>

#include <cstdint>

#include "caravan/config.hpp"

// Values of a model's section that is made from a file of another format.
namespace caravan::io {

inline Config number(double value) {
  return Config::scalar(fmt::format("{}", value));
}
inline Config number(std::int64_t value) {
  return Config::scalar(fmt::format("{}", value));
}
inline Config flag(bool value) {
  return Config::scalar(value ? "true" : "false");
}

}  // namespace caravan::io
