#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "tests/fuzz/call.hpp"

namespace caravan::fuzz {

struct OrdealResult {
  std::size_t calls = 0, read = 0;
  std::string ending;  ///< what ended the reader; "" when nothing did
  std::string input;   ///< the input that did
};

/// Gives `inputs` to a reader, one after the other until there are none, in a child process: with at most 2
/// GiB of memory and `seconds` an input.
OrdealResult run_ordeal(const Target& target, const std::function<std::optional<std::string>()>& inputs,
                        unsigned seconds = 10);

}  // namespace caravan::fuzz
