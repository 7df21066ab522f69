#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "caravan/error.hpp"

namespace caravan::fuzz {

using Input = std::span<const std::uint8_t>;

/// The most heap that a call may hold at once: base + factor × bytes of the input.
struct Bound {
  std::size_t base, factor;
};

/// A reader of files from outside. `read` throws an Error when it refuses the input.
struct Target {
  const char* name;
  void (*read)(Input);
  Bound bound;
};

enum class Outcome { read, refused };

/// Reads the input. Ends the process with a message when the reader throws anything but an Error, or holds
/// more heap than its bound.
Outcome call(const Target& target, Input input);

/// Ends the process: the reader broke a promise.
[[noreturn]] void fail(const std::string& why);

inline std::string_view text_of(Input input) {
  return {reinterpret_cast<const char*>(input.data()), input.size()};
}

/// For questions that may be refused one by one.
template <class Action>
void attempt(Action&& action) {
  try {
    action();
  } catch (const Error&) {
  }
}

}  // namespace caravan::fuzz
