#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace caravan::fuzz {

/// Mutation `number` of a file of the corpus: a few bytes or numbers changed, stretches removed, doubled, or
/// taken from another file. The same on every machine.
std::string mutation(const std::vector<std::string>& corpus, std::uint64_t number);

/// The same few characters over and over, 128 KiB of them: what nests, opens, repeats or never ends.
std::vector<std::string> repetitions();

}  // namespace caravan::fuzz
