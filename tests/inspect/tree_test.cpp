#include "jobs/inspect/tree.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<jobs::TensorEntry>& tensors() {
  static const std::vector<jobs::TensorEntry> kTensors = {
      {"/model/layers.0.wq.weight", "f32", {4, 2}, 32, io::NumberType::f32, ""},
      {"/model/layers.0.wv.weight", "bf16", {4, 2}, 16, io::NumberType::bf16, ""},
      {"/model/norm.weight", "f32", {2}, 8, io::NumberType::f32, ""}};
  return kTensors;
}

std::string drawn(int depth, jobs::Ink ink = jobs::Ink::plain) {
  std::vector<jobs::TreeLeaf> leaves;
  for (const jobs::TensorEntry& tensor : tensors()) leaves.push_back({tensor.name, &tensor, ""});
  leaves.push_back({"/state/next_sample", nullptr, "12"});
  return jobs::draw_tree(leaves, depth, ink);
}

TEST(DrawTree, BranchesAtSlashesAndDotsAndMergesChains) {
  EXPECT_EQ(drawn(0),
            "/model              3 tensors, 56 B\n"
            "├─ layers.0         2 tensors, 48 B\n"
            "│  ├─ wq.weight     f32   [4, 2]                      32 B\n"
            "│  └─ wv.weight     bf16  [4, 2]                      16 B\n"
            "└─ norm.weight      f32   [2]                          8 B\n"
            "/state/next_sample  = 12\n");
}

TEST(DrawTree, StopsAtADepth) {
  EXPECT_THAT(drawn(2), HasSubstr("layers.0"));
  EXPECT_THAT(drawn(2), Not(HasSubstr("wq.weight")));
  EXPECT_THAT(drawn(1), Not(HasSubstr("layers")));
}

TEST(DrawTree, PaintsOnlyWithInk) {
  EXPECT_THAT(drawn(0), Not(HasSubstr("\033[")));
  EXPECT_THAT(drawn(0, jobs::Ink::colour), HasSubstr("\033[1m/model\033[0m"));
}

}  // namespace
}  // namespace caravan::test
