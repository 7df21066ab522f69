#include "io/checkpoint/parameter_counts.hpp"

#include <gtest/gtest.h>

namespace caravan::test {
namespace {

TEST(ParameterCounts, EveryNameOfTheModelHasItsKind) {
  using K = ParameterKind;
  const std::pair<const char*, K> names[] = {{"tok_embeddings.weight", K::embedding},
                                             {"layers.3.attention_norm.weight", K::norm},
                                             {"layers.3.ffn_norm.weight", K::norm},
                                             {"norm.weight", K::norm},
                                             {"layers.3.attention.wq.weight", K::attention},
                                             {"layers.3.feed_forward.w1.weight", K::dense},
                                             {"layers.3.moe.router.gate.weight", K::router},
                                             {"layers.3.moe.shared_experts.w2.weight", K::shared_expert},
                                             {"layers.3.moe.experts.w2", K::expert},
                                             {"output.weight", K::head}};
  for (const auto& [name, kind] : names) EXPECT_EQ(io::kind_of_name(name), kind) << name;
  EXPECT_EQ(io::kind_of_name("else.weight"), std::nullopt);
}

TEST(ParameterCounts, AddUpByKind) {
  io::ParameterCounts counts;
  counts.add("layers.0.ffn_norm.weight", 4);
  counts.add("norm.weight", 4);
  counts.add("tok_embeddings.weight", 10);
  counts.add("else", 1);
  const auto kinds = counts.by_kind();
  ASSERT_EQ(kinds.size(), 3u);
  EXPECT_EQ(kinds[0].kind, "embedding");
  EXPECT_EQ(kinds[1].count, 8);
  EXPECT_EQ(kinds[2].kind, "other");
  EXPECT_EQ(counts.total(), 19);
}

}  // namespace
}  // namespace caravan::test
