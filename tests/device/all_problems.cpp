#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>

#include "tests/device/cases.hpp"

namespace caravan::testing {
namespace {

std::vector<Problem> make_all(Storage storage) {
  std::vector<Problem> all;
  for (const auto make :
       {linear_problems, norm_problems, elementwise_problems, attention_problems, decoding_problems,
        decode_experts_problems, expert_problems, peer_problems, router_problems, loss_problems,
        vocabulary_problems, update_problems, logit_clip_problems}) {
    std::vector<Problem> family = make(storage);
    std::move(family.begin(), family.end(), std::back_inserter(all));
  }
  return all;
}

bool is_small(const Problem& problem) {
  constexpr std::int64_t kElements = 20'000;
  return std::accumulate(problem.operands.begin(), problem.operands.end(), std::int64_t{0},
                         [](std::int64_t sum, const Operand& operand) {
                           return sum + operand.shape.count();
                         }) <= kElements;
}

}  // namespace

const std::vector<Problem>& all_problems(Storage storage) {
  // Random values and forwards that backwards need take longer than the comparison.
  static auto& kept = *new std::map<std::pair<DType, std::int64_t>, std::vector<Problem>>;
  const auto [found, is_new] = kept.try_emplace({storage.compute, storage.gap});
  if (is_new) found->second = make_all(storage);
  return found->second;
}

std::vector<Problem> small_problems(Storage storage) {
  std::vector<Problem> small;
  std::ranges::copy_if(all_problems(storage), std::back_inserter(small), is_small);
  return small;
}

}  // namespace caravan::testing
