#pragma once

#include <vector>

#include "tests/device/problem.hpp"

// The problems that every device has to solve like the reference: shapes of 1, odd, larger than a tile; empty
// experts, all tokens to one expert; with and without each optional argument.
namespace caravan::testing {

std::vector<Problem> linear_problems(Storage storage);
std::vector<Problem> norm_problems(Storage storage);
std::vector<Problem> elementwise_problems(Storage storage);
std::vector<Problem> attention_problems(Storage storage);
std::vector<Problem> decoding_problems(Storage storage);
std::vector<Problem> decode_experts_problems(Storage storage);
std::vector<Problem> expert_problems(Storage storage);
std::vector<Problem> peer_problems(Storage storage);
std::vector<Problem> router_problems(Storage storage);
std::vector<Problem> loss_problems(Storage storage);
std::vector<Problem> vocabulary_problems(Storage storage);
std::vector<Problem> update_problems(Storage storage);
std::vector<Problem> logit_clip_problems(Storage storage);

/// All of the above, made once in the process.
const std::vector<Problem>& all_problems(Storage storage);
/// Those of up to 20,000 elements in all operands: every operator with every argument, without the large
/// shapes.
std::vector<Problem> small_problems(Storage storage);

}  // namespace caravan::testing
