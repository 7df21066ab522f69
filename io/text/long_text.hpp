#pragma once

#include <string_view>
#include <vector>

namespace caravan::io {

/// The substrings that Llama 4's tokenizer encodes one by one: at most 400,000 characters, and no run of
/// white space or of anything else with more than 25,000. Source: meta-llama/llama-models,
/// models/llama4/tokenizer.py.
std::vector<std::string_view> cut_as_llama4(std::string_view text);

}  // namespace caravan::io
